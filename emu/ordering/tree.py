"""Grows the choice tree of each CPU from its program, for all values that its reads can meet.

A read can return what another CPU may write to the location, and what its own CPU wrote last
(before that, the initial value). Which values others may write is not known beforehand: trees
grow until no new value turns up. A value that is computed from a value that is computed from
itself can't occur, since all models here order a write after the reads that it is computed
from; so no value needs more steps than there are writes, and growth ends.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from emu.ordering.columns import FETCH, WRITE
from emu.ordering.memory_use import NO_LIMIT, MemoryLimit


class Event(NamedTuple):
    """One event of a CPU.

    Args:
        kind: one of the kinds in `emu.ordering.columns`.
        location: any hashable name; None: all lines.
        value: read or written, any hashable.
        local: bits of the CPU's earlier events that it is ordered after.
        synced: bits of the CPU's earlier invalidations that a barrier ordered before it.
        partner: index in the CPU of the read that makes one atomic access with this write.
        access: index in the CPU of the entry of the single-copy atomic access that it is a piece of; or -1.
        restricted: the instruction read or written is not free to be modified (CMODX).
        tag: any number of the program's own, given back in witnesses.
    """

    kind: int
    location: Hashable
    value: Hashable
    local: int
    synced: int = 0
    partner: int = -1
    access: int = -1
    restricted: bool = False
    tag: int = 0


class Wanted(NamedTuple):
    """A read or fetch that a program is about to make.

    Args:
        location: read.
        kind: ``READ`` or ``FETCH``.
        own: the values that its own CPU may give it, instead of the initial one; empty: none yet.
    """

    location: Hashable
    kind: int
    own: tuple[Hashable, ...] = ()


class Step(NamedTuple):
    """What a program does without a choice, and what comes then.

    Args:
        events: in program order.
        wants: the read that it waits for; None: it has ended, or goes on in ``ways``.
        ways: without ``wants``: how it may go on; none: it has ended.
        state: to go on from.
        completed: bits of the invalidations that are completed so far.
        final: when it has ended, what the caller wants to know about it.
        dead: it can't have got here.
    """

    events: Sequence[Event]
    state: Any
    wants: Wanted | None = None
    ways: int = 0
    completed: int = 0
    final: Any = None
    dead: bool = False


class Program(Protocol):
    """What one CPU does. Its states are never changed once they are handed out."""

    def start(self) -> Step:
        """Return the first step."""

    def read(self, state: Any, value: Hashable) -> Step:
        """Return the step that begins with the wanted read returning ``value``."""

    def way(self, state: Any, number: int) -> Step:
        """Return the step along one of the ways."""


@dataclass(slots=True)
class Node:
    """A node of a choice tree."""

    step: Step
    children: list[Node] = field(default_factory=list)
    seen: set[Hashable] = field(default_factory=set)
    """The values that the read it waits for has returned."""
    writes: int = 0
    """How many writes are on the path so far."""
    depth: int = 0
    """How many computations lie behind the values read so far."""


class TreeBudgetError(Exception):
    """The trees have more nodes than allowed."""


@dataclass(frozen=True, slots=True)
class Trees:
    """Choice trees that are grown.

    Args:
        roots: one per CPU.
        initial: value of each location that is not ``unwritten`` at first.
        unwritten: initial value of all other locations.
    """

    roots: Sequence[Node]
    initial: Mapping[Any, Any]
    unwritten: Any = 0


class Forest:
    """The choice trees of all CPUs.

    Args:
        programs: one per CPU.
        initial: value of each location that is not 0 at first.
        budget: most nodes.
        unwritten: initial value of all other locations.
        lazily: a read returns only the values that `give` is called with.
        memory: its limit.

    Raises:
        TreeBudgetError: it takes more nodes.
    """

    def __init__(
        self,
        programs: Sequence[Program],
        initial: dict[Any, Any],
        *,
        budget: int = 1_000_000,
        unwritten: Any = 0,
        lazily: bool = False,
        memory: MemoryLimit = NO_LIMIT,
    ) -> None:
        self._memory = memory
        self.programs = programs
        self.initial = initial
        self.unwritten = unwritten
        self.budget = budget
        self._lazily = lazily
        self.nodes = 0
        self._values: list[dict[Any, dict[Any, int]]] = [{} for _ in programs]
        """Per CPU, per location, the values it may write and the round they were found in."""
        self._waiting: list[dict[Any, list[Node]]] = [{} for _ in programs]
        """Per CPU, per location, the nodes that wait for a value of it."""
        self._found: list[tuple[int, Any, Any]] = []
        self._round = 0
        self._writes = [0] * len(programs)
        """Per CPU the most writes on one path."""
        self.roots: list[Node] = []
        for cpu, program in enumerate(programs):
            self.roots.append(Node(program.start()))
            self._grow(cpu, self.roots[cpu], 0)
        while not lazily and self._found and self._round < sum(self._writes):
            self._spread()

    def give(self, cpu: int, node: Node, value: Hashable) -> None:
        """Let the read that a node waits for return a value.

        A value that is computed from more values in turn than there are writes can't occur: such a
        one is not followed.
        """
        assert node.step.wants is not None, "only such nodes are asked for values"
        location = node.step.wants.location
        depths = [values[location].get(value, 0) for values in self._values if location in values]
        own = self._own(node.step.wants)
        depth = 0 if value in own else max(node.depth, min((one for one in depths if one), default=0))
        if depth > 2 * sum(self._writes) + 2:
            node.seen.add(value)
            return
        grown: list[Node] = []
        self._round = depth
        self._child(cpu, node, value, grown)
        for child in grown:
            self._grow(cpu, child, child.writes)

    def _spread(self) -> None:
        """Give the values that were found in one round to all CPUs that wait for them."""
        found, self._found = self._found, []
        self._round += 1
        for cpu, location, value in found:
            for other, waiting in enumerate(self._waiting):
                if other == cpu:
                    continue
                for node in list(waiting.get(location, ())):
                    grown: list[Node] = []
                    self._child(other, node, value, grown)
                    for child in grown:
                        self._grow(other, child, child.writes)

    def _own(self, wants: Wanted) -> tuple[Hashable, ...]:
        """Return the values that a read meets if no other CPU writes."""
        first = self.initial.get(wants.location, self.unwritten)
        if wants.kind == FETCH:
            return (first, *(value for value in dict.fromkeys(wants.own) if value != first))
        return wants.own or (first,)

    def _grow(self, cpu: int, first: Node, writes: int) -> None:
        """Note what a step writes and follow what comes then."""
        first.writes = writes
        program = self.programs[cpu]
        waiting = [first]
        while waiting:
            node = waiting.pop()
            step = node.step
            self.nodes += 1
            self._memory.check()
            if self.nodes > self.budget:
                raise TreeBudgetError
            for event in step.events:
                if event.kind == WRITE:
                    node.writes += 1
                    known = self._values[cpu].setdefault(event.location, {})
                    if event.value not in known:
                        known[event.value] = self._round + 1
                        self._found.append((cpu, event.location, event.value))
            if node.writes > self._writes[cpu]:
                self._writes[cpu] = node.writes
            node.depth = max(node.depth, self._round)
            if step.wants is not None and self._lazily:
                continue
            if step.wants is not None:
                location = step.wants.location
                self._waiting[cpu].setdefault(location, []).append(node)
                for value in self._own(step.wants):
                    self._child(cpu, node, value, waiting)
                for other, values in enumerate(self._values):
                    if other != cpu and location in values:
                        for value, found in list(values[location].items()):
                            if found <= self._round:
                                self._child(cpu, node, value, waiting)
            else:
                for number in range(step.ways):
                    after = program.way(step.state, number)
                    if not after.dead:
                        child = Node(after, writes=node.writes)
                        node.children.append(child)
                        waiting.append(child)

    def _child(self, cpu: int, node: Node, value: Hashable, waiting: list[Node]) -> None:
        """Let a waiting read return a value, if it has not yet."""
        if value in node.seen:
            return
        node.seen.add(value)
        step = self.programs[cpu].read(node.step.state, value)
        if step.dead:
            return
        child = Node(step, writes=node.writes)
        node.children.append(child)
        waiting.append(child)
