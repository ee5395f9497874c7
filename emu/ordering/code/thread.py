"""Runs the instructions of one CPU up to its next read, once per value that the read may return.

A CPU's state is copied where paths part and never changed after that. An instruction is a
function of the state. It returns None when it is done, a ``Pending`` when it needs a value from
memory, or ``Ways`` when it can go on in more than one way.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple, TypeVar

from emu.ordering.code.errors import CodeError, UnsupportedError
from emu.ordering.code.layout import Access, FinerError, Layout
from emu.ordering.columns import FETCH
from emu.ordering.tree import Event, Step, Wanted

_KNOWN_LOOP = 0.02
"""Of a turn through a loop that counts to a number in the code, as a share of one that is counted.

# assumed: 50 times `Code.unroll` turns are enough for the loops of litmus tests, and end soon enough.
"""


class Pending(NamedTuple):
    """A read that an instruction makes, and how it goes on.

    Args:
        event: of the read; its value is filled in later.
        then: is called with the state and the value.
    """

    event: Event
    then: Callable[[Any, Any], Any]


class Ways(NamedTuple):
    """Several ways to go on, none of them decided by a value."""

    ways: Sequence[Callable[[Any], Any]]


Result = Pending | Ways | None
Instruction = Callable[[Any], Result]


class Dead(Exception):  # noqa: N818 - not an error: a path that can't happen
    """The path taken can't happen."""


class Code:
    """The instructions of all CPUs in one text, so that one can execute what stands in another's column.

    Args:
        instructions: compiled; None where a CPU stops.
        exposed: indices that some CPU may write.
        decode: gives what a value means as an instruction at an index.
        unroll: how often a backward jump is taken.

    ``cut`` tells whether a path was cut off because of that; ``layout`` which bytes are accessed together.
    """

    BASE = 0x4000_0000
    """Address of the first instruction; each takes 4 bytes."""

    __slots__ = ("_restricted", "cut", "decode", "exposed", "instructions", "layout", "unroll")

    def __init__(
        self, instructions: list[Instruction | None], exposed: frozenset[int],
        decode: Callable[[Any, int], Instruction], restricted: Callable[[Any, int], bool], unroll: int,
    ) -> None:  # fmt: skip
        self.instructions = instructions
        self.exposed = exposed
        self.decode = decode
        self._restricted = restricted
        self.unroll = unroll
        self.cut = False
        self.layout = Layout({})

    def access(self, address: int, size: int) -> Access:
        """Return in which pieces an access is made.

        Args:
            address: of its first byte.
            size: in bytes.

        Raises:
            UnsupportedError: it touches a part of an instruction that may be written.
            FinerError: not in the pieces known so far.
        """
        found = self.layout.access(address, size)
        if self.exposed and (len(found.pieces) > 1 or size < 4 or not self.is_text(address)):
            last = min(address + size - 1, self.address(len(self.instructions)))
            if any(self.is_text(at & ~3) for at in range(max(address, self.BASE), last + 1)):
                raise UnsupportedError("accesses to parts of instructions are not modelled")
        return found

    def address(self, index: int) -> int:
        """Return the address of an instruction."""
        return self.BASE + 4 * index

    def index(self, address: int) -> int | None:
        """Return which instruction stands at an address; None: no instruction."""
        offset = address - self.BASE
        if offset % 4 or not 0 <= offset < 4 * len(self.instructions):
            return None
        return offset // 4

    def is_text(self, address: int) -> bool:
        """Whether an instruction that may be written stands at an address."""
        return self.index(address) in self.exposed

    def restricts(self, address: int, value: Any) -> bool:
        """Whether an instruction is not free to be modified while it is executed."""
        index = self.index(address)
        return index in self.exposed and index is not None and self._restricted(value, index)


_T = TypeVar("_T")


def settled(code: Code, attempt: Callable[[], _T]) -> _T:
    """Return what an attempt to run some code returns once all its accesses are known.

    Args:
        code: that is run; its layout becomes finer as long as attempts raise `FinerError`.
        attempt: to run it.
    """
    while True:
        try:
            return attempt()
        except FinerError as finer:
            code.layout = code.layout.finer(finer.accesses)
            code.cut = False


