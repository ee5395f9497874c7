"""Replaying what was done to a real kernel on a machine, and telling where the two disagree."""

from emu.lab.replay.disagreement import Disagreement
from emu.lab.replay.player import replay
from emu.lab.replay.record import Record, RecordError, load_record

__all__ = ["Disagreement", "Record", "RecordError", "load_record", "replay"]
