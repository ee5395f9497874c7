"""The error of a scenario that can't be, with file and key."""

from __future__ import annotations

from emu.errors import EmuError


class ScenarioError(EmuError):
    """A scenario says something that can't be."""

    def __init__(self, origin: str, key: str, problem: str) -> None:
        super().__init__(f"{origin}: {key}: {problem}")
        self.origin, self.key, self.problem = origin, key, problem
