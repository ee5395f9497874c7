"""Grows the part of a program's choice tree that can go together with one path of another CPU.

Each event of the program knows which events of that path come before it. A read of a store that has been
replaced by then, or a store that is read before what it comes after, can't be: such a branch is cut off
where it begins, so that a tree is hardly larger than the executions that there are.
All that is concluded holds in every execution; what is not seen here, the search sees.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from emu.lab.explorer.reach import Keyed, Values, own_values
from emu.ordering.columns import FETCH, READ, SERIAL_FETCH, SERIALISE, WRITE
from emu.ordering.memory_use import MemoryLimit
from emu.ordering.tree import Event, Node, Step, Wanted

_INITIAL = -1
_Pair = tuple[Hashable, Hashable]

Most = dict[_Pair, int]
"""How often a program stores a value to a location, at most, on one way through it."""


class Foreseeing(Keyed, Protocol):
    """A program that tells what its later stores will be ordered after."""

    def ahead(self, state: Any, location: Hashable) -> int:
        """Return bits of its events so far that come before every store to a location still to come."""


class Path:
    """A path of the patching CPU.

    Args:
        nodes: from its start to its end.
        initial: value of each location that is not 0 at first.
    """

    def __init__(self, nodes: Sequence[Node], initial: Mapping[Hashable, object]) -> None:
        below: Node | None = None
        for node in reversed(nodes):
            below = Node(node.step, children=[] if below is None else [below])
        assert below is not None, "a path has a beginning"
        self.root = below
        events = [event for node in nodes for event in node.step.events]
        self.before: list[int] = []
        """Per event the events of the path that come before it, as bits."""
        self.writes: dict[Hashable, list[tuple[int, Hashable]]] = {}
        """Per location the numbers and values of the writes."""
        self.needs: dict[tuple[Hashable, Hashable], int] = {}
        """Per location and value that others must store: the number of the first read of it."""
        own: dict[Hashable, Hashable] = {}
        for number, event in enumerate(events):
            before = 0
            for earlier in _numbers(event.local):
                before |= self.before[earlier] | 1 << earlier
            self.before.append(before)
            if event.kind == WRITE:
                own[event.location] = event.value
                self.writes.setdefault(event.location, []).append((number, event.value))
            elif event.kind & (READ | FETCH):
                known = own.get(event.location, initial.get(event.location, 0))
                if event.value != known:
                    self.needs.setdefault((event.location, event.value), number)


class _Sofar(NamedTuple):
    """What is known of the program's events so far.

    Args:
        after: per event the events of the path that come before it, as bits.
        floors: per location the oldest write of the path that a later read can still see.
        serial: events of the path before the last serialising instruction.
        written: locations and values that the program has stored.
        own: locations that it has stored to.
        last: per location what it has seen or stored there last.
        used: how many stores of other CPUs it has seen for certain, per location and value.
    """

    after: tuple[int, ...]
    floors: Mapping[Hashable, int]
    serial: int
    written: frozenset[tuple[Hashable, Hashable]]
    own: frozenset[Hashable]
    last: Mapping[Hashable, Hashable]
    used: Mapping[_Pair, int]


class Fitting:
    """The growth of one program's tree against one path.

    Args:
        program: the program.
        path: of the patching CPU.
        initial: value of each location that is not 0 at first.
        mine: what the program may store.
        others: what CPUs that are neither may store, and how often.
        rules: of the model.
        memory: its limit.
    """

    def __init__(
        self,
        program: Foreseeing,
        path: Path,
        initial: Mapping[Hashable, object],
        *,
        mine: Values,
        others: Sequence[Most],
        rules: int,
        memory: MemoryLimit,
    ) -> None:
        self._program, self._path, self._initial = program, path, initial
        self._rules, self._memory = rules, memory
        self._others: dict[Hashable, dict[Hashable, int]] = {}
        """By location and value how often they store that."""
        for most in others:
            for (location, value), times in most.items():
                stored = self._others.setdefault(location, {})
                stored[value] = stored.get(value, 0) + times
        self._needs = {
            pair: number
            for pair, number in path.needs.items()
            if pair[1] in mine.get(pair[0], ()) and pair[1] not in self._others.get(pair[0], ())
        }
        """What only this program can store."""

    def grow(self) -> Node | None:
        """Return the tree; None if no way through the program fits."""
        return self._grow(self._program.start(), _Sofar((), {}, 0, frozenset(), frozenset(), {}, {}))

    def _grow(self, step: Step, sofar: _Sofar) -> Node | None:
        self._memory.check()
        known = self._extended(sofar, step.events)
        if known is None or not self._can_still_store(step, known):
            return None
        if step.wants is None and not step.ways:
            return Node(step._replace(state=None)) if self._needs.keys() <= known.written else None
        children = [child for after in self._after(step) if (child := self._grow(after, known)) is not None]
        if not children:
            return None
        ways = len(children) if step.ways else 0
        return Node(step._replace(state=None, ways=ways), children=children)

    def _after(self, step: Step) -> Iterator[Step]:
        """Yield the steps that may follow."""
        if step.wants is None:
            found = (self._program.way(step.state, number) for number in range(step.ways))
        else:
            found = (self._program.read(step.state, value) for value in self._values(step.wants))
        return (after for after in found if not after.dead)

    def _values(self, wants: Wanted) -> list[Hashable]:
        location = wants.location
        values = dict.fromkeys(own_values(wants, self._initial))
        values.update((value, None) for _, value in self._path.writes.get(location, ()))
        values.update(dict.fromkeys(self._others.get(location, {})))
        return list(values)

    # --- what must hold ------------------------------------------------------------------------

    def _extended(self, sofar: _Sofar, events: Sequence[Event]) -> _Sofar | None:
        """Return what is known with more events; None if they can't be."""
        after, floors, serial = list(sofar.after), dict(sofar.floors), sofar.serial
        written, own = set(sofar.written), set(sofar.own)
        last, used = dict(sofar.last), dict(sofar.used)
        for event in events:
            before = 0
            for earlier in _numbers(event.local):
                before |= after[earlier]
            if event.kind == WRITE:
                pair = event.location, event.value
                if pair in self._needs and pair not in written and before >> self._needs[pair] & 1:
                    return None
                written.add(pair)
                own.add(event.location)
                last[event.location] = event.value
            elif event.kind == SERIALISE:
                serial |= before
            elif event.kind & (READ | FETCH):
                found = self._read(event, before, floors, serial, own)
                if found is None or (event.kind == READ and not self._another(event, last, used)):
                    return None
                before = found
            after.append(before)
        return _Sofar(tuple(after), floors, serial, frozenset(written), frozenset(own), last, used)

    def _another(self, event: Event, last: dict[Hashable, Hashable], used: dict[_Pair, int]) -> bool:
        """Whether there is one more store that a data read can see.

        Coherence: what is not the value seen last comes from a store that has not been seen before.
        """
        location, value = event.location, event.value
        known = last.get(location, self._initial.get(location, 0))
        last[location] = value
        if value == known:
            return True
        pair = location, value
        used[pair] = used.get(pair, 0) + 1
        theirs = self._others.get(location, {}).get(value, 0)
        return used[pair] <= theirs + sum(
            stored == value for _, stored in self._path.writes.get(location, ())
        )

    def _read(
        self, event: Event, before: int, floors: dict[Hashable, int], serial: int, own: set[Hashable]
    ) -> int | None:
        """Return what comes before a read, now that its value is known; None if it can't have that."""
        location, value = event.location, event.value
        writes = self._path.writes.get(location, [])
        elsewhere = location in own or value in self._others.get(location, ())
        floor = floors.get(location, _INITIAL) if event.kind == READ else _INITIAL
        # A data read can't miss what comes before it; on x86 a fetch not what came before serialising.
        refreshed = serial if self._rules & SERIAL_FETCH else 0
        seen = before if event.kind == READ else refreshed
        oldest: int | None = None
        common: int | None = None
        for place in range(len(writes) - 1, -2, -1):
            if place < floor:
                break
            stored = writes[place][1] if place >= 0 else self._initial.get(location, 0)
            number = writes[place][0] if place >= 0 else -1
            if stored == value:
                brings = self._path.before[number] | 1 << number if place >= 0 else 0
                common = brings if common is None else common & brings
                oldest = place
            if place >= 0 and seen >> number & 1:
                break
        if elsewhere:
            return before
        if common is None or oldest is None:
            return None
        if event.kind == READ:
            floors[location] = oldest
        return before | common

    def _can_still_store(self, step: Step, known: _Sofar) -> bool:
        """Whether what the path still needs can be stored: not if it was needed before what has been done."""
        for pair, number in self._needs.items():
            if pair in known.written:
                continue
            for event in _numbers(self._program.ahead(step.state, pair[0])):
                if known.after[event] >> number & 1:
                    return False
        return True


def most_stores(root: Node) -> Most:
    """Return how often a tree's program stores each value to each location, at most, on one way."""
    found: Most = {}
    waiting: list[tuple[Node, Most]] = [(root, {})]
    while waiting:
        node, times = waiting.pop()
        for event in node.step.events:
            if event.kind == WRITE:
                pair = event.location, event.value
                times = {**times, pair: times.get(pair, 0) + 1}
                found[pair] = max(found.get(pair, 0), times[pair])
        waiting += [(child, times) for child in node.children]
    return found


def _numbers(bits: int) -> Iterator[int]:
    while bits:
        low = bits & -bits
        yield low.bit_length() - 1
        bits ^= low
