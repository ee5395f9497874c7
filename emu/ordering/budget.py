"""What an exploration may take."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from emu.ordering.memory_use import NO_LIMIT, MemoryLimit


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What an exploration may take from now on, and who is told how far it is.

    Args:
        seconds: about so long; None: as long as it takes.
        executions: so many allowed ones; None: all.
        memory: limit to what the process has in use.
        progress: is called about once a second with decisions and executions so far; None: nobody.
    """

    seconds: float | None = None
    executions: int | None = None
    memory: MemoryLimit = NO_LIMIT
    progress: Callable[[int, int], None] | None = None
    started: float = field(default_factory=time.monotonic)

    @property
    def is_late(self) -> bool:
        """Whether its time is over."""
        return self.seconds is not None and time.monotonic() - self.started > self.seconds

    def behind(self, decisions: int, executions: int) -> Budget:
        """Return what is left for the next of several explorations, behind so much."""
        told = self.progress
        return replace(
            self,
            executions=None if self.executions is None else self.executions - executions,
            progress=None if told is None else lambda more, new: told(decisions + more, executions + new),
        )
