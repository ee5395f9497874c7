"""The run directory, written while the run goes on: chunks to disk, never a whole trace in memory."""

import json
import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

import numpy as np
from numpy.typing import NDArray

from emu.trace.code import CodeBlock
from emu.trace.digest import TraceDigest
from emu.trace.errors import RunDirectoryTakenError, RunFileError, RunNotCreatedError, RunWriteError
from emu.trace.lock import DirectoryLock
from emu.trace.meta import SCHEMA_FAMILY, Meta, MetaChanges, Symbol, with_changes
from emu.trace.npy import NpyAppender
from emu.trace.reader import (
    CALLS_FILE,
    CODE_FILE,
    EVENTS_FILE,
    LOG_FILE,
    META_FILE,
    SYMBOLS_FILE,
    load_run,
    read_json,
)
from emu.trace.recorder import finish_meta, log_lines, started_meta
from emu.trace.run import Run
from emu.trace.schema import EVENTS, calls_dtype


class RunWriter:
    """A `Recorder` that writes a run directory.

    ``meta.json`` says ``complete: false`` from before the first row until after the last, so a run
    that was killed is never taken for a finished one, and what it wrote can be loaded. A run that is
    already there is replaced; its files are unlinked, not truncated, so who has it mapped keeps it. One
    that is still being recorded is not.

    Args:
        directory: made if missing; must be empty or hold a run.
        meta: parameters and tables of the run; what the recorder knows better is overwritten.

    Raises:
        RunDirectoryTakenError: something else is there, or another run is being recorded there.
        RunNotCreatedError: the operating system does not let the run begin.
        RunWriteError: on any method, what the operating system says.
    """

    def __init__(self, directory: Path | str, meta: Meta) -> None:
        self.directory = Path(directory)
        self._meta = started_meta(meta)
        self._digest = TraceDigest()
        self._open = True
        with ExitStack() as undo:
            _make(self.directory)
            self._lock = DirectoryLock(self.directory)
            undo.callback(self._lock.release)
            self._begin()
            undo.callback(self._log.close)
            undo.callback(self._code.close)
            self._calls = NpyAppender(self.directory / CALLS_FILE, calls_dtype(meta["timing"]))
            undo.callback(self._calls.close)
            self._events = NpyAppender(self.directory / EVENTS_FILE, EVENTS)
            undo.pop_all()

    def _begin(self) -> None:
        """Make what is in the directory an incomplete and empty run."""
        try:
            _check_replaceable(self.directory)
            _replace_json(self.directory / META_FILE, self._meta)
            for name in (CALLS_FILE, EVENTS_FILE, SYMBOLS_FILE, LOG_FILE, CODE_FILE):
                (self.directory / name).unlink(missing_ok=True)
            _replace_json(self.directory / SYMBOLS_FILE, {})
            self._log, self._code = (_lines(self.directory / name) for name in (LOG_FILE, CODE_FILE))
        except OSError as error:
            raise RunNotCreatedError(self.directory / META_FILE, error.strerror or str(error)) from error

    def __enter__(self) -> Self:
        """Return the writer itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the files; only `finish` completes a run."""
        self.close()

    @property
    def calls(self) -> NDArray[np.void]:
        """The calls so far, dtype `CALLS`, as a read-only memory map."""
        return self._calls.rows()

    @property
    def events(self) -> NDArray[np.void]:
        """The events so far, dtype `EVENTS`, likewise."""
        return self._events.rows()

    def add_calls(self, rows: NDArray[np.void]) -> None:
        """Write rows of dtype `CALLS`."""
        self._require_open()
        self._calls.append(rows)
        self._digest.add_calls(rows)

    def add_events(self, rows: NDArray[np.void]) -> None:
        """Write rows of dtype `EVENTS`."""
        self._require_open()
        self._events.append(rows)
        self._digest.add_events(rows)

    def add_log(self, line: str) -> None:
        """Write one line of the kernel log."""
        self._write_line(self._log, "".join(f"{text}\n" for text in log_lines(line)))

    def add_code(self, block: CodeBlock) -> None:
        """Write what came into memory."""
        self._write_line(self._code, block.to_line())

    def _write_line(self, file: TextIO, text: str) -> None:
        self._require_open()
        try:
            file.write(text)
        except OSError as error:
            raise RunWriteError(Path(file.name), error.strerror or str(error)) from error

    def set_symbols(self, symbols: Mapping[str, Symbol]) -> None:
        """Replace the symbol table."""
        self._require_open()
        self._require_own()
        self._write_json(SYMBOLS_FILE, {name: list(symbol) for name, symbol in symbols.items()})

    def update_meta(self, changes: MetaChanges) -> None:
        """Note what became known, so that a killed run can tell it too."""
        self._require_open()
        self._require_own()
        self._meta = with_changes(self._meta, changes)
        self._write_json(META_FILE, self._meta)

    def run(self) -> Run:
        """Return what was recorded so far, as loaded from the files; later rows do not change it."""
        if not self._open:
            return load_run(self.directory)
        self._require_own()
        return replace(load_run(self.directory), notes=())  # that it goes on is nothing to warn of

    def finish(self, changes: MetaChanges) -> Run:
        """Complete the run and return it as loaded from its files; nobody can replace it before `close`."""
        self._require_open()
        self._require_own()
        self._meta = with_changes(self._meta, changes)
        finish_meta(self._meta, self._calls.count, self._digest)
        self._calls.sync()
        self._events.sync()
        self._write_json(META_FILE, self._meta)
        self._close_files()
        return load_run(self.directory)

    def close(self) -> None:
        """Close the files and leave the directory; a run that was not finished stays an incomplete one."""
        self._close_files()
        self._lock.release()

    def _close_files(self) -> None:
        self._open = False
        for file in (self._calls, self._events, self._log, self._code):
            file.close()

    def _require_open(self) -> None:
        if not self._open:
            raise ValueError("the run is finished or closed; nothing can be added to it")

    def _require_own(self) -> None:
        if not (self._calls.owns_path() and self._events.owns_path()):
            raise RunDirectoryTakenError(self.directory, "another run has replaced this one meanwhile")

    def _write_json(self, name: str, value: object) -> None:
        path = self.directory / name
        try:
            _replace_json(path, value)
        except OSError as error:
            raise RunWriteError(path, error.strerror or str(error)) from error


def _lines(path: Path) -> TextIO:
    """Return a new text file that each line is in at once."""
    return path.open("x", encoding="utf-8", errors="backslashreplace", newline="\n", buffering=1)


def _replace_json(path: Path, value: object) -> None:
    """Replace a file at once: a reader sees the old contents or the new, nothing between."""
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=1 if path.name == META_FILE else None)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _make(directory: Path) -> None:
    """Make the directory if it is not there."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise RunDirectoryTakenError(directory, "a file is in the way") from error
    except OSError as error:
        inside = next((parent for parent in directory.parents if os.access(parent, os.F_OK)), Path())
        reason = f"{inside} takes no new entry ({error.strerror or error})"
        raise RunNotCreatedError(directory, reason) from error


def _check_replaceable(directory: Path) -> None:
    """Raise if what is in the directory is not ours to replace."""
    if not any(directory.iterdir()):
        return
    try:
        meta = read_json(directory / META_FILE)
    except RunFileError:
        meta = None
    schema = meta.get("schema") if isinstance(meta, dict) else None
    if not isinstance(schema, str) or not schema.startswith(SCHEMA_FAMILY):
        raise RunDirectoryTakenError(directory, "it is not empty and does not hold a klpemu run")
