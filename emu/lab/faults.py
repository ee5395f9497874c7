"""What made a guest stop: faults, exceptions, BUGs, and what is known about the address in question."""

from __future__ import annotations

from emu.build.decode import decode_lite
from emu.build.memory_map import DATA_BASE
from emu.kernel.heap import Heap
from emu.kernel.kernel import Kernel
from emu.kernel.text_area import TextArea
from emu.lab.whereabouts import Whereabouts, named
from emu.machine import state as s
from emu.machine import unicorn_errors
from emu.machine.memory import text_offset
from emu.machine.registers import engine_cpu
from emu.machine.state import Stop
from emu.units import PAGE_SIZE, unsigned64

_FETCHES = frozenset({unicorn_errors.FETCH_UNMAPPED, unicorn_errors.FETCH_PROT})
_ACCESSES = {
    unicorn_errors.READ_UNMAPPED: "read from unmapped memory",
    unicorn_errors.WRITE_UNMAPPED: "write to unmapped memory",
    unicorn_errors.WRITE_PROT: "write to fenced-off memory",
    unicorn_errors.READ_PROT: "read from fenced-off memory",
}

_OUTDATED_SHOWN = 4
_STORES_SHOWN = 3

_POISON_LOW, _POISON_HIGH = 0xDEAD000000000000, 0xDEAD000000001000


