"""Children that the guest forks: their names, and when each got which part of its parent's patch state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from emu.kernel.kernel import Kernel
from emu.kernel.tasks import Task
from emu.lab.whereabouts import Whereabouts, named
from emu.machine.state import ProbeKind
from emu.structs import CONSTANTS, TASK
from emu.trace.schema import EventKind
from emu.units import signed64, unsigned64

_FLAGS, _STATE = "dup_task_struct", "klp_copy_process"
"""Where kernel_clone copies them; the first routine copies both, so it counts for the flags alone."""

_PENDING = CONSTANTS["TIF_PATCH_PENDING"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The parent's part in a transition when something of it was copied.

    Args:
        cycle: on the clock of its CPU.
        pending: TIF_PATCH_PENDING.
        state: patch_state.
    """

    cycle: int
    pending: bool
    state: int

    def __str__(self) -> str:
        flag = "set" if self.pending else "clear"
        return (
            f"cycle {self.cycle:_}, when its parent had patch_state {self.state} and TIF_PATCH_PENDING {flag}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork:
    """One child.

    Args:
        parent: its name and pid.
        cpu: where it was made.
        flags, state: when those were copied.
    """

    parent: str
    cpu: int
    flags: Moment
    state: Moment

    def lines(self) -> list[str]:
        """Return this for people."""
        return [
            f"forked by {self.parent} on CPU{self.cpu}:",
            f"  thread_info.flags copied by dup_task_struct at {self.flags}",
            f"  patch_state copied by klp_copy_process at {self.state}",
        ]


class Forks:
    """The children of one machine's tasks.

    Args:
        kernel, whereabouts: of the machine.
    """

    def __init__(self, kernel: Kernel, whereabouts: Whereabouts) -> None:
        self._kernel, self._whereabouts = kernel, whereabouts
        self._places = {kernel.image.address(name): name for name in (_FLAGS, _STATE)}
        self._begun: dict[int, Moment] = {}
        self._made: dict[int, Fork] = {}

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Have the engine stop where kernel_clone copies something that counts."""
        tables = self._kernel.engine.tables
        for place in self._places:
            tables.set_probe(place, ProbeKind.BREAK)
        try:
            yield
        finally:
            for place in self._places:
                tables.clear_probe(place)

    def is_here(self) -> bool:
        """Tell whether the engine has stopped there."""
        return self._whereabouts.pc(self._kernel.engine.stopped_cpu) in self._places

    def note(self) -> None:
        """Take note of what the stopped CPU is about to copy."""
        kernel, cpu = self._kernel, self._kernel.engine.stopped_cpu
        parent = self._whereabouts.task(cpu)
        child = kernel.engine.read_register(cpu, kernel.port.registers.args[0])
        index = kernel.engine.memory.load(child + TASK.offset("index"))
        now = self._moment(parent, cpu)
        is_state = self._places[self._whereabouts.pc(cpu)] == _STATE
        kernel.event(EventKind.FORK, index, 2 * is_state + now.pending, unsigned64(now.state), cpu=cpu)
        if is_state:
            task = kernel.enter_child(child)
            self._made[task.pid] = Fork(
                parent=named(parent), cpu=cpu, flags=self._begun.pop(index), state=now
            )
        else:
            self._begun[index] = now

    def of(self, task: Task) -> Fork | None:
        """Return how a task was made, None if it is no child."""
        return self._made.get(task.pid)

    def _moment(self, parent: Task, cpu: int) -> Moment:
        kernel = self._kernel
        return Moment(
            cycle=kernel.engine.clock(cpu),
            pending=bool(kernel.task_field(parent, "flags") >> _PENDING & 1),
            state=signed64(kernel.task_field(parent, "patch_state")),
        )
