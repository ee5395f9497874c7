"""Explores text pokes: a site is rewritten while other CPUs run it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

from emu.build.memory_map import KERNEL_TEXT
from emu.ftrace.text_poke import TextPoke
from emu.lab.explorer.dispatcher import Dispatcher, Item, State, Wish
from emu.lab.explorer.guest_code import Core, GuestCode, Run
from emu.lab.explorer.installer import Installer, TextStore
from emu.lab.explorer.judge import Found
from emu.lab.explorer.names import Names
from emu.lab.explorer.orders import RULES
from emu.lab.explorer.places import Places
from emu.lab.explorer.replay import Replay, Trace
from emu.lab.explorer.requests import ANYWHERE, BETWEEN
from emu.lab.explorer.splitting import explore_split
from emu.lab.explorer.world import FUNCTION, World
from emu.machine.operations import Barrier, OpKind
from emu.ordering.models import Model
from emu.structs import PERCPU

DONE = KERNEL_TEXT.end - 0x40
"""A word that is set when the poke is complete, so that one can ask for what comes after it."""
_ENDS = KERNEL_TEXT.end - 16
_FRAME = 0x800
INT3 = 0xCC


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Part of a site that one fetch gets: on arm64 a word, on x86-64 bytes.

    An x86-64 CPU may fetch any byte of an instruction before or after the others. The bytes behind the
    first two are stored by the same stores, so nothing new can happen to each of them alone: they are one.

    Args:
        address: of it.
        size: bytes.
        old, new: what stands there before and after.
        part: which instruction of the site it belongs to.
    """

    address: int
    size: int
    old: int
    new: int
    part: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Poking:
    """One poke.

    Args:
        name, description: for people.
        ports: where there is such a thing.
        pieces: (world, site) -> what is rewritten.
        body: (replay, pieces) -> what the patching CPU does.
        dropped: what it leaves out.
        wrong: (old or new, per part of the site) -> what is wrong with running the parts so; "" if nothing is.
    """

    name: str
    description: str
    ports: tuple[str, ...] = ("x86_64", "arm64")
    pieces: Callable[[World, int], tuple[Piece, ...]]
    body: Callable[[Replay, Sequence[Piece]], None]
    dropped: tuple[str, ...] = ()
    wrong: Callable[[tuple[str, ...]], str] = field(default=lambda parts: "")


def bytes_of(pieces: Sequence[Piece], *, new: bool) -> bytes:
    """Return the bytes that pieces stand for."""
    return b"".join((piece.new if new else piece.old).to_bytes(piece.size, "little") for piece in pieces)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSite:
    """Running the site: every instruction of it is fetched; x86-64's INT3 leads to its handler.

    Args:
        pieces: of the site.
        code: of the guest.
        handler: ``poke_int3_handler`` with its argument, on ports that have it.
        resumed: (core behind it) -> what its frame goes on with: ``old``, ``new``, ``""``: it knows of no poke.
        wrong: see `Poking`.
    """

    pieces: tuple[Piece, ...]
    code: GuestCode
    handler: Core | None
    resumed: Callable[[Core], str]
    wrong: Callable[[tuple[str, ...]], str]

    def begin(self, state: State) -> Wish | None:
        """Fetch the first piece."""
        state.kept = ()
        return self._next(state)

    def _next(self, state: State) -> Wish | None:
        number = len(state.kept)
        if number == len(self.pieces):
            return self._done(state)
        piece = self.pieces[number]
        fresh = number == 0 or self.pieces[number - 1].part != piece.part
        allows = BETWEEN if number == 0 else ANYWHERE if fresh else frozenset[str]()
        return Wish(fetch=f"text {piece.address:#x}", allows=allows)

    def fetched(self, state: State, value: Any) -> Wish | None:
        """Fetch the next piece, or take the trap."""
        if self.handler is not None and value == INT3 and not state.kept:
            off: frozenset[str] = frozenset()  # a trap comes through an interrupt gate
            return Wish(core=self.handler, allows=off, inside=off)
        state.kept = (*state.kept, value)
        return self._next(state)

    def ran(self, state: State, run: Run) -> Wish | None:
        """Look where the breakpoint's handler goes on."""
        went = self.resumed(run.core)
        if not went:
            state.results = (*state.results, "int3")
            state.violation = "an int3 that nobody knows of: poke_int3_handler finds no poke"
            return None
        self._note(state, went, f"int3, emulated {went}")
        state.track.synchronise(0)  # IRET serialises
        return None

    def stored(self, state: State, location: int, value: int) -> None:
        """Take no note."""

    def _done(self, state: State) -> Wish | None:
        parts = []
        for part in sorted({piece.part for piece in self.pieces if piece.old != piece.new}):
            mine = [(p, v) for p, v in zip(self.pieces, state.kept, strict=True) if p.part == part]
            if all(value == piece.old for piece, value in mine):
                parts.append("old")
            elif all(value == piece.new for piece, value in mine):
                parts.append("new")
            else:
                state.results = (*state.results, "torn")
                state.violation = "it runs bytes of the old and of the new instruction as one"
                return None
        wrong = self.wrong(tuple(parts))
        if wrong:
            state.results = (*state.results, " then ".join(parts))
            state.violation = wrong
            return None
        went = parts[-1] if len(set(parts)) == 1 else "old"
        self._note(state, went, " then ".join(dict.fromkeys(parts)))
        return None

    @staticmethod
    def _note(state: State, went: str, told: str) -> None:
        state.results = (*state.results, told)
        if state.expected and went != "new":
            state.violation = "it runs the old instruction after it has seen the poke complete"