class Faults:
    """Explains them on one machine.

    Args:
        kernel: the machine.
        whereabouts: names places on it.
        text: text that comes and goes.
        data: data that comes and goes.
    """

    def __init__(
        self, kernel: Kernel, whereabouts: Whereabouts, *, text: list[TextArea], data: list[Heap]
    ) -> None:
        self._kernel, self._whereabouts = kernel, whereabouts
        self._areas, self._heaps = text, data

    def explain(self, reason: Stop, cpu: int, pc: int) -> tuple[str, list[str]]:
        """Return what happened, in one sentence, and what is known about the cause."""
        engine = self._kernel.engine
        match reason:
            case Stop.FAULT:
                what, causes = self._fault(cpu, pc, engine.stop_info)
            case Stop.BUG:
                place = self._kernel.places[engine.stop_info]
                return f"BUG: {place}", self._bug(cpu, place)
            case Stop.EXCEPTION:
                what, causes = self._exception(pc, engine.stop_info)
            case Stop.FRAMES:
                return "more traced calls are open than can be followed: endless recursion", []
            case Stop.IDLE:
                return "every CPU is idle and nothing can wake one: no task is runnable and no timer set", []
            case _:
                return reason.name.lower(), []
        return what, [*causes, *self._instruction(cpu, pc), *self._freed_on_stack(cpu), *self._stale(cpu)]

    def _fault(self, cpu: int, pc: int, error: int) -> tuple[str, list[str]]:
        address = unsigned64(int(self._kernel.engine.blocks[cpu, s.CPU_FAULT_ADDRESS]))
        if error == 0:
            sp = self._kernel.engine.read_register(cpu, self._kernel.port.registers.sp)
            return f"no stack to take an interrupt on: the stack pointer is {sp:#x}", []
        if error == s.LATE_STORE:
            place = self._whereabouts.place(int(self._kernel.engine.blocks[cpu, s.CPU_LATE_PC]))
            return f"the store to {address:#x} that CPU{cpu} made at {place} landed late", self._address(
                address
            )
        if error == unicorn_errors.INSN_INVALID:
            return "undefined instruction", self._freed_text(pc)
        if error in _FETCHES:
            return self._jump(pc), [*self._freed_text(pc), *self._arrival(cpu, pc)]
        if error not in _ACCESSES:
            return f"the engine stopped with error {error}", []
        if error == unicorn_errors.WRITE_PROT and text_offset(address) >= 0:
            return f"write to text at {address:#x}", ["only text pokes may change text"]
        return f"{_ACCESSES[error]} at {address:#x}", self._address(address)

    def _exception(self, pc: int, number: int) -> tuple[str, list[str]]:
        name = engine_cpu(self._kernel.port).exceptions.get(number, "an exception")
        return f"{name} (exception {number}, which this kernel does not handle)", self._freed_text(pc)

    def _jump(self, pc: int) -> str:
        if pc < PAGE_SIZE:
            return f"jump to a null pointer: {pc:#x}"
        if DATA_BASE <= pc < self._kernel.engine.memory.stacks.end:
            return f"jump into data: {pc:#x}"
        return f"jump to where nothing is mapped: {pc:#x}"

    def _arrival(self, cpu: int, pc: int) -> list[str]:
        """Say whether the CPU got to a wrong place by a return."""
        engine, registers = self._kernel.engine, self._kernel.port.registers
        if registers.link:
            returned = unsigned64(engine.read_register(cpu, registers.link)) == pc
        else:
            sp = engine.read_register(cpu, registers.sp)
            stacks = engine.memory.stacks
            held = engine.memory.load(sp - 8) if stacks.base <= sp - 8 <= stacks.end - 16 else None
            returned = held == pc
        return ["that is what the return address said: it has been overwritten"] if returned else []

    def _bug(self, cpu: int, place: str) -> list[str]:
        """Say where an unexpected breakpoint was hit, which its handler's own place does not tell."""
        if not place.startswith("unexpected_"):
            return []
        address = self._kernel.last_breakpoint(cpu)
        lines = [
            f"{place.removeprefix('unexpected_')} at {self._whereabouts.place(address)}, hit by CPU{cpu}"
        ]
        return lines + self._freed_text(address) + self._stale(cpu)

    def _address(self, address: int) -> list[str]:
        if address < PAGE_SIZE:
            return ["that is a null pointer, or a member of what one points at"]
        if _POISON_LOW <= address < _POISON_HIGH:
            return ["that is list poison: a list entry was followed after it had been deleted"]
        for task in self._kernel.tasks:
            low, high = task.kernel_stack
            if low - PAGE_SIZE <= address < low:
                return [f"that is the guard page below the kernel stack of {named(task)}: stack overflow"]
            if high <= address < high + PAGE_SIZE:
                return [f"that is the guard page above the kernel stack of {named(task)}: stack underflow"]
        for heap in self._heaps:
            found = heap.find(address)
            if found is not None and found.freed_at >= 0:
                offset = address - found.address
                return [f"use after free: {found.what}+{offset:#x}, freed at cycle {found.freed_at:_}"]
        return ["that is text"] if text_offset(address) >= 0 else []

    def _freed_text(self, pc: int) -> list[str]:
        for area in self._areas:
            block = area.find(pc)
            if block is not None and block.freed_at >= 0:
                kind = area.area.name.removesuffix("s")
                return [f"executed a freed {kind}: {block.address:#x}, freed at cycle {block.freed_at:_}"]
        return []

    def _freed_on_stack(self, cpu: int) -> list[str]:
        """Say which freed text the task on ``cpu`` would still return to."""
        engine = self._kernel.engine
        sp = unsigned64(engine.read_register(cpu, self._kernel.port.registers.sp))
        low, high = self._whereabouts.task(cpu).kernel_stack
        if not low <= sp < high:
            return []
        words = (engine.memory.load(at) for at in range(-(-sp // 8) * 8, high, 8))
        found = dict.fromkeys(line for word in words for line in self._freed_text(word))
        return [line.replace("executed", "its stack leads back into", 1) for line in found]

    def _instruction(self, cpu: int, pc: int) -> list[str]:
        """Return the instruction at ``pc`` as the CPU fetches it, if that is text."""
        if text_offset(pc) < 0:
            return []
        code = self._kernel.engine.fetch.seen_by(cpu, pc, 16)
        decoded = decode_lite(self._kernel.port, code, pc, count=1)
        if not decoded:
            return [f"next instruction: none, {code[:8].hex(' ')} ..."]
        return [f"next instruction: {_text(decoded[0])} ({code[: decoded[0][1]].hex(' ')})"]

    def _stale(self, cpu: int) -> list[str]:
        """Say what this CPU fetches that memory no longer holds, and how far a text poke has got.

        A torn instruction may have sent it anywhere, so all that is outdated counts, not only what is near.
        """
        engine, lines = self._kernel.engine, []
        for start in engine.fetch.outdated(cpu)[:_OUTDATED_SHOWN]:
            size = max(engine.tables.instruction_at(start)[1], 1)
            seen, held = engine.fetch.seen_by(cpu, start, size), engine.memory.read(start, size)
            lines.append(
                f"CPU{cpu} fetches {self._coded(seen, start)} at {self._whereabouts.place(start)} "
                "where memory "
                f"holds {self._coded(held, start)}: it has not synchronised since the text poke"
            )
        return lines + self._last_poke()

    def _last_poke(self) -> list[str]:
        """Say what the instruction that was poked last has been, if the installation is still at work."""
        engine = self._kernel.engine
        start, before = engine.fetch.last_poked()
        if self._kernel.installer.idle or not before:
            return []
        held = engine.memory.read(start, max(engine.tables.instruction_at(start)[1], 1))
        steps = [self._coded(code, start) for code in before[-_STORES_SHOWN:]]
        place = self._whereabouts.place(start)
        return [f"last text poke, at {place}: {', then '.join(steps)}, now {self._coded(held, start)}"]

    def _coded(self, code: bytes, address: int) -> str:
        return f"{code.hex(' ')} ({self._disassembled(code, address)})"

    def _disassembled(self, code: bytes, address: int) -> str:
        decoded = decode_lite(self._kernel.port, code, address, count=1)
        return _text(decoded[0]) if decoded else "no instruction"


def _text(instruction: tuple[int, int, str, str]) -> str:
    return f"{instruction[2]} {instruction[3]}".strip()
