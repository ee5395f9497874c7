"""A CPU that dispatches calls as a program of the explorer: its code is the guest's own.

What it does is a list of items. Between any two events it may answer what the patching CPU asks for,
where `emu.lab.explorer.requests` allows that.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple, Protocol

from emu.lab.explorer.guest_code import Core, GuestCode, Micro, Run
from emu.lab.explorer.installer import POISON
from emu.lab.explorer.orders import Track
from emu.lab.explorer.places import Places
from emu.lab.explorer.requests import ANYWHERE, BETWEEN, STOP_MACHINE, SYNC, ack, is_ack, request
from emu.ordering.columns import READ
from emu.ordering.dependencies import NONE, Deps
from emu.ordering.models import Model
from emu.ordering.tree import Step, Wanted


class Finished(NamedTuple):
    """How a dispatching CPU ended.

    Args:
        results: of its items, in order.
        violation: what went wrong, "" if nothing did.
    """

    results: tuple[str, ...]
    violation: str


class Wish(NamedTuple):
    """What an item wants to happen next.

    Args:
        fetch: location of the instruction to fetch; None: run code.
        core: where code begins to run.
        allows: requests that may be answered before its first event.
        inside: and before its later ones; none while interrupts are off.
        data: the location is read as data.
    """

    fetch: Hashable = None
    core: Core | None = None
    allows: frozenset[str] = ANYWHERE
    inside: frozenset[str] = ANYWHERE
    data: bool = False


class State:
    """A dispatching CPU between two steps; never changed once it is handed out."""

    __slots__ = (
        "answered",
        "deps",
        "exclusive",
        "expected",
        "item",
        "kept",
        "last_read",
        "memory",
        "mode",
        "results",
        "run",
        "track",
        "violation",
        "visits",
        "wish",
    )

    def __init__(self, model: Model) -> None:
        self.track = Track(model)
        self.item = 0
        self.mode = "begin"
        """What it waits for: ``choice``, ``event``, ``request``, ``last request``."""
        self.wish = Wish()
        self.run: Run | None = None
        self.answered = 0
        self.deps: dict[str, Deps] = {}
        self.memory: dict[tuple[int, int], Deps] = {}
        self.exclusive: tuple[int, Deps] = -1, NONE
        self.last_read = -1, 0
        """Index of the last shared read, and the instruction that made it."""
        self.visits: dict[int, int] = {}
        """How often each instruction of the item has loaded something shared; never changed in place."""
        self.results: tuple[str, ...] = ()
        self.violation = ""
        self.expected: int | None = None
        """On which side of the transition its task is, as far as itself knows."""
        self.kept: Any = None
        """The item's own; immutable."""

    def copy(self) -> State:
        """Return a state that goes on independently, with no events yet."""
        new = object.__new__(State)
        for name in State.__slots__:
            setattr(new, name, getattr(self, name))
        new.track, new.deps, new.memory = self.track.copy(), self.deps.copy(), self.memory.copy()
        return new


class Item(Protocol):
    """One thing that a dispatching CPU does. Each method may change the state that it is given."""

    def begin(self, state: State) -> Wish | None:
        """Return what it does first; None: it is over."""

    def fetched(self, state: State, value: Any) -> Wish | None:
        """Go on with what was fetched."""

    def ran(self, state: State, run: Run) -> Wish | None:
        """Go on behind a run of code that has returned."""

    def stored(self, state: State, location: int, value: int) -> None:
        """Take note of a shared store."""


