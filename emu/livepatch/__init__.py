"""Livepatching: kernel/livepatch/*.c in Python, on guest memory."""

from emu.livepatch.livepatch import Livepatch, ObjectState, PatchFacts
from emu.livepatch.model import Callback, Func, Object, ObjectFacts, Patch, State
from emu.livepatch.transition import Immediate, PatchState, Switching

__all__ = [
    "Callback",
    "Func",
    "Immediate",
    "Livepatch",
    "Object",
    "ObjectFacts",
    "ObjectState",
    "Patch",
    "PatchFacts",
    "PatchState",
    "State",
    "Switching",
]
