"""Grows the part of a program's choice tree that can go together with one path of another CPU.

Each event of the program knows which events of that path come before it. A read of a store that has been
replaced by then, or a store that is read before what it comes after, can't be: such a branch is cut off
where it begins, so that a tree is hardly larger than the executions that there are.
All that is concluded holds in every execution; what is not seen here, the search sees.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from emu.lab.explorer.contended import Standing, Word
from emu.lab.explorer.reach import Keyed, Values, own_values
from emu.ordering.columns import FETCH, READ, SERIAL_FETCH, SERIALISE, WRITE
from emu.ordering.memory_use import MemoryLimit
from emu.ordering.tree import Event, Node, Step, Wanted

_INITIAL = -1


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
        self.events = [event for node in nodes for event in node.step.events]
        self.before: list[int] = []
        """Per event the events of the path that come before it, as bits."""
        self.writes: dict[Hashable, list[tuple[int, Hashable]]] = {}
        """Per location the numbers and values of the writes."""
        self.needs: dict[tuple[Hashable, Hashable], int] = {}
        """Per location and value that others must store: the number of the first read of it."""
        own: dict[Hashable, Hashable] = {}
        for number, event in enumerate(self.events):
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
        words: per word that several CPUs store to, how all may stand there.
    """

    after: tuple[int, ...]
    floors: Mapping[Hashable, int]
    serial: int
    written: frozenset[tuple[Hashable, Hashable]]
    own: frozenset[Hashable]
    words: tuple[Standing, ...]


class Fitting:
    """The growth of one program's tree against one path.

    Args:
        program: the program.
        path: of the patching CPU.
        initial: value of each location that is not 0 at first.
        mine: what the program may store.
        others: what CPUs that are neither may store.
        words: the words that several of them store to.
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
        others: Sequence[Values],
        words: Sequence[Word],
        rules: int,
        memory: MemoryLimit,
    ) -> None:
        self._program, self._path, self._initial = program, path, initial
        self._rules, self._memory = rules, memory
        self._words = tuple(words)
        self._others: dict[Hashable, dict[Hashable, None]] = {}
        for values in others:
            for location, stored in values.items():
                self._others.setdefault(location, {}).update(stored)
        self._needs = {
            pair: number
            for pair, number in path.needs.items()
            if pair[1] in mine.get(pair[0], ()) and pair[1] not in self._others.get(pair[0], ())
        }
        """What only this program can store."""

    def grow(self) -> Node | None:
        """Return the tree; None if no way through the program fits."""
        words = tuple(word.start for word in self._words)
        return self._grow(self._program.start(), _Sofar((), {}, 0, frozenset(), frozenset(), words))

    def _grow(self, step: Step, sofar: _Sofar) -> Node | None:
        self._memory.check()
        known = self._extended(sofar, step.events)
        if known is None or not self._can_still_store(step, known):
            return None
        if step.wants is None and not step.ways:
            return Node(step._replace(state=None)) if self._is_end(known) else None
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
        values.update(self._others.get(location, {}))
        return list(values)

    # --- what must hold ------------------------------------------------------------------------

    def _extended(self, sofar: _Sofar, events: Sequence[Event]) -> _Sofar | None:
        """Return what is known with more events; None if they can't be."""
        after, floors, serial = list(sofar.after), dict(sofar.floors), sofar.serial
        written, own = set(sofar.written), set(sofar.own)
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
            elif event.kind == SERIALISE:
                serial |= before
            elif event.kind & (READ | FETCH):
                found = self._read(event, before, floors, serial, own)
                if found is None:
                    return None
                before = found
            after.append(before)
        words = tuple(
            word.after(standing, events) for word, standing in zip(self._words, sofar.words, strict=True)
        )
        if not all(words):
            return None
        return _Sofar(tuple(after), floors, serial, frozenset(written), frozenset(own), words)

    def _is_end(self, known: _Sofar) -> bool:
        """Whether it can end so: all that only it can store is stored, and the others can end, too."""
        return self._needs.keys() <= known.written and all(
            word.can_end(standing) for word, standing in zip(self._words, known.words, strict=True)
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


def _numbers(bits: int) -> Iterator[int]:
    while bits:
        low = bits & -bits
        yield low.bit_length() - 1
        bits ^= low
