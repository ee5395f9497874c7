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


class _Tables:
    """The tables while they grow, CPU after CPU; columns are those of `Packed`."""

    def __init__(self) -> None:
        self.locations, self.values, self.pairs = _Numbers(), _Numbers(), _Numbers()
        self.rows: list[tuple[int, ...]] = []
        self.local: list[int] = []
        self.synced: list[int] = []
        self.sources: list[tuple[int, Event]] = []
        self.nodes: list[tuple[int, ...]] = []
        self.trees: list[tuple[int, Node]] = []
        self.children: list[int] = []
        self.completed: list[int] = []
        self.endings = _Numbers()
        self.roots: list[int] = []
        self.writers: dict[int, int] = {}
        self.widest = 1
        self.most_events = self.most_depth = 0
        self.most = dict.fromkeys((CLEAN, INVALIDATE, FETCH, WRITE, READ), 0)

    def add_cpu(self, place: int, cpu: int, root: Node) -> None:
        """Add the choice tree of the CPU that is placed as number ``place``."""
        most_events = most_depth = 0
        most = dict.fromkeys(self.most, 0)
        # Every root hangs below a node of its own, so that a CPU begins with a choice like any other.
        self.roots.append(len(self.nodes))
        self.nodes.append((0, 0, len(self.children), 1, -1, -1))
        self.trees.append((cpu, root))
        self.completed.append(0)
        stack = [(root, len(self.children), 0, 0, most.copy())]
        self.children.append(-1)
        while stack:
            node, slot, index, depth, kinds = stack.pop()
            self.children[slot] = len(self.nodes)
            start = len(self.children)
            first = len(self.rows)
            if node.step.events:
                kinds = kinds.copy()
                self._add_events(node.step.events, place, cpu, index, kinds)
            self._add_node(cpu, node, first)
            index += len(self.rows) - first
            depth += 1
            for offset, child in enumerate(node.children):
                stack.append((child, start + offset, index, depth, kinds))
            if not node.children:
                most_events = max(most_events, index)
                most_depth = max(most_depth, depth)
                for kind, times in kinds.items():
                    most[kind] = max(most[kind], times)
        self.widest = max(self.widest, most_events)
        self.most_events += most_events
        self.most_depth += most_depth
        for kind, times in most.items():
            self.most[kind] += times

    def _add_events(
        self, events: Sequence[Event], place: int, cpu: int, index: int, kinds: dict[int, int]
    ) -> None:
        """Add the events of a node, the first of which is number ``index`` of its CPU; count their kinds."""
        for event in events:
            kind = event.kind
            location = EVERYWHERE if event.location is None else self.locations[event.location]
            value = pair = -1
            if kind & (READ | WRITE | FETCH):
                value = self.values[event.value]
                pair = self.pairs[location, value]
                if kind == WRITE:
                    self.writers[pair] = place
            if kind in kinds:
                kinds[kind] += 1
            self.rows.append((
                kind, location, value, pair, event.partner,
                index if event.access < 0 else event.access, event.restricted, event.tag,
            ))  # fmt: skip
            self.local.append(event.local)
            self.synced.append(event.synced)
            self.sources.append((cpu, event))
            index += 1

    def _add_node(self, cpu: int, node: Node, first: int) -> None:
        """Add a node whose events begin in row ``first``, with room for its children's numbers."""
        step = node.step
        below = len(node.children)
        ended = step.wants is None and not step.ways and not step.dead
        waits = -1 if step.wants is None else self.locations[step.wants.location]
        ending = self.endings[step.final] if ended else -1
        self.nodes.append((first, len(self.rows) - first, len(self.children), below, ending, waits))
        self.trees.append((cpu, node))
        self.completed.append(step.completed)
        self.children.extend([-1] * below)


def pack(forest: Forest | Trees, observed: Sequence[Hashable]) -> Packed:
    """Return the tables of a forest.

    Args:
        forest: choice tree per CPU.
        observed: locations whose last value tells outcomes apart.
    """
    cpus = sorted(range(len(forest.roots)), key=lambda cpu: _leaves(forest.roots[cpu]))
    tables = _Tables()
    for place, cpu in enumerate(cpus):
        tables.add_cpu(place, cpu, forest.roots[cpu])
    locations, values, pairs, most = tables.locations, tables.values, tables.pairs, tables.most
    seen = [locations[name] for name in observed]
    initial = np.zeros((2, max(1, len(locations))), np.int64)
    for name, location in locations.items():
        value = values[forest.initial.get(name, forest.unwritten)]
        initial[0, location] = pairs[location, value]
        initial[1, location] = value
    last_writer = np.full(len(pairs) + 1, -1, np.int64)
    for pair, place in tables.writers.items():
        last_writer[pair] = place
    is_observed = np.zeros(max(1, len(locations)), np.int64)
    is_observed[seen] = 1
    return Packed(
        events=np.array(tables.rows or [(0,) * EVENT_COLUMNS], np.int64),
        local=_bits(tables.local, tables.widest),
        synced=_bits(tables.synced, tables.widest),
        nodes=np.array(tables.nodes, np.int64).reshape(-1, NODE_COLUMNS),
        children=np.array(tables.children, np.int64),
        roots=np.array(tables.roots, np.int64),
        completed=_bits(tables.completed, tables.widest),
        below=_below(tables.rows, tables.nodes, tables.children, len(pairs)),
        initial=initial,
        last_writer=last_writer,
        observed=is_observed,
        cpus=cpus,
        finals=list(tables.endings),
        location_names=list(locations) or [None],
        values=list(values),
        sources=tables.sources,
        trees=tables.trees,
        pairs=list(pairs),
        pair_location=np.array([location for location, _ in pairs] or [-1], np.int64),
        most_events=max(1, tables.most_events),
        # Each event, each node with the one above its root, and each read left open for each write.
        most_decisions=(
            tables.most_events + tables.most_depth + 2 * len(cpus) + most[WRITE] * (most[READ] + most[FETCH])
        ),
        most_guesses=most[CLEAN] * most[WRITE] + most[INVALIDATE] * most[FETCH],
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
