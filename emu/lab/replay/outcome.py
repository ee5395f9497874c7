"""What came of a replay."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from emu.lab.replay.disagreement import Disagreement
from emu.lab.replay.record import RecordError
from emu.units import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of replaying one record on one port.

    Args:
        disagreements: by step.
        unplayed: why steps could not be played, or not all that was observed in them be looked at.
        notes: steps that were taken for harmless without being understood word by word.
        played: how many steps were played.
        steps: how many there are.
    """

    disagreements: tuple[Disagreement, ...]
    unplayed: tuple[RecordError, ...]
    notes: tuple[RecordError, ...]
    played: int
    steps: int

    def __str__(self) -> str:
        """Return this in one line: all agrees, or what does not."""
        found = counted(len(self.disagreements), "disagreement") if self.disagreements else ""
        if not self.unplayed:
            return found or "agrees"
        missing = counted(len(self.unplayed), "thing") + " can't be played"
        return f"{found or 'no disagreement'}, but {missing}: {self.played} of {self.steps} steps were played"

    def lines(self) -> Iterator[str]:
        """Yield the details, for people."""
        for disagreement in self.disagreements:
            yield str(disagreement)
        for error in self.unplayed:
            yield f"can't be played: {error}"
        for note in self.notes:
            yield f"note: {note}"
