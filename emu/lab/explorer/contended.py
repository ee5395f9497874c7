"""Cuts off what can't happen at words that several dispatching CPUs store to, counters above all.

Coherence: looking at one word alone, all accesses fit one order in which each read gives what was stored
last. Trees hold every value that some store of another CPU could leave there, whatever that CPU must have
done before; here the ways of all CPUs are put together, access by access, and those that never come to
an end are cut off.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Any, NamedTuple

from emu.lab.explorer.reach import Reach
from emu.ordering.columns import READ, WRITE
from emu.ordering.memory_use import MemoryLimit
from emu.ordering.tree import Event, Node

_ANY = object()
"""A plain store needs no value to be there."""


class _Access(NamedTuple):
    """An access: the value that must be there, and the value behind it; an atomic one is one access."""

    needs: object
    leaves: Hashable

    def fits(self, value: object) -> bool:
        """Whether it can be made when a value is there."""
        return self.needs is _ANY or self.needs == value


Standing = frozenset[tuple[Hashable, ...]]
"""Ways in which CPUs may stand at a word: per CPU how far it has come, then the word's value."""


class Word:
    """A word that several dispatching CPUs store to, as one of them meets it.

    The patching CPU's accesses are known; what the others do is known by stages, which is more than they can.

    Args:
        location: the word.
        first: its value at first.
        patching: the patching CPU's events.
        others: what the others may do.
    """

    def __init__(
        self, location: Hashable, first: Hashable, patching: Sequence[Event], others: Sequence[Reach]
    ) -> None:
        self._location = location
        self._path = tuple(_accesses(patching, location))
        self._moves = [
            {
                stage: [(tuple(_accesses(m.events, location)), m) for m in found]
                for stage, found in one.moves.items()
            }
            for one in others
        ]
        self._known: dict[tuple[Standing, tuple[_Access, ...]], Standing] = {}
        self.start = self._closed({(0, *(((None, False)) for _ in others), first)})

    def after(self, standing: Standing, events: Sequence[Event]) -> Standing:
        """Return how CPUs may stand after events of this one; empty if it can't have them."""
        accesses = tuple(_accesses(events, self._location))
        if not accesses:
            return standing
        key = standing, accesses
        if key not in self._known:
            for access in accesses:
                met = {(*one[:-1], access.leaves) for one in standing if access.fits(one[-1])}
                standing = self._closed(met)
            self._known[key] = standing
        return self._known[key]

    def can_end(self, standing: Standing) -> bool:
        """Whether all other CPUs can be at their end."""
        return any(
            one[0] == len(self._path) and all(stage[1] for stage in one[1:-1])  # type: ignore[index]
            for one in standing
        )

    def _closed(self, standing: set[tuple[Hashable, ...]]) -> Standing:
        """Add whatever the others may do next."""
        found = set(standing)
        waiting = list(standing)
        while waiting:
            one = waiting.pop()
            for after in self._moved(one):
                if after not in found:
                    found.add(after)
                    waiting.append(after)
        return frozenset(found)

    def _moved(self, one: tuple[Any, ...]) -> Iterator[tuple[Hashable, ...]]:
        done, value = one[0], one[-1]
        if done < len(self._path) and self._path[done].fits(value):
            yield (done + 1, *one[1:-1], self._path[done].leaves)
        for cpu, moves in enumerate(self._moves, 1):
            for accesses, move in moves.get(one[cpu][0], ()):
                now = value
                for access in accesses:
                    if not access.fits(now):
                        break
                    now = access.leaves
                else:
                    yield (*one[:cpu], (move.stage, move.ends), *one[cpu + 1 : -1], now)


def contended(reached: Sequence[Reach]) -> list[Hashable]:
    """Return the locations that several programs store to."""
    found: dict[Hashable, int] = {}
    for one in reached:
        for location in one.stores:
            found[location] = found.get(location, 0) + 1
    return [location for location, programs in found.items() if programs > 1]


class _Ways:
    """The accesses to one word along every way through a tree, ways with equal accesses being one.

    Args:
        root: of the tree.
        location: the word.
        first: its value at first.
    """

    def __init__(self, root: Node, location: Hashable, first: Hashable) -> None:
        self.next: list[dict[_Access, int]] = [{}]
        self.ends: list[bool] = [False]
        self.place: dict[int, int] = {}
        """Per node of the tree, by its identity, how far it has come."""
        left: list[Hashable] = [first]
        waiting = [(root, 0)]
        while waiting:
            node, at = waiting.pop()
            for access in _accesses(node.step.events, location):
                # A read of what was seen last adds nothing: it fits right behind that.
                if access.needs == access.leaves == left[at]:
                    continue
                if access not in self.next[at]:
                    self.next[at][access] = len(self.next)
                    self.next.append({})
                    self.ends.append(False)
                    left.append(access.leaves)
                at = self.next[at][access]
            self.place[id(node)] = at
            if not node.children:
                self.ends[at] = True
            waiting += [(child, at) for child in node.children]