class State:
    """One CPU between two instructions.

    Args:
        code: of all CPUs.
        order: places its events.
        registers: unsigned ints of 64 bits by name.
        index: of the instruction that comes next.
        handler: index of its fault handler; -1: none.

    ``deps`` say what registers were made from, ``own`` is what this CPU wrote last to each location,
    ``texts`` all it wrote to code, ``monitor`` what its last load-exclusive left. ``jumps`` counts backward
    jumps by their target. ``faults`` are (index, kind) in order, ``handling`` is true inside the handler,
    ``notes`` are flags of the test. ``result`` is what the CPU waits for, ``ended`` says that it has
    stopped, ``cut`` that a loop was cut off.
    """

    __slots__ = (
        "code",
        "cut",
        "deps",
        "ended",
        "events",
        "faults",
        "handler",
        "handling",
        "index",
        "jumps",
        "monitor",
        "notes",
        "order",
        "own",
        "registers",
        "result",
        "texts",
    )

    def __init__(
        self, code: Code, order: Any, registers: dict[str, int], index: int, handler: int = -1
    ) -> None:
        self.code = code
        self.handler = handler
        self.handling = False
        self.order = order
        self.registers = registers
        self.deps: dict[str, Any] = {}
        self.own: dict[Hashable, Any] = {}
        self.texts: dict[Hashable, tuple[Any, ...]] = {}
        self.monitor: Any = None
        self.index = index
        self.jumps: dict[int, float] = {}
        self.events: list[Event] = []
        self.faults: tuple[Any, ...] = ()
        self.notes: frozenset[str] = frozenset()
        self.cut = False
        self.ended = False
        self.result: Any = None

    def copy(self) -> State:
        """Return a state that goes on independently, with no events yet."""
        new = object.__new__(State)
        new.code = self.code
        new.handler = self.handler
        new.handling = self.handling
        new.order = self.order.copy()
        new.registers = self.registers.copy()
        new.deps = self.deps.copy()
        new.own = self.own.copy()
        new.texts = self.texts
        new.monitor = self.monitor
        new.index = self.index
        new.jumps = self.jumps
        new.events = []
        new.faults = self.faults
        new.notes = self.notes
        new.cut = self.cut
        new.ended = self.ended
        new.result = None
        return new

    def wrote(self, event: Event) -> None:
        """Record a write of this CPU."""
        self.events.append(event)
        self.own[event.location] = event.value

    def jump(self, index: int, *, counted: bool = True) -> None:
        """Go on at an instruction; a backward jump too many cuts the path off.

        Args:
            index: of the instruction.
            counted: whether only `Code.unroll` backward ones are taken; if not, fifty times as many are.

        Raises:
            CodeError: no instruction has that index.
        """
        if not 0 <= index < len(self.code.instructions):
            raise CodeError("a branch leaves the code")
        if index < self.index:
            taken = self.jumps.get(index, 0) + (1 if counted else _KNOWN_LOOP)
            self.jumps = {**self.jumps, index: taken}
            if taken > self.code.unroll:
                self.cut = self.code.cut = True
                self.ended = True
                return
        self.index = index


class Thread:
    """The program of one CPU for `emu.ordering.explore`.

    Args:
        state: that it starts in.
        finish: gives from a state what the caller wants to know of a CPU that has ended.

    Its methods raise a `CodeError` with the index of the instruction that can't be executed.
    """

    def __init__(self, state: State, finish: Callable[[State], Any]) -> None:
        self._first = state
        self._finish = finish

    def start(self) -> Step:
        """Return the first step."""
        return self._go(self._first.copy(), lambda state: None)

    def read(self, state: State, value: Hashable) -> Step:
        """Return the step that begins with the wanted read returning ``value``."""
        pending: Pending = state.result
        new = state.copy()
        new.events.append(pending.event._replace(value=value))
        return self._go(new, lambda state: pending.then(state, value))

    def way(self, state: State, number: int) -> Step:
        """Return the step along one of the ways."""
        ways: Ways = state.result
        return self._go(state.copy(), ways.ways[number])

    def _go(self, state: State, begin: Callable[[State], Result]) -> Step:
        """Return the step that begins so and ends at the next read or choice."""
        try:
            return self._run(state, begin(state))
        except Dead:
            return Step(events=state.events, state=state, dead=True)
        except CodeError as error:
            error.index = state.index - 1  # `index` is that of the next instruction
            raise

    def _run(self, state: State, result: Result) -> Step:
        code = state.code
        exposed = code.exposed
        instructions = code.instructions
        while result is None:
            index = state.index
            instruction = None if state.ended else instructions[index]
            if instruction is None:
                return Step(
                    events=state.events,
                    state=state,
                    completed=state.order.completed,
                    final=self._finish(state),
                )
            state.index = index + 1
            result = self._fetch(state, index) if index in exposed else instruction(state)
        state.result = result
        completed = state.order.completed
        if isinstance(result, Pending):
            event = result.event
            location = event.location
            if event.kind == FETCH:
                own = state.texts.get(location, ())
            else:
                own = (state.own[location],) if location in state.own else ()
            return Step(state.events, state, Wanted(location, event.kind, own), 0, completed)
        return Step(state.events, state, None, len(result.ways), completed)

    @staticmethod
    def _fetch(state: State, index: int) -> Pending:
        code = state.code
        address = code.address(index)
        placed = state.order.fetch(address)

        def decoded(new: State, value: Any) -> Result:
            new.events[-1] = new.events[-1]._replace(restricted=code.restricts(address, value))
            return code.decode(value, index)(new)

        return Pending(Event(FETCH, address, None, placed.local, placed.synced), decoded)
