"""The memory models over again, slow and plain: each candidate execution is judged by their axioms.

Nothing is pruned and nothing is incremental. A candidate is a path per CPU, a write for each read
and an order of the writes to each location; the axioms are written with sets of pairs, as in the papers.
The paths and each CPU's local order come from the programs; all that joins CPUs is done here.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from emu.ordering.columns import FETCH, READ, WRITE
from emu.ordering.tree import Event, Forest, Node

Pair = tuple[int, int]


@dataclass
class Candidate:
    """One candidate execution; events are numbered through."""

    events: list[tuple[int, int, Event]]
    finals: tuple[Any, ...]
    reads_from: dict[int, int | None]
    coherence: dict[Any, list[int]]


def paths(root: Node) -> Iterator[tuple[list[Event], Any]]:
    """Every way through a CPU's choice tree."""
    step = root.step
    if not root.children:
        if step.wants is None and not step.ways:
            yield list(step.events), step.final
        return
    for child in root.children:
        for events, final in paths(child):
            yield [*step.events, *events], final


def candidates(forest: Forest, initial: dict[Any, Any]) -> Iterator[Candidate]:
    for choice in itertools.product(*(list(paths(root)) for root in forest.roots)):
        events = [
            (cpu, index, event) for cpu, (path, _) in enumerate(choice) for index, event in enumerate(path)
        ]
        reads = [number for number, (_, _, event) in enumerate(events) if event.kind in (READ, FETCH)]
        writes: dict[Any, list[int]] = {}
        for number, (_, _, event) in enumerate(events):
            if event.kind == WRITE:
                writes.setdefault(event.location, []).append(number)
        sources: list[list[int | None]] = []
        for read in reads:
            event = events[read][2]
            fitting: list[int | None] = [
                one for one in writes.get(event.location, []) if events[one][2].value == event.value
            ]
            if initial.get(event.location, 0) == event.value:
                fitting.append(None)
            sources.append(fitting)
        for picked in itertools.product(*sources):
            for orders in itertools.product(*(itertools.permutations(some) for some in writes.values())):
                yield Candidate(
                    events, tuple(final for _, final in choice), dict(zip(reads, picked, strict=True)),
                    {where: list(order) for where, order in zip(writes, orders, strict=True)},
                )  # fmt: skip


def acyclic(pairs: set[Pair]) -> bool:
    after: dict[int, set[int]] = {}
    for one, two in pairs:
        after.setdefault(one, set()).add(two)
    state: dict[int, int] = {}

    def visit(one: int) -> bool:
        state[one] = 1
        for two in after.get(one, ()):
            if state.get(two) == 1 or (two not in state and not visit(two)):
                return False
        state[one] = 2
        return True

    return all(one in state or visit(one) for one in list(after))


def relations(one: Candidate) -> tuple[set[Pair], set[Pair], set[Pair]]:
    """Return rf, co and fr as pairs of event numbers."""
    rf = {(source, read) for read, source in one.reads_from.items() if source is not None}
    co = {
        (order[a], order[b])
        for order in one.coherence.values()
        for a in range(len(order))
        for b in range(a + 1, len(order))
    }
    fr = set()
    for read, source in one.reads_from.items():
        for write in one.coherence.get(one.events[read][2].location, []):
            if source is None or (source, write) in co:
                fr.add((read, write))
    return rf, co, fr


def consistent(one: Candidate, *, arm: bool) -> bool:
    """Whether a candidate without code that is written meets the axioms."""
    rf, co, fr = relations(one)
    events = one.events

    def external(pair: Pair) -> bool:
        return events[pair[0]][0] != events[pair[1]][0]

    same_place = {
        (a, b)
        for a, (cpu, index, event) in enumerate(events)
        for b, (other, later, event2) in enumerate(events)
        if cpu == other and index < later and event.location == event2.location
    }
    if not acyclic(same_place | rf | co | fr):
        return False
    first = {(cpu, index): number for number, (cpu, index, _) in enumerate(events)}
    local = set()
    for number, (cpu, _, event) in enumerate(events):
        bits = event.local
        while bits:
            low = bits & -bits
            local.add((first[cpu, low.bit_length() - 1], number))
            bits ^= low
        if event.kind == WRITE and event.partner >= 0:
            read = first[cpu, event.partner]
            between = [w for w in one.coherence[event.location] if (read, w) in fr and (w, number) in co]
            foreign = any(external((read, w)) for w in between)
            own = any(not external((read, w)) for w in between)
            if foreign and not (arm and own):
                return False
    # Whatever observes or overwrites, or comes after, one piece of an access comes so to all of them.
    pieces: dict[Pair, list[int]] = {}
    for number, (cpu, index, event) in enumerate(events):
        if event.kind in (READ, WRITE):
            pieces.setdefault((cpu, index if event.access < 0 else event.access), []).append(number)
    whole = {number: some for some in pieces.values() for number in some}
    observed = {(a, piece) for a, b in rf | co | fr if external((a, b)) for piece in whole.get(b, [b])}
    hazards = set()
    if arm:  # a read comes before what a later read of the same place missed, with any of its pieces
        for a, b in same_place:
            if events[a][2].kind == events[b][2].kind == READ:
                for piece in whole[b]:
                    hazards |= {
                        (a, other)
                        for read, write in fr
                        if read == piece and external((read, write))
                        for other in whole[write]
                    }
    return acyclic(local | observed | hazards)


def outcomes(forest: Forest, initial: dict[Any, Any], observed: list[Any], *, arm: bool) -> dict[Any, int]:
    """Return how many executions lead to each outcome."""
    found: dict[Any, int] = {}
    for one in candidates(forest, initial):
        if consistent(one, arm=arm):
            memory = tuple(
                one.events[one.coherence[where][-1]][2].value
                if one.coherence.get(where)
                else initial.get(where, 0)
                for where in observed
            )
            key = (one.finals, memory)
            found[key] = found.get(key, 0) + 1
    return found
