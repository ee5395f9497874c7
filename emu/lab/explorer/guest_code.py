"""Guest machine code, executed up to its next load of something that another CPU may store.

Every instruction is executed by the engine itself. What it means for the order of events is said
by `Micro` operations: which registers its value goes through, which shared location it touches,
whether it is a barrier. Memory that only one CPU uses is part of a `Core`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from emu.arch.port import Port
from emu.build.decode import Flow, decode_flow
from emu.errors import EmuError
from emu.machine.memory import Memory
from emu.machine.single_step import SingleStep

_LONGEST = 2_000
"""Instructions between two shared loads; more is a loop that waits for nobody. # assumed: ample"""

_BARRIERS = {
    "dmb ish": "full",
    "dmb ishld": "ld",
    "dmb ishst": "st",
    "dmb sy": "full",
    "dsb ish": "dsb",
    "dsb sy": "dsb",
    "isb": "isb",
    "mfence": "full",
}
_PLAIN = frozenset(
    {
        "add",
        "adds",
        "sub",
        "subs",
        "and",
        "ands",
        "bic",
        "orr",
        "eor",
        "lsl",
        "lsr",
        "mov",
        "movz",
        "movk",
        "movn",
        "cmp",
        "cmn",
        "tst",
        "mrs",
        "adr",
        "adrp",
        "nop",
        "bti",
        "hint",
        "mvn",
    }
)
_LOADS = frozenset({"ldr", "ldrb", "ldrh", "ldrsw", "ldp", "ldar", "ldarb", "ldapr", "ldxr", "ldaxr", "ldur"})
_STORES = frozenset({"str", "strb", "strh", "stp", "stlr", "stlrb", "stxr", "stlxr", "stur"})
_CONDITIONAL = frozenset({"cbz", "cbnz", "tbz", "tbnz"})
_JUMPS = frozenset({"b", "bl", "br", "blr", "ret"})


class Micro(NamedTuple):
    """What one instruction, or one access of it, means for the order of events.

    Args:
        kind: ``move``, ``load`` and ``store`` (private memory), ``read`` and ``write`` (shared), ``branch``,
            ``barrier``.
        pc: of the instruction.
        reads: registers that the value comes from.
        writes: registers that it goes to.
        addresses: registers of the address.
        location: (address, size) accessed.
        value: read or written.
        how: of a barrier its kind; of accesses words among ``acquire release exclusive locked``.
    """

    kind: str
    pc: int
    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    addresses: frozenset[str] = frozenset()
    location: tuple[int, int] = (0, 0)
    value: int = 0
    how: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Core:
    """One CPU between two instructions: registers, private memory, and what it read exclusively last."""

    registers: Any
    memory: Mapping[int, int] = field(default_factory=dict)
    monitor: tuple[int, int] | None = None
    monitor_value: int = 0


class Run(NamedTuple):
    """A run of instructions up to a shared load or the end.

    Args:
        micros: what it means for the order of events.
        core: behind it.
        wanted: (address, size) of the load it stopped at; None: it has ended.
        stop: why it ended: ``return``, ``warn``, ``fault``.
        pc: where.
    """

    micros: tuple[Micro, ...]
    core: Core
    wanted: tuple[int, int] | None
    stop: str
    pc: int


class UnmodelledError(EmuError):
    """Guest code does something that the explorer has no rules for."""

    def __init__(self, what: str, pc: int) -> None:
        super().__init__(f"the explorer can't follow the guest at {pc:#x}: {what}")
        self.what, self.pc = what, pc