def without_the_impossible(
    patching: Node, trees: Sequence[Node], location: Hashable, first: Hashable, memory: MemoryLimit
) -> list[Node] | None:
    """Return what is left of the dispatching CPUs' trees; None if nothing fits together.

    Args:
        patching: the tree of the patching CPU.
        trees: of the others.
        location: a word that several of them store to.
        first: its value at first.
        memory: its limit.
    """
    ways = [_Ways(root, location, first) for root in (patching, *trees)]
    live, ends = _live(ways, first, memory)
    kept = [_pruned(root, ways[cpu], live[cpu], ends[cpu]) for cpu, root in enumerate(trees, 1)]
    return None if any(root is None for root in kept) else [root for root in kept if root is not None]


def apart(root: Node, location: Hashable, first: Hashable) -> list[Node]:
    """Return a tree in parts, by the accesses to a word."""
    ways = _Ways(root, location, first)
    above: dict[int, int] = {after: at for at, found in enumerate(ways.next) for after in found.values()}
    parts = []
    for end in (at for at, ends in enumerate(ways.ends) if ends):
        live = {end}
        while (at := min(live)) in above:
            live.add(above[at])
        part = _pruned(root, ways, live, {end})
        assert part is not None, "a way ends here"
        parts.append(part)
    return parts


def _live(
    ways: Sequence[_Ways], first: Hashable, memory: MemoryLimit
) -> tuple[list[set[int]], list[set[int]]]:
    """Return per CPU the places that some way of all CPUs together goes through, and where it ends there."""
    start = (*(0 for _ in ways), first)
    before: dict[tuple[object, ...], list[tuple[object, ...]]] = {start: []}
    waiting: list[tuple[object, ...]] = [start]
    good: list[tuple[object, ...]] = []
    while waiting:
        memory.check()
        state = waiting.pop()
        *at, value = state
        if all(way.ends[place] for way, place in zip(ways, at, strict=True)):  # type: ignore[call-overload]
            good.append(state)
        for cpu, way in enumerate(ways):
            for access, place in way.next[at[cpu]].items():  # type: ignore[call-overload]
                if not access.fits(value):
                    continue
                after = (*at[:cpu], place, *at[cpu + 1 :], access.leaves)
                if after not in before:
                    before[after] = []
                    waiting.append(after)
                before[after].append(state)
    live: list[set[int]] = [set() for _ in ways]
    ends: list[set[int]] = [set() for _ in ways]
    for state in good:
        for cpu, places in enumerate(ends):
            places.add(state[cpu])  # type: ignore[arg-type]
    reached = set(good)
    while good:
        state = good.pop()
        for cpu, places in enumerate(live):
            places.add(state[cpu])  # type: ignore[arg-type]
        for earlier in before[state]:
            if earlier not in reached:
                reached.add(earlier)
                good.append(earlier)
    return live, ends


def _pruned(node: Node, ways: _Ways, live: set[int], ends: set[int]) -> Node | None:
    """Return the part of a tree that goes through live places only, and ends where that can be."""
    if ways.place[id(node)] not in (live if node.children else ends):
        return None
    if not node.children:
        return node
    children = [kept for child in node.children if (kept := _pruned(child, ways, live, ends)) is not None]
    if not children:
        return None
    step = node.step._replace(ways=len(children)) if node.step.ways else node.step
    return Node(step, children=children)


def _accesses(events: Sequence[Event], location: Hashable) -> Iterator[_Access]:
    """Yield the data accesses to a location, a read and a write that are one atomic access as one."""
    read: Event | None = None
    for event in events:
        if event.location != location or event.kind not in (READ, WRITE):
            continue
        if event.kind == READ:
            if read is not None:
                yield _Access(read.value, read.value)
            read = event
        elif read is not None and event.partner >= 0:
            yield _Access(read.value, event.value)
            read = None
        else:
            if read is not None:
                yield _Access(read.value, read.value)
                read = None
            yield _Access(_ANY, event.value)
    if read is not None:
        yield _Access(read.value, read.value)
