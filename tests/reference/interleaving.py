"""A plain twin of the explorer under sequential consistency: it tries every interleaving of the events."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from emu.ordering.columns import WRITE
from emu.ordering.tree import Program, Step


def finals(programs: Sequence[Program], initial: Mapping[Hashable, Any]) -> set[tuple[Any, ...]]:
    """Return every way in which the programs can end together.

    A store is one step. A load is one, too, with the store that makes one atomic access with it.
    """
    found: set[tuple[Any, ...]] = set()
    seen: set[Hashable] = set()
    start = tuple(_Cpu((), program.start(), 0) for program in programs)
    waiting: list[tuple[tuple[_Cpu, ...], dict[Hashable, Any]]] = [(start, dict(initial))]
    while waiting:
        cpus, memory = waiting.pop()
        key = tuple((cpu.history, cpu.done) for cpu in cpus), frozenset(memory.items())
        if key in seen:
            continue
        seen.add(key)
        if all(cpu.ended for cpu in cpus):
            found.add(tuple(cpu.step.final for cpu in cpus))
        for number, cpu in enumerate(cpus):
            for after, changed in cpu.moves(programs[number], memory):
                waiting.append(((*cpus[:number], after, *cpus[number + 1 :]), changed))
    return found


class _Cpu:
    def __init__(self, history: tuple[Hashable, ...], step: Step, done: int) -> None:
        self.history, self.step, self.done = history, step, done

    @property
    def ended(self) -> bool:
        return self.done == len(self.step.events) and self.step.wants is None and not self.step.ways

    def moves(self, program: Program, memory: dict[Hashable, Any]) -> list[tuple[_Cpu, dict[Hashable, Any]]]:
        step = self.step
        while self.done < len(step.events) and step.events[self.done].kind != WRITE:
            self.done += 1
        if self.done < len(step.events):
            event = step.events[self.done]
            return [(_Cpu(self.history, step, self.done + 1), {**memory, event.location: event.value})]
        if step.wants is not None:
            value = memory.get(step.wants.location, 0)
            after = program.read(step.state, value)
            return [] if after.dead else [self._begun(after, value, memory)]
        ways = [program.way(step.state, number) for number in range(step.ways)]
        return [
            self._begun(after, ("way", number), memory) for number, after in enumerate(ways) if not after.dead
        ]

    def _begun(
        self, step: Step, chosen: Hashable, memory: dict[Hashable, Any]
    ) -> tuple[_Cpu, dict[Hashable, Any]]:
        done = 1 if step.events and chosen.__class__ is not tuple else 0
        if done and len(step.events) > 1 and step.events[1].kind == WRITE and step.events[1].partner >= 0:
            memory = {**memory, step.events[1].location: step.events[1].value}
            done = 2
        return _Cpu((*self.history, chosen), step, done), memory
