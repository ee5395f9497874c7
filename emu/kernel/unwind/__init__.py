"""Reliable stack traces: which functions a task will return to, and when that can't be told."""

from emu.kernel.unwind.unwinder import Frame, Unwinder
from emu.kernel.unwind.walk import MAX_STACK_ENTRIES, Walk

__all__ = ["MAX_STACK_ENTRIES", "Frame", "Unwinder", "Walk"]
