"""Finds what programs may store, without keeping the ways that lead there.

A program's states are told apart only by what decides what it stores next, so the many orders in which
it may answer requests count once. The result may hold values that no execution stores, never too few.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

from emu.ordering.columns import FETCH, READ, WRITE
from emu.ordering.memory_use import MemoryLimit
from emu.ordering.tree import Event, Program, Step, TreeBudgetError, Wanted

Values = dict[Hashable, dict[Hashable, None]]
"""By location the values that may be stored there, in the order found."""


class Keyed(Program, Protocol):
    """A program that tells what its states have in common."""

    def key(self, state: Any) -> Hashable:
        """Return what decides which values it can still store; equal for states that agree in that."""

    def stage(self, state: Any) -> Hashable:
        """Return roughly how far it has come; there are few of these."""


class Move(NamedTuple):
    """What may happen between two stages of a program.

    Args:
        events: the data accesses, in program order.
        stage: then.
        ends: the program ends there.
    """

    events: tuple[Event, ...]
    stage: Hashable
    ends: bool


class Reach(NamedTuple):
    """What a program may do.

    Args:
        stores: values that it may store.
        moves: by stage what it may do from there; from ``None`` at first.
    """

    stores: Values
    moves: dict[Hashable, set[Move]]


class _Waiting:
    """A read that has been met, and what it has been given."""

    __slots__ = ("given", "stage", "state")

    def __init__(self, state: Any, stage: Hashable) -> None:
        self.state, self.stage = state, stage
        self.given: set[Hashable] = set()


def reach(
    programs: Sequence[Keyed],
    initial: Mapping[Hashable, Any],
    *,
    memory: MemoryLimit,
    max_states: int = 500_000,
) -> list[Reach]:
    """Return per program the values that it may store, and roughly in which order.

    Args:
        programs: one per CPU.
        initial: value of each location that is not 0 at first.
        memory: is looked at now and then.
        max_states: give up if there are more.

    Raises:
        TreeBudgetError: there are more states than that.
        MemoryBudgetError: too much memory is in use.
    """
    stores: list[Values] = [{} for _ in programs]
    waiting: list[dict[Hashable, list[_Waiting]]] = [{} for _ in programs]
    seen: list[set[Hashable]] = [set() for _ in programs]
    moves: list[dict[Hashable, set[Move]]] = [{} for _ in programs]
    steps: list[tuple[int, Hashable, Callable[[], Step]]] = [
        (cpu, None, program.start) for cpu, program in enumerate(programs)
    ]

    def give(cpu: int, node: _Waiting, value: Hashable) -> None:
        if value not in node.given:
            node.given.add(value)
            steps.append((cpu, node.stage, partial(programs[cpu].read, node.state, value)))

    states = 0
    while steps:
        memory.check()
        cpu, before, take = steps.pop()
        step = take()
        if step.dead:
            continue
        for event in step.events:
            if event.kind != WRITE or event.value in stores[cpu].setdefault(event.location, {}):
                continue
            stores[cpu][event.location][event.value] = None
            for other, there in enumerate(waiting):
                if other != cpu:
                    for node in there.get(event.location, ()):
                        give(other, node, event.value)
        stage = programs[cpu].stage(step.state)
        moves[cpu].setdefault(before, set()).add(_move(step, stage))
        key = programs[cpu].key(step.state)
        if key in seen[cpu]:
            continue
        seen[cpu].add(key)
        states += 1
        if states > max_states:
            raise TreeBudgetError
        if step.wants is None:
            ways = (partial(programs[cpu].way, step.state, number) for number in range(step.ways))
            steps += [(cpu, stage, way) for way in ways]
            continue
        node = _Waiting(step.state, stage)
        waiting[cpu].setdefault(step.wants.location, []).append(node)
        for value in own_values(step.wants, initial):
            give(cpu, node, value)
        for other, theirs in enumerate(stores):
            if other != cpu:
                for value in list(theirs.get(step.wants.location, ())):
                    give(cpu, node, value)
    return [Reach(*one) for one in zip(stores, moves, strict=True)]


def _move(step: Step, stage: Hashable) -> Move:
    events = tuple(
        Event(event.kind, event.location, event.value, 0, partner=min(event.partner, 0))
        for event in step.events
        if event.kind in (READ, WRITE)
    )
    return Move(events, stage, step.wants is None and not step.ways)


def own_values(wants: Wanted, initial: Mapping[Hashable, Any]) -> tuple[Hashable, ...]:
    """Return the values that a read meets if no other CPU stores."""
    first = initial.get(wants.location, 0)
    if wants.kind == FETCH:
        return (first, *(value for value in dict.fromkeys(wants.own) if value != first))
    return wants.own or (first,)
