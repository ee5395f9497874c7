"""What the machine records into, and the recorder that keeps everything in memory."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from emu.trace.code import CodeBlock
from emu.trace.digest import TraceDigest
from emu.trace.meta import Meta, MetaChanges, Symbol, with_changes
from emu.trace.run import Run
from emu.trace.schema import EVENTS, calls_dtype


class Recorder(Protocol):
    """Takes the rows of a run as they come, in chunks."""

    @property
    def calls(self) -> NDArray[np.void]:
        """The calls so far, dtype `CALLS`, read-only."""

    @property
    def events(self) -> NDArray[np.void]:
        """The events so far, dtype `EVENTS`, read-only."""

    def add_calls(self, rows: NDArray[np.void]) -> None:
        """Append rows of dtype `CALLS`; the array may be changed afterwards."""

    def add_events(self, rows: NDArray[np.void]) -> None:
        """Append rows of dtype `EVENTS`; the array may be changed afterwards."""

    def add_log(self, line: str) -> None:
        """Append one line to the kernel log."""

    def add_code(self, block: CodeBlock) -> None:
        """Append code that came into memory."""

    def set_symbols(self, symbols: Mapping[str, Symbol]) -> None:
        """Replace the symbol table."""

    def update_meta(self, changes: MetaChanges) -> None:
        """Note what became known: a new patch, a new task, the counts."""

    def run(self) -> Run:
        """Return what was recorded so far; it is not complete before `finish`."""

    def finish(self, changes: MetaChanges) -> Run:
        """Complete the run and return it; nothing can be added afterwards."""

    def close(self) -> None:
        """Give the resources back; a run that was not finished stays an incomplete one."""


class MemoryRecorder:
    """A `Recorder` that keeps a run in memory, for runs without an output directory.

    Args:
        meta: parameters and tables of the run; what the recorder knows better is overwritten.
    """

    def __init__(self, meta: Meta) -> None:
        self._meta = started_meta(meta)
        self._calls, self._events = _Chunks(calls_dtype(meta["timing"])), _Chunks(EVENTS)
        self._symbols: Mapping[str, Symbol] = MappingProxyType({})
        self._log: list[str] = []
        self._code: list[CodeBlock] = []
        self._open = True

    @property
    def calls(self) -> NDArray[np.void]:
        """The calls so far, dtype `CALLS`, read-only; joined when asked for, then kept joined."""
        return self._calls.joined()

    @property
    def events(self) -> NDArray[np.void]:
        """The events so far, dtype `EVENTS`, likewise."""
        return self._events.joined()

    def add_calls(self, rows: NDArray[np.void]) -> None:
        """Append a copy of rows of dtype `CALLS`."""
        self._require_open()
        self._calls.append(rows)

    def add_events(self, rows: NDArray[np.void]) -> None:
        """Append a copy of rows of dtype `EVENTS`."""
        self._require_open()
        self._events.append(rows)

    def add_log(self, line: str) -> None:
        """Append one line to the kernel log."""
        self._require_open()
        self._log.extend(log_lines(line))

    def add_code(self, block: CodeBlock) -> None:
        """Append code that came into memory."""
        self._require_open()
        self._code.append(block)

    def set_symbols(self, symbols: Mapping[str, Symbol]) -> None:
        """Replace the symbol table."""
        self._require_open()
        self._symbols = MappingProxyType(dict(symbols))

    def update_meta(self, changes: MetaChanges) -> None:
        """Note what became known: a new patch, a new task, the counts."""
        self._require_open()
        self._meta = with_changes(self._meta, changes)

    def finish(self, changes: MetaChanges) -> Run:
        """Complete the run and return it; nothing can be added afterwards."""
        self.update_meta(changes)
        digest = TraceDigest()
        digest.add_calls(self.calls)
        digest.add_events(self.events)
        finish_meta(self._meta, len(self.calls), digest)
        self._open = False
        return self.run()

    def run(self) -> Run:
        """Return what was recorded so far; what is recorded later does not change it."""
        return Run(
            calls=self.calls,
            events=self.events,
            meta=self._meta.copy(),
            symbols=self._symbols,
            log=tuple(self._log),
            code=tuple(self._code),
        )

    def close(self) -> None:
        """Refuse further rows; what was recorded stays."""
        self._open = False

    def _require_open(self) -> None:
        if not self._open:
            raise ValueError("the run is finished or closed; nothing can be added to it")


def started_meta(meta: Meta) -> Meta:
    """Return ``meta`` as that of a run without results yet, its keys in documented order."""
    started = meta.copy()
    started.update({"calls": 0, "digest": "", "complete": False})
    return started


def finish_meta(meta: Meta, calls: int, digest: TraceDigest) -> None:
    """Write into ``meta`` what only the recorder of a finished run knows."""
    meta["calls"] = calls
    meta["digest"] = digest.hex(meta)
    meta["complete"] = True


def log_lines(text: str) -> list[str]:
    r"""Return the lines of ``text`` as the log keeps them.

    >>> log_lines("livepatch: enabling\r\n")
    ['livepatch: enabling']
    """
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]


class _Chunks:
    """An array that grows by chunks, joined when it is looked at."""

    def __init__(self, dtype: np.dtype[np.void]) -> None:
        self._dtype = dtype
        self._parts: list[NDArray[np.void]] = []

    def append(self, rows: NDArray[np.void]) -> None:
        if rows.dtype != self._dtype or rows.ndim != 1:
            raise TypeError(f"rows must be one-dimensional {self._dtype}, not {rows.ndim}-d {rows.dtype}")
        if len(rows):
            self._parts.append(rows.copy())

    def joined(self) -> NDArray[np.void]:
        if len(self._parts) != 1:
            self._parts = [np.concatenate(self._parts) if self._parts else np.empty(0, self._dtype)]
        whole = self._parts[0].view()
        whole.flags.writeable = False
        return whole