class Dispatcher:
    """The program.

    Args:
        model: of memory.
        cpu: its number.
        code: of the guest.
        items: what it does.
        expected: on which side of the transition its task begins, None if on none.
        places: where events' tags are kept.
        name: (pc) -> where in the guest's code that is.
        location: (location) -> its name.
        warned: (pc) -> what a WARN there says.
        possible: (location, value, stored to it itself) -> whether it can hold that.
        repeats: how often an instruction of one item can load anew: one more than the stores that make it.
    """

    def __init__(
        self,
        model: Model,
        cpu: int,
        code: GuestCode,
        items: Sequence[Item],
        *,
        expected: int | None,
        places: Places,
        name: Callable[[int], str],
        location: Callable[[Hashable], str],
        warned: Callable[[int], str],
        possible: Callable[[int, int, bool], bool] = lambda _location, _value, _own: True,
        repeats: int = 1,
    ) -> None:
        self._possible, self._repeats = possible, repeats
        self._model, self._cpu, self._code, self._items = model, cpu, code, tuple(items)
        self._expected, self._places, self._name = expected, places, name
        self._location, self._warned = location, warned
        self.touched: set[Hashable] = set()
        """Shared locations that it has accessed on some path."""

    def start(self) -> Step:
        """Return the first step."""
        state = State(self._model)
        state.expected = self._expected
        return self._begin(state)

    def way(self, state: State, number: int) -> Step:
        """Go on (0), or answer a request first (1)."""
        new = state.copy()
        new.mode = "request" if number else "event"
        return self._wait(new)

    def read(self, state: State, value: Hashable) -> Step:
        """Return the step that begins with the wanted read returning ``value``."""
        new = state.copy()
        if new.mode in ("request", "last request"):
            return self._answer(new, value)
        track, wish = new.track, new.wish
        if wish.fetch is not None:
            self.touched.add(wish.fetch)
            tag = self._places.tag("reads" if wish.data else "fetches")
            if wish.data:
                _, deps = track.read(wish.fetch, value, tag)
                track.branch(deps)
            else:
                track.fetch(wish.fetch, value, tag)
            return self._go(new, self._items[new.item].fetched(new, value))
        run = new.run
        assert run is not None, "code runs"
        assert run.wanted is not None, "it waits for a load"
        assert isinstance(value, int), "memory holds numbers"
        if value == POISON:
            track.read(run.wanted[0], value, self._places.tag(self._name(run.pc)))
            new.violation = f"use after free: {self._name(run.pc)} reads {self._location(run.wanted[0])}"
            return self._over(new)
        new.wish = wish._replace(allows=wish.inside)
        new.visits = {**new.visits, run.pc: new.visits.get(run.pc, 0) + 1}
        own = run.wanted[0] in track.own
        if not self._possible(run.wanted[0], value, own) or new.visits[run.pc] > self._repeats:
            return Step(events=track.events, state=new, dead=True)
        return self._ran(new, self._code.run(run.core, value))

    def key(self, state: State) -> Hashable:
        """Return what decides which values it can still store."""
        wish, run = state.wish, state.run
        return (
            state.item,
            state.mode,
            (wish.fetch, id(wish.core), wish.allows, wish.inside, wish.data),
            None if run is None else (self._code.contents(run.core), run.wanted, run.stop, run.pc),
            state.answered,
            state.expected,
            state.kept,
            bool(state.violation),
            frozenset(state.track.own.items()),
            frozenset(state.visits.items()),
        )

    def stage(self, state: State) -> Hashable:
        """Return its item and the instruction in it."""
        run = state.run
        return state.item, state.mode, state.wish.fetch, None if run is None else (run.pc, run.stop)

    def ahead(self, state: State, location: Hashable) -> int:
        """Return bits of its events so far that come before every store to a location still to come."""
        return state.track.ahead(release=is_ack(location))

    # --- items ---------------------------------------------------------------------------------

    def _begin(self, state: State) -> Step:
        if state.item == len(self._items):
            return self._over(state)
        return self._go(state, self._items[state.item].begin(state))

    def _go(self, state: State, wish: Wish | None) -> Step:
        if state.violation:
            return self._over(state)
        if wish is None:
            state.item, state.kept = state.item + 1, None
            return self._begin(state)
        state.wish = wish
        if wish.core is None:
            return self._stand(state)
        state.deps, state.memory, state.visits = {}, {}, {}
        return self._ran(state, self._code.run(wish.core))

    def _ran(self, state: State, run: Run) -> Step:
        self._apply(state, run.micros)
        state.run = run
        if run.wanted is not None:
            return self._stand(state)
        if run.stop == "warn":
            state.violation = self._warned(run.pc)
        elif run.stop == "fault":
            state.violation = f"{self._name(run.pc)} touches memory that is not there"
        return self._go(state, None if state.violation else self._items[state.item].ran(state, run))

    def _stand(self, state: State) -> Step:
        """Stand before an event: a request may be answered first."""
        if not state.wish.allows:
            state.mode = "event"
            return self._wait(state)
        state.mode = "choice"
        return Step(events=state.track.events, state=state, ways=2, completed=state.track.completed)

    def _wait(self, state: State) -> Step:
        """Want the event that comes next, or a request."""
        if state.mode == "event" and state.wish.fetch is not None:
            location = state.wish.fetch
            kind = READ if state.wish.data else state.track.fetch_kind
        elif state.mode == "event":
            assert state.run is not None, "code runs"
            assert state.run.wanted is not None, "it waits for a load"
            location, kind = state.run.wanted[0], READ
        else:
            location, kind = request(state.answered + 1), READ
        own = (state.track.own[location],) if location in state.track.own else ()
        return Step(
            events=state.track.events,
            state=state,
            wants=Wanted(location, kind, own),
            completed=state.track.completed,
        )

    # --- answers -------------------------------------------------------------------------------

    def _over(self, state: State) -> Step:
        state.mode = "last request"
        state.wish = Wish(allows=BETWEEN)
        return self._wait(state)

    def _answer(self, state: State, value: Hashable) -> Step:
        track, last = state.track, state.mode == "last request"
        if value == 0 and last:
            track.read(request(state.answered + 1), value, self._places.tag("idles"))
            final = Finished(state.results, state.violation)
            return Step(events=track.events, state=state, completed=track.completed, final=final)
        if value == 0 or value not in state.wish.allows:
            return Step(events=track.events, state=state, dead=True)
        state.answered += 1
        interrupt = value in (SYNC, STOP_MACHINE)
        tag = self._places.tag("takes the sync" if interrupt else "passes a quiescent state")
        if (
            interrupt
        ):  # an interrupt: what it brings is seen after it, what came before is seen before its end
            _, deps = track.read(request(state.answered), value, tag, acquire=True)
            track.branch(deps)
            track.synchronise(tag)
            track.write(ack(state.answered, self._cpu), 1, tag, release=True)
        else:
            _, deps = track.read(request(state.answered), value, tag)
            track.branch(deps)
            track.barrier("full")
            track.write(ack(state.answered, self._cpu), 1, tag)
            track.barrier("full")
        if last:
            return self._over(state)
        if value == STOP_MACHINE:
            return self._wait(state)  # for the next request
        return self._stand(state)

    # --- code ----------------------------------------------------------------------------------

    def _apply(self, state: State, micros: Sequence[Micro]) -> None:
        """Add what a run of code means to the order of events."""
        for micro in micros:
            if micro.kind in ("read", "write"):
                self.touched.add(micro.location[0])
                self._access(state, micro)
                continue
            deps = self._union(state, micro.reads)
            if micro.kind == "branch":
                state.track.branch(deps)
            elif micro.kind == "barrier":
                state.track.barrier(micro.how)
            elif micro.kind == "store":
                state.memory[micro.location] = deps
            else:
                if micro.kind == "load":
                    deps = state.memory.get(micro.location, NONE) | self._union(state, micro.addresses)
                for register in micro.writes:
                    state.deps[register] = deps

    @staticmethod
    def _union(state: State, registers: frozenset[str]) -> Deps:
        deps = NONE
        for register in registers:
            deps |= state.deps.get(register, NONE)
        return deps

    def _access(self, state: State, micro: Micro) -> None:
        track, location = state.track, micro.location[0]
        tag = self._places.tag(self._name(micro.pc))
        address = self._union(state, micro.addresses)
        locked = "locked" in micro.how
        if micro.kind == "read":
            index, deps = track.read(
                location, micro.value, tag, address=address, acquire="acquire" in micro.how, locked=locked
            )
            for register in micro.writes:
                state.deps[register] = deps
            state.last_read = index, micro.pc
            if "exclusive" in micro.how:
                state.exclusive = index, address
            return
        read = state.last_read[0] if state.last_read[1] == micro.pc else -1
        data = self._union(state, micro.reads)
        if "exclusive" in micro.how:
            read, before = state.exclusive
            track.write(
                location,
                micro.value,
                tag,
                address=address,
                data=data,
                release="release" in micro.how,
                atomic_read=read,
                exclusive=before,
            )
            for register in micro.writes:
                state.deps[register] = Deps(0, before.pick | address.pick | data.pick)
        elif locked:
            track.write(location, micro.value, tag, locked=True, atomic_read=read)
        else:
            track.write(
                location,
                micro.value,
                tag,
                address=address,
                data=data,
                release="release" in micro.how,
                own_read=read,
            )
        self._items[state.item].stored(state, location, micro.value)
