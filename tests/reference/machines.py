"""Operational machines for x86: all interleavings, with store buffers or without.

They run the same programs instruction by instruction and know nothing of axioms. x86-TSO as in Sewell
et al., "x86-TSO: a rigorous and usable programmer's model", CACM 2010: one FIFO buffer per CPU with
forwarding; MFENCE and locked instructions wait for the own buffer to be empty.
"""

from __future__ import annotations

from typing import Any

from emu.ordering.columns import READ, WRITE
from emu.ordering.dependencies import NONE, Placed
from emu.ordering.tree import Program, Step


class Recorder:
    """Stands in for an order of events: remembers fences and which accesses are locked."""

    def __init__(self) -> None:
        self.count = 0
        self.completed = 0
        self.log: tuple[str, ...] = ()

    def copy(self) -> Recorder:
        new = Recorder()
        new.count, new.log = self.count, self.log
        return new

    def _event(self, what: str) -> Any:
        self.count += 1
        self.log += (what,)
        return Placed(self.count - 1, 0, 0, NONE)

    def read(self, location: int, address: Any = None, *, locked: bool = False) -> Any:
        return self._event("lock-read" if locked else "read")

    def write(
        self,
        location: int,
        address: Any = None,
        data: Any = None,
        *,
        locked: bool = False,
        own: int = 0,
    ) -> Any:
        return self._event("lock-write" if locked else "write")

    def fence(self) -> None:
        self.log += ("fence",)


def run(programs: list[Program], initial: dict[Any, Any], observed: list[Any], *, buffered: bool) -> set[Any]:
    """Return all outcomes: finals per CPU and last values of the observed locations."""
    found: set[Any] = set()
    start: Any = tuple((program.start(), 0, 0, ()) for program in programs)
    seen: set[Any] = set()
    # The tuples hold states by identity; steps are kept alive here so that identities stay unique.
    keep: dict[Any, Step] = {}

    def key(cpus: Any, memory: Any, holder: Any) -> Any:
        return tuple((id(step), done, at, buffer) for step, done, at, buffer in cpus), memory, holder

    steps: dict[Any, Step] = {}

    def read(number: int, step: Step, value: Any) -> Step:
        where = (number, id(step), value)
        if where not in steps:
            steps[where] = programs[number].read(step.state, value)
            keep[where] = step
        return steps[where]

    stack: list[Any] = [(start, tuple(sorted(initial.items())), -1)]
    while stack:
        cpus, memory_items, holder = stack.pop()
        mark = key(cpus, memory_items, holder)
        if mark in seen:
            continue
        seen.add(mark)
        memory = dict(memory_items)
        moved = False
        for number, (step, done, at, buffer) in enumerate(cpus):
            if holder not in (-1, number):
                continue  # another CPU is between the halves of a locked instruction

            def follow(
                cpu: Any, mem: dict[Any, Any], held: int, number: int = number, cpus: Any = cpus
            ) -> None:
                after = (*cpus[:number], cpu, *cpus[number + 1 :])
                stack.append((after, tuple(sorted(mem.items())), held))

            if buffer:
                (where, value), *rest = buffer
                follow((step, done, at, tuple(rest)), {**memory, where: value}, holder)
                moved = True
            log = step.state.order.log
            if at < len(log) and log[at] == "fence":
                if not buffer:
                    follow((step, done, at + 1, buffer), memory, holder)
                moved = True
                continue
            if done < len(step.events):
                event = step.events[done]
                moved = True
                if event.kind == READ:
                    follow((step, done + 1, at + 1, buffer), memory, holder)  # returned when it was wanted
                elif event.kind == WRITE and (log[at] == "lock-write" or not buffered):
                    if not buffer:
                        follow((step, done + 1, at + 1, buffer), {**memory, event.location: event.value}, -1)
                elif event.kind == WRITE:
                    follow((step, done + 1, at + 1, (*buffer, (event.location, event.value))), memory, holder)
                continue
            if step.wants is None:
                continue
            moved = True
            locked = step.state.order.log[at] == "lock-read"
            if locked and buffer:
                continue
            where = step.wants.location
            value = next((v for w, v in reversed(buffer) if w == where), memory.get(where, 0))
            after = read(number, step, value)
            holds = locked and any(event.kind == WRITE for event in after.events[:2])
            follow((after, 0, at, buffer), memory, number if holds else holder)
        if not moved:
            found.add((
                tuple(step.final for step, _, _, _ in cpus), tuple(memory.get(where, 0) for where in observed)
            ))  # fmt: skip
    return found
