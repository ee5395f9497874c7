"""How long a machine may run without getting anywhere before its guest is taken to hang."""

from __future__ import annotations

from collections.abc import Callable

from emu.kernel.kernel import Kernel
from emu.kernel.sched import HZ

SLICE = 1 << 20
"""Instructions between two looks at whether the guest gets anywhere.

A look ends a turn, so looks come at multiples of this, whatever a run was asked for: how a run is cut into
calls of `Machine.run` must not change what the guest does.
"""

MOST_PER_CPU = 1_000_000
"""Instructions per CPU that may pass. # assumed: a round of a CPU's tasks takes some thousands"""


MOST_STEPS = 300_000
"""Steps of the patching CPU in one run that count as progress: a list that bites its tail has no end."""


class Patience:
    """What is left of it.

    Args:
        kernel: the machine.
        calls: completed calls are what counts; else steps of the patching CPU are, while it has any to make.
        tick: cycles between timer interrupts: no task need give way before.
    """

    def __init__(self, kernel: Kernel, *, calls: bool, tick: int) -> None:
        self._kernel, self._calls = kernel, calls
        round_of_tasks = tick * -(-len(kernel.tasks) // kernel.cpus)
        self.most = kernel.cpus * max(MOST_PER_CPU, 2 * round_of_tasks)
        self._steps, self._seen, self._since = 0, (-1, -1), kernel.engine.instructions()

    def step(self) -> None:
        """Count a step of the patching CPU."""
        self._steps += not self._kernel.installer.idle

    def next_look(self) -> int:
        """Return the number of executed instructions at which to look again."""
        return (self._kernel.engine.instructions() // SLICE + 1) * SLICE

    def is_out(self) -> bool:
        """Look: whether too much has passed without progress."""
        engine = self._kernel.engine
        counts_calls = self._calls or self._kernel.installer.idle
        seen = self._steps, engine.calls_done() if counts_calls else -1
        if seen != self._seen and self._steps < MOST_STEPS:
            self._seen, self._since = seen, engine.instructions()
        return self.passed() >= self.most

    def passed(self) -> int:
        """Return how many instructions have been executed since there was progress."""
        return self._kernel.engine.instructions() - self._since


class TransitionPatience:
    """What is left of it for a transition.

    Args:
        jiffies: ticks that the patching CPU has taken.
        under_way: tells transitions apart; None while there is none.
        seconds: of the guest that one may take.
    """

    def __init__(
        self, jiffies: Callable[[], int], under_way: Callable[[], object | None], *, seconds: int
    ) -> None:
        self._jiffies, self._under_way, self._seconds = jiffies, under_way, seconds
        self._seen, self._since = under_way(), jiffies()

    def is_out(self) -> bool:
        """Look: whether one transition has taken too long since this was made."""
        now = self._under_way()
        if now != self._seen:
            self._seen, self._since = now, self._jiffies()
        return now is not None and self._jiffies() - self._since >= self._seconds * HZ
