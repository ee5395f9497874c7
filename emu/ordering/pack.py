"""Turns choice trees into the tables that the compiled search reads."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emu.ordering.bits import Rows
from emu.ordering.columns import (
    CLEAN,
    EVENT_COLUMNS,
    EVERYWHERE,
    FETCH,
    INVALIDATE,
    KIND,
    NODE_COLUMNS,
    PAIR,
    READ,
    WRITE,
    Table,
)
from emu.ordering.tree import Event, Forest, Node, Trees

_WORD = 2**64 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """Tables of the search, see `emu.ordering.search.search`, and what their numbers stand for.

    Args:
        events: event table.
        local: local order per row of it.
        synced: invalidations ordered before it.
        nodes: node table.
        children: runs of node numbers.
        roots: per CPU.
        completed: per node.
        below: per node the pairs that are written behind it, before the CPU's end.
        initial: initial pair and value per location.
        last_writer: per pair.
        observed: per location.
        cpus: the CPUs in the order in which they are placed.
        finals: per ending what the program returned that ended so.
        location_names: per location.
        values: per value.
        sources: per row of the event table its CPU and the event.
        trees: per node its CPU and itself.
        pairs: per pair its location and value.
        pair_location: the former alone, as a table.
        most_events: on any combination of paths.
        most_decisions: likewise.
        most_guesses: likewise.
    """

    events: Table
    local: Rows
    synced: Rows
    nodes: Table
    children: Table
    roots: Table
    completed: Rows
    below: Rows
    initial: Table
    last_writer: Table
    observed: Table
    cpus: list[int]
    finals: list[Any]
    location_names: list[Hashable]
    values: list[Hashable]
    sources: list[tuple[int, Event]]
    trees: list[tuple[int, Node]]
    pairs: list[tuple[int, int]]
    pair_location: Table
    most_events: int
    most_decisions: int
    most_guesses: int

    @property
    def locations(self) -> int:
        """How many locations there are."""
        return len(self.location_names)


class _Numbers(dict[Any, int]):
    """Gives each new key the next number."""

    def __missing__(self, key: Any) -> int:
        number = len(self)
        self[key] = number
        return number


def pack(forest: Forest | Trees, observed: Sequence[Hashable]) -> Packed:
    """Return the tables of a forest.

    Args:
        forest: choice tree per CPU.
        observed: locations whose last value tells outcomes apart.
    """
    cpus = sorted(range(len(forest.roots)), key=lambda cpu: _leaves(forest.roots[cpu]))
    locations, values, pairs = _Numbers(), _Numbers(), _Numbers()
    endings = _Numbers()
    rows: list[tuple[int, ...]] = []
    local: list[int] = []
    synced: list[int] = []
    nodes: list[tuple[int, ...]] = []
    children: list[int] = []
    completed: list[int] = []
    finals: list[Any] = []
    sources: list[tuple[int, Event]] = []
    writers: dict[int, int] = {}
    trees: list[tuple[int, Node]] = []
    roots = []
    widest = 1
    events_total = decisions_total = 0
    cleans = invalidations = fetches = writes = reads = 0
    for place, cpu in enumerate(cpus):
        most_events = most_depth = 0
        most = {CLEAN: 0, INVALIDATE: 0, FETCH: 0, WRITE: 0, READ: 0}
        root = forest.roots[cpu]
        stack: list[tuple[Node, int, int, int, dict[int, int]]] = [(root, -1, 0, 0, dict.fromkeys(most, 0))]
        # Every root hangs below a node of its own, so that a CPU begins with a choice like any other.
        roots.append(len(nodes))
        nodes.append((0, 0, len(children), 1, -1, -1))
        trees.append((cpu, root))
        children.append(-1)
        completed.append(0)
        root_slot = len(children) - 1
        while stack:
            node, slot, index, depth, kinds = stack.pop()
            number = len(nodes)
            children[root_slot if slot < 0 else slot] = number
            step = node.step
            first = len(rows)
            if step.events:
                kinds = kinds.copy()
            for event in step.events:
                kind = event.kind
                location = EVERYWHERE if event.location is None else locations[event.location]
                value = pair = -1
                if kind & (READ | WRITE | FETCH):
                    value = values[event.value]
                    pair = pairs[location, value]
                    if kind == WRITE:
                        writers[pair] = place
                if kind in kinds:
                    kinds[kind] += 1
                rows.append((
                    kind, location, value, pair, event.partner,
                    index if event.access < 0 else event.access, event.restricted, event.tag,
                ))  # fmt: skip
                local.append(event.local)
                synced.append(event.synced)
                sources.append((cpu, event))
                index += 1
            below = len(node.children)
            depth += 1
            ended = step.wants is None and not step.ways and not step.dead
            waits = -1 if step.wants is None else locations[step.wants.location]
            ending = endings[step.final] if ended else -1
            if ending == len(finals):
                finals.append(step.final)
            nodes.append((first, len(rows) - first, len(children), below, ending, waits))
            trees.append((cpu, node))
            completed.append(step.completed)
            start = len(children)
            children.extend([-1] * below)
            for offset, child in enumerate(node.children):
                stack.append((child, start + offset, index, depth, kinds))
            if not below:
                most_events = max(most_events, index)
                most_depth = max(most_depth, depth)
                for kind, times in kinds.items():
                    most[kind] = max(most[kind], times)
        widest = max(widest, most_events)
        events_total += most_events
        decisions_total += most_events + most_depth + 2
        cleans += most[CLEAN]
        invalidations += most[INVALIDATE]
        fetches += most[FETCH]
        writes += most[WRITE]
        reads += most[READ]
    for name in observed:
        locations[name]
    initial = np.zeros((2, max(1, len(locations))), np.int64)
    for name, location in locations.items():
        value = values[forest.initial.get(name, forest.unwritten)]
        initial[0, location] = pairs[location, value]
        initial[1, location] = value
    last_writer = np.full(len(pairs) + 1, -1, np.int64)
    for pair, place in writers.items():
        last_writer[pair] = place
    seen = np.zeros(max(1, len(locations)), np.int64)
    for name in observed:
        seen[locations[name]] = 1
    return Packed(
        events=np.array(rows or [(0,) * EVENT_COLUMNS], np.int64),
        local=_bits(local, widest),
        synced=_bits(synced, widest),
        nodes=np.array(nodes, np.int64).reshape(-1, NODE_COLUMNS),
        children=np.array(children, np.int64),
        roots=np.array(roots, np.int64),
        completed=_bits(completed, widest),
        below=_below(rows, nodes, children, len(pairs)),
        initial=initial,
        last_writer=last_writer,
        observed=seen,
        cpus=cpus,
        finals=finals,
        location_names=list(locations) or [None],
        values=list(values),
        sources=sources,
        trees=trees,
        pairs=list(pairs),
        pair_location=np.array([location for location, _ in pairs] or [-1], np.int64),
        most_events=max(1, events_total),
        most_decisions=decisions_total + writes * (reads + fetches),
        most_guesses=cleans * writes + invalidations * fetches,
    )


def _below(
    rows: list[tuple[int, ...]], nodes: list[tuple[int, ...]], children: list[int], pairs: int
) -> Rows:
    """Return per node the pairs written behind it; a node's children have higher numbers than itself."""
    found = [0] * len(nodes)
    for number in range(len(nodes) - 1, -1, -1):
        _, _, first, below, _, _ = nodes[number]
        for child in children[first : first + below]:
            found[number] |= found[child]
            start, count = nodes[child][:2]
            for row in rows[start : start + count]:
                if row[KIND] == WRITE:
                    found[number] |= 1 << row[PAIR]
    return _bits(found, pairs)


def _leaves(root: Node) -> int:
    """Return in how many ways a program can end."""
    count = 0
    stack = [root]
    while stack:
        node = stack.pop()
        if not node.children:
            count += 1
        stack.extend(node.children)
    return count


def _bits(sets: list[int], width: int) -> Rows:
    """Return sets of small numbers as rows of words."""
    words = (width + 63) // 64
    if words == 1:
        return np.array(sets or [0], np.uint64).reshape(-1, 1)
    return np.array([[(one >> 64 * word) & _WORD for word in range(words)] for one in sets or [0]], np.uint64)