class GuestCode:
    """The text of one kernel, and runs of it that have been made.

    Args:
        port: of the kernel.
        memory: of the machine, for its text and size.
        content: (address, size) -> what private memory holds when nobody has stored to it.
        shared: (address, size) -> the location it is part of, or None for private memory.
        ends: address that routines return to.
        warns: addresses of WARNs.
        dropped: addresses of barriers that are left out.
    """

    def __init__(
        self,
        port: Port,
        memory: Memory,
        content: Callable[[int, int], bytes],
        *,
        shared: Callable[[int, int], tuple[int, int] | None],
        ends: int,
        warns: frozenset[int],
        dropped: frozenset[int] = frozenset(),
    ) -> None:
        self._port, self._memory, self._before, self.shared = port, memory, content, shared
        self._ends, self._warns, self._dropped = ends, warns, dropped
        self._cpu = SingleStep(port, memory)
        self._flows: dict[int, Flow] = {}
        self._contents: dict[int, tuple[Core, Hashable]] = {}
        self._runs: dict[tuple[int, int | None], tuple[Core, Run]] = {}
        self._arm = port.name == "arm64"

    @property
    def instructions(self) -> int:
        """How many instructions have been executed."""
        return self._cpu.steps

    def core(self, values: Mapping[str, int], *, percpu: int, memory: Mapping[int, int]) -> Core:
        """Return a CPU at its first instruction; ``memory`` is what differs in it, byte by byte."""
        return Core(self._cpu.state(values, percpu=percpu), dict(memory))

    def run(self, core: Core, value: int | None = None) -> Run:
        """Go on from a core; ``value`` is what its next instruction loads, if that is shared."""
        key = id(core), value
        if key not in self._runs:
            self._runs[key] = core, self._run(core, value)  # the core is kept, so its id stays its own
        return self._runs[key][1]

    def register(self, core: Core, name: str) -> int:
        """Return a register."""
        return self._cpu.register(core.registers, name)

    def contents(self, core: Core) -> Hashable:
        """Return what a core consists of, so that cores can be compared."""
        found = self._contents.get(id(core))
        if found is None:
            registers = tuple(self._cpu.register(core.registers, name) for name in self._port.registers.all)
            memory = frozenset(core.memory.items())
            found = core, (registers, memory, core.monitor, core.monitor_value)
            self._contents[id(core)] = found
        return found[1]

    def private(self, core: Core, address: int, size: int = 8) -> int:
        """Return what private memory holds."""
        return int.from_bytes(self.content(core.memory, address, size), "little")

    def flow(self, pc: int) -> Flow:
        """Return the instruction at an address."""
        if pc not in self._flows:
            found = decode_flow(self._port, self._memory.read(pc, 16), pc)
            if not found:
                raise UnmodelledError("no instruction", pc)
            self._flows[pc] = found[0]
        return self._flows[pc]

    def content(self, memory: Mapping[int, int], address: int, size: int) -> bytes:
        """Return what private memory holds; ``memory`` is what differs."""
        whole = bytearray(self._before(address, size))
        for offset in range(size):
            if address + offset in memory:
                whole[offset] = memory[address + offset]
        return bytes(whole)

    def _run(self, core: Core, value: int | None) -> Run:
        micros: list[Micro] = []
        registers, memory = core.registers, core.memory
        monitor, monitor_value = core.monitor, core.monitor_value
        for _ in range(_LONGEST):
            pc = self._cpu.register(registers, self._port.registers.pc)
            if pc == self._ends:
                return Run(tuple(micros), Core(registers, memory, monitor, monitor_value), None, "return", pc)
            if pc in self._warns:
                return Run(tuple(micros), Core(registers, memory, monitor, monitor_value), None, "warn", pc)
            flow = self.flow(pc)
            name = flow.instruction.mnemonic
            exclusive = monitor_value if name in ("stxr", "stlxr") else None
            loads = _Loads(self, memory, value, exclusive)
            try:
                stepped = self._cpu.step(registers, loads)
            except EmuError:
                return Run(tuple(micros), Core(registers, memory, monitor, monitor_value), None, "fault", pc)
            if stepped.wanted is not None:
                place = self.shared(*stepped.wanted)
                here = Core(registers, memory, monitor, monitor_value)
                if place is None:
                    return Run(tuple(micros), here, None, "fault", pc)
                return Run(tuple(micros), here, place, "", pc)
            if stepped.registers is None:
                return Run(tuple(micros), Core(registers, memory, monitor, monitor_value), None, "fault", pc)
            shared_loads = loads.shared
            if shared_loads:
                value = None
            stores = [(self.shared(a, s), (a, s), v) for a, s, v in stepped.stores]
            micros += self._micros(flow, shared_loads, loads.private, stores)
            if name in ("ldxr", "ldaxr") and shared_loads:
                monitor, monitor_value = shared_loads[0]
            fresh = {
                address + offset: stored >> 8 * offset & 0xFF
                for place, (address, size), stored in stores
                if place is None
                for offset in range(size)
            }
            if fresh:
                memory = {**memory, **fresh}
            registers = stepped.registers
        raise UnmodelledError("it goes round without loading anything that others store", pc)

    def _micros(
        self,
        flow: Flow,
        reads: list[tuple[tuple[int, int], int]],
        loads: list[tuple[int, int]],
        stores: list[tuple[tuple[int, int] | None, tuple[int, int], int]],
    ) -> list[Micro]:
        pc, name = flow.instruction.address, flow.instruction.mnemonic
        barrier = _BARRIERS.get(flow.instruction.text)
        if barrier is not None:
            return [] if pc in self._dropped else [Micro("barrier", pc, how=barrier)]
        if not self._arm:
            how = "locked" if name.startswith("lock") or (name == "xchg" and (reads or stores)) else ""
            found = [Micro("read", pc, location=place, value=value, how=how) for place, value in reads]
            return found + [
                Micro("write", pc, location=place, value=value, how=how)
                for place, _, value in stores
                if place is not None
            ]
        base = name.partition(".")[0]
        if name in _LOADS:
            how = "acquire" if name in ("ldar", "ldarb", "ldaxr") else ""
            how += " exclusive" if name in ("ldxr", "ldaxr") else ""
            return [
                Micro("read", pc, writes=flow.writes, addresses=flow.addresses, location=p, value=v, how=how)
                for p, v in reads
            ] + [
                Micro("load", pc, writes=flow.writes, addresses=flow.addresses, location=place)
                for place in loads
            ]
        if name in _STORES:
            how = "release" if name in ("stlr", "stlrb", "stlxr") else ""
            how += " exclusive" if name in ("stxr", "stlxr") else ""
            return [
                Micro(
                    "store" if place is None else "write",
                    pc,
                    reads=flow.reads,
                    writes=flow.writes,
                    addresses=flow.addresses,
                    location=place or raw,
                    value=value,
                    how=how,
                )
                for place, raw, value in stores
            ]
        if base == "b" and name != "b":
            return [Micro("branch", pc, reads=frozenset({"nzcv"}))]
        if name in _CONDITIONAL:
            return [Micro("branch", pc, reads=flow.reads)]
        if name in _JUMPS:
            return []
        if name in _PLAIN:
            return [Micro("move", pc, reads=flow.reads, writes=flow.writes)]
        raise UnmodelledError(f"{flow.instruction.text}: its dependencies are not known here", pc)


class _Loads:
    """Answers one instruction's loads, and notes them.

    Args:
        code: knows what is shared.
        memory: private memory.
        value: what a shared load gives; None: nothing yet.
        exclusive: what a store-exclusive finds unchanged; None: it is none.
    """

    def __init__(
        self, code: GuestCode, memory: Mapping[int, int], value: int | None, exclusive: int | None
    ) -> None:
        self._code, self._memory, self._value, self._exclusive = code, memory, value, exclusive
        self.shared: list[tuple[tuple[int, int], int]] = []
        self.private: list[tuple[int, int]] = []

    def __call__(self, address: int, size: int) -> bytes | None:
        """Return what stands there, or None."""
        place = self._code.shared(address, size)
        if place is None:
            self.private.append((address, size))
            return self._code.content(self._memory, address, size)
        if self._exclusive is not None:
            return self._exclusive.to_bytes(size, "little")
        if self._value is None:
            return None
        self.shared.append((place, self._value))
        return self._value.to_bytes(8, "little")[:size]
