"""Recorded runs: the columns of a trace, writing it, loading it."""

from emu.trace.code import CodeBlock
from emu.trace.digest import TraceDigest, digest_of
from emu.trace.errors import (
    NewerSchemaError,
    NotARunError,
    RunDirectoryTakenError,
    RunFileError,
    RunNotCreatedError,
    RunWriteError,
)
from emu.trace.meta import Meta, MetaChanges, PatchEntry, Symbol, TaskEntry, Versions
from emu.trace.npy import NpyAppender
from emu.trace.reader import load_run
from emu.trace.recorder import MemoryRecorder, Recorder
from emu.trace.run import Run
from emu.trace.schema import (
    CALLS,
    EVENTS,
    NOT_DISPATCHED,
    PARTS,
    TIMED_CALLS,
    CallFlag,
    EventKind,
    calls_dtype,
    calls_from_words,
    events_from_words,
)
from emu.trace.writer import RunWriter

__all__ = [
    "CALLS",
    "EVENTS",
    "NOT_DISPATCHED",
    "PARTS",
    "TIMED_CALLS",
    "CallFlag",
    "CodeBlock",
    "EventKind",
    "MemoryRecorder",
    "Meta",
    "MetaChanges",
    "NewerSchemaError",
    "NotARunError",
    "NpyAppender",
    "PatchEntry",
    "Recorder",
    "Run",
    "RunDirectoryTakenError",
    "RunFileError",
    "RunNotCreatedError",
    "RunWriteError",
    "RunWriter",
    "Symbol",
    "TaskEntry",
    "TraceDigest",
    "Versions",
    "calls_dtype",
    "calls_from_words",
    "digest_of",
    "events_from_words",
    "load_run",
]