@dataclass(frozen=True, slots=True, kw_only=True)
class LookDone:
    """Looking whether the poke is complete; from then on only the new instruction is right."""

    def begin(self, state: State) -> Wish | None:
        """Load the word."""
        return Wish(fetch=DONE, data=True, allows=BETWEEN)

    def fetched(self, state: State, value: Any) -> Wish | None:
        """Note it."""
        state.results = (*state.results, "complete" if value else "not complete")
        state.expected = 1 if value else None
        return None

    def ran(self, state: State, run: Run) -> Wish | None:
        """Run nothing."""
        raise AssertionError("no code")

    def stored(self, state: State, location: int, value: int) -> None:
        """Store nothing."""


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
        return [[names] * cpus for names in (("site",), ("done", "site"), ("site", "done", "site"))]

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
            OpKind.STORE, OpKind.BARRIER, OpKind.TEXT_STORE, OpKind.CACHE_CLEAN, OpKind.CACHE_INVALIDATE, OpKind.SYNC,
            OpKind.ATOMIC_ADD,
        )  # fmt: skip
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
                port.registers.args[0]: regs, port.registers.sp: stack,
                port.registers.pc: world.address("poke_int3_handler"),
            }  # fmt: skip
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
        self, model: Model, items: Sequence[Sequence[str]], *, dropped: frozenset[str] = frozenset(),
        max_seconds: float | None = None, max_executions: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Found:  # fmt: skip
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
            model, lambda _answers: trace, cpus=range(1, len(items) + 1), relevant=frozenset({DONE, *self._words}),
            text=self._text, lines=self._lines, syncs=lambda _trace, _index: True, gates={}, source=0,
            initial=initial, dropped=dropped | frozenset(self.poking.dropped), places=places, done=DONE,
        )  # fmt: skip
        dispatchers = [
            Dispatcher(
                model, cpu, code, self._items(code, cpu, names),
                expected=None, places=places, name=self.code_name, location=self.location_name, warned=self.code_name,
                possible=self._possible(len(items), dropped), repeats=1 + 2 * max(1, len(items)),
            )
            for cpu, names in enumerate(items, 1)
        ]  # fmt: skip
        found = explore_split(
            [installer, *dispatchers], initial, rules=RULES[model], max_seconds=max_seconds,
            max_executions=max_executions, progress=progress,
        )  # fmt: skip
        return Found(
            exploration=found, places=places, name=self.location_name, value=self.value_name
        )  # fmt: skip

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


# --- what is poked ------------------------------------------------------------------------------


def _site(world: World, site: int, *, on: bool) -> tuple[Piece, ...]:
    port = world.port
    call = port.encode_call(site, world.address("ftrace_caller"))
    old, new = (port.site.nop, call) if on else (call, port.site.nop)
    return pieces_of(site, old, new, (1, 1, 3) if port.text_is_coherent else (4,))


def pieces_of(
    at: int, old: bytes, new: bytes, sizes: Sequence[int], parts: Sequence[int] = ()
) -> tuple[Piece, ...]:
    """Return the pieces of a site.

    Args:
        at: its address.
        old, new: its bytes before and after.
        sizes: of the pieces.
        parts: the instruction that each is part of; all of one if not given.
    """
    found, offset = [], 0
    for number, size in enumerate(sizes):
        before, after = (int.from_bytes(data[offset : offset + size], "little") for data in (old, new))
        part = parts[number] if parts else 0
        found.append(Piece(address=at + offset, size=size, old=before, new=after, part=part))
        offset += size
    return tuple(found)


def poke_site(replay: Replay, pieces: Sequence[Piece]) -> None:
    """Rewrite a site by the port's own protocol."""
    TextPoke(replay.guest, replay.ftrace.kallsyms).poke(pieces[0].address, bytes_of(pieces, new=True))


POKING: Mapping[str, Poking] = MappingProxyType({
    poking.name: poking
    for poking in (
        Poking(
            name="poke-on", description="a site is switched on while it is run",
            pieces=lambda world, site: _site(world, site, on=True), body=poke_site,
        ),
        Poking(
            name="poke-off", description="a site is switched off while it is run",
            pieces=lambda world, site: _site(world, site, on=False), body=poke_site,
        ),
    )
})  # fmt: skip
"""By name."""
