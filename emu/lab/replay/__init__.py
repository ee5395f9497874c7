"""Replaying what was done to a real kernel on a machine, and telling where the two disagree."""

from emu.lab.replay.disagreement import Disagreement
from emu.lab.replay.outcome import Outcome
from emu.lab.replay.player import play, replay
from emu.lab.replay.record import Record, RecordError, load_record

__all__ = ["Disagreement", "Outcome", "Record", "RecordError", "load_record", "play", "replay"]
