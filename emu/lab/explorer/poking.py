"""Explores text pokes: a site is rewritten while other CPUs run it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import cached_property
from typing import Any

from emu.build.memory_map import KERNEL_TEXT
from emu.lab.explorer.dispatcher import Dispatcher, Item
from emu.lab.explorer.guest_code import Core, GuestCode
from emu.lab.explorer.installer import Installer, TextStore
from emu.lab.explorer.judge import Found
from emu.lab.explorer.names import Names
from emu.lab.explorer.orders import RULES
from emu.lab.explorer.places import Places
from emu.lab.explorer.pokes import Poking, bytes_of
from emu.lab.explorer.replay import Replay, Trace
from emu.lab.explorer.site_runs import DONE, INT3, LookDone, RunSite
from emu.lab.explorer.splitting import explore_split
from emu.lab.explorer.world import FUNCTION, World
from emu.machine.operations import Barrier, OpKind
from emu.ordering.budget import Budget
from emu.ordering.models import Model
from emu.structs import PERCPU

_ENDS = KERNEL_TEXT.end - 16
_FRAME = 0x800


class PokeLaboratory:
    """One poke on one machine, to be explored under several models and with steps left out.

    Args:
        world: the machine.
        poking: what is poked, and how.
    """

    def __init__(self, world: World, poking: Poking) -> None:
        self.world, self.poking = world, poking
        self._pristine = Replay(world)
        site = self._pristine.ftrace.sites.entry_site(world.address(FUNCTION)).ip
        self.pieces = poking.pieces(world, site)
        self._traces: dict[frozenset[str], Trace] = {}
        self.names = Names(world, ())

    @property
    def name(self) -> str:
        """Of the scenario."""
        return self.poking.name

    @property
    def arch(self) -> str:
        """Port."""
        return self.world.port.name

    def programs(self, cpus: int) -> list[list[tuple[str, ...]]]:
        """Return what the dispatching CPUs do."""
        short, asks, whole = ("site",), ("done", "site"), ("site", "done", "site")
        # With several breakpoint handlers on each of two CPUs, the orders of their counting are too many.
        others = asks if self.world.port.tracing.shield else whole
        return [[short] * cpus, [asks] * cpus, [whole, *[others] * (cpus - 1)]]

    def _trace(self, dropped: frozenset[str]) -> Trace:
        if dropped not in self._traces:
            replay = Replay(self.world, dropped=dropped | frozenset(self.poking.dropped))

            def body(replay: Replay) -> None:
                self.poking.body(replay, self.pieces)
                replay.guest.barrier(Barrier.MB, "unlock text_mutex")

            self._traces[dropped] = replay.trace(body)
        return self._traces[dropped]

    def steps(self) -> list[str]:
        """Return the steps of the poke, by name."""
        kinds = (
            OpKind.STORE,
            OpKind.BARRIER,
            OpKind.TEXT_STORE,
            OpKind.CACHE_CLEAN,
            OpKind.CACHE_INVALIDATE,
            OpKind.SYNC,
            OpKind.ATOMIC_ADD,
        )
        found = dict.fromkeys(
            entry.operation.what
            for entry in self._trace(frozenset()).entries
            if entry.operation.kind in kinds
        )
        return [name for name in found if name not in ("unlock text_mutex", "bl", "first byte")]

    def _text(self, trace: Trace, index: int) -> TextStore | None:
        operation = trace.entries[index].operation
        writes: list[tuple[Hashable, Any]] = []
        for piece in self.pieces:
            offset = piece.address - operation.address
            if offset >= 0 and offset + piece.size <= len(operation.data):
                value = int.from_bytes(operation.data[offset : offset + piece.size], "little")
                writes.append((f"text {piece.address:#x}", value))
        return TextStore(writes=tuple(writes)) if writes else None

    def _lines(self, address: int, size: int) -> tuple[Hashable, ...]:
        return tuple(
            f"text {piece.address:#x}" for piece in self.pieces if address <= piece.address < address + size
        )

    @cached_property
    def _words(self) -> dict[int, int]:
        kinds = (OpKind.STORE, OpKind.ATOMIC_ADD)
        return {
            entry.operation.address: entry.operation.size or 8
            for entry in self._trace(frozenset()).entries
            if entry.operation.kind in kinds
        }

    def _initial(self) -> dict[Hashable, Any]:
        initial: dict[Hashable, Any] = {
            at: self._pristine.memory.load(at, size) for at, size in self._words.items()
        }
        initial[DONE] = 0
        initial |= {f"text {piece.address:#x}": piece.old for piece in self.pieces}
        return initial

    def _shared(self, address: int, size: int) -> tuple[int, int] | None:
        return (address, size) if self._words.get(address) == size else None

    def _possible(self, cpus: int, dropped: frozenset[str]) -> Callable[[int, int, bool], bool]:
        """The count of a poke's users is at most one for the poke and one per CPU that is inside."""
        shield = self.world.port.tracing.shield
        count = self.world.address(shield) if shield else 0
        less = {(1 << 64) - 1} if "bp_desc refs" in dropped else set()

        def possible(location: int, value: int, own: bool) -> bool:
            return location != count or value <= cpus + own or value in less

        return possible

    def _item(self, code: GuestCode, cpu: int) -> RunSite:
        world, port = self.world, self.world.port
        handler = None
        task = world.users[cpu - 1]
        stack = task.kernel_stack[1] - _FRAME
        regs = stack + 0x100
        first = self.pieces[0].address
        new = bytes_of(self.pieces, new=True)
        size = len(new)
        ip = 0
        if port.tracing.shield:
            memory: dict[int, int] = {}
            ip = regs + port.pt_regs.offset("ip")
            for address, value in (
                (ip, first + 1),
                (regs + port.pt_regs.offset("sp"), stack),
                (stack, _ENDS),
            ):
                memory.update({address + i: value >> 8 * i & 0xFF for i in range(8)})
            registers = {
                port.registers.args[0]: regs,
                port.registers.sp: stack,
                port.registers.pc: world.address("poke_int3_handler"),
            }
            memory[world.percpu[cpu] + PERCPU.offset("preempt_count")] = 0
            handler = code.core(registers, percpu=world.percpu[cpu], memory=memory)
        called = port.call_target(first, new)

        def resumed(core: Core) -> str:
            if not code.register(core, port.registers.result) & 0xFFFF_FFFF:
                return ""
            at = code.private(core, ip)
            return "new" if at == (called if called is not None else first + size) else "old"

        return RunSite(
            pieces=self.pieces, code=code, handler=handler, resumed=resumed, wrong=self.poking.wrong
        )

    def _items(self, code: GuestCode, cpu: int, names: Sequence[str]) -> list[Item]:
        known: dict[str, Item] = {"site": self._item(code, cpu), "done": LookDone()}
        return [known[name] for name in names]

    def explore(
        self,
        model: Model,
        items: Sequence[Sequence[str]],
        *,
        dropped: frozenset[str] = frozenset(),
        budget: Budget,
    ) -> Found:
        """Return every outcome; see `emu.lab.explorer.run.Laboratory`."""
        world, places = self.world, Places()
        places.tag("iret")
        code = GuestCode(
            world.port,
            world.memory,
            self._pristine.memory.read,
            shared=self._shared,
            ends=_ENDS,
            warns=frozenset(),
        )
        initial = self._initial()
        trace = self._trace(dropped)
        installer = Installer(
            model,
            lambda _answers: trace,
            cpus=range(1, len(items) + 1),
            relevant=frozenset({DONE, *self._words}),
            text=self._text,
            lines=self._lines,
            syncs=lambda _trace, _index: True,
            gates={},
            source=0,
            initial=initial,
            dropped=dropped | frozenset(self.poking.dropped),
            places=places,
            done=DONE,
        )
        dispatchers = [
            Dispatcher(
                model,
                cpu,
                code,
                self._items(code, cpu, names),
                expected=None,
                places=places,
                name=self.code_name,
                location=self.location_name,
                warned=self.code_name,
                possible=self._possible(len(items), dropped),
                repeats=1 + 2 * max(1, len(items)),
            )
            for cpu, names in enumerate(items, 1)
        ]
        found = explore_split(
            installer,
            dispatchers,
            initial,
            rules=RULES[model],
            budget=budget,
        )
        return Found(exploration=found, places=places, name=self.location_name, value=self.value_name)

    def code_name(self, pc: int) -> str:
        """Return where in the guest's code an address is."""
        place = self._pristine.ftrace.kallsyms.containing(pc)
        return f"{place.symbol.name}+{place.offset:#x}" if place is not None else f"{pc:#x}"

    def location_name(self, location: Hashable) -> str:
        """Return the name of a location."""
        if location == DONE:
            return "poke complete"
        for piece in self.pieces:
            if location == f"text {piece.address:#x}":
                offset = piece.address - self.pieces[0].address
                return f"site+{offset}" if piece.size == 1 else f"site+{offset}..{offset + piece.size - 1}"
        return self.names.location(location)

    def value_name(self, location: Hashable, value: Hashable) -> str:
        """Return what a value of a location stands for."""
        if isinstance(location, str) and location.startswith("text") and isinstance(value, int):
            piece = next(p for p in self.pieces if location == f"text {p.address:#x}")
            told = {piece.old: "old", piece.new: "new", INT3: "int3"}.get(value, "")
            return f"{value:#0{2 * piece.size + 2}x} ({told})" if told else f"{value:#x}"
        return self.names.value(location, value)
