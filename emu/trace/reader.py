"""Loading a run directory: rows stay on disk, and nothing in it is trusted or unpickled."""

import json
from pathlib import Path
from types import MappingProxyType

import numpy as np

from emu.trace.code import parse_code
from emu.trace.errors import NotARunError, RunFileError
from emu.trace.meta import check_meta, check_symbols
from emu.trace.npy import Table, map_table
from emu.trace.run import Run
from emu.trace.schema import EVENTS, calls_dtype
from emu.units import counted

META_FILE = "meta.json"
CALLS_FILE = "calls.npy"
EVENTS_FILE = "events.npy"
SYMBOLS_FILE = "symbols.json"
LOG_FILE = "log.txt"
CODE_FILE = "code.jsonl"

_JSON_LIMIT = 1 << 28  # bytes; a kernel's 200 thousand symbols take 10 MiB


def load_run(path: Path | str) -> Run:
    """Return the run in directory ``path``, its rows as read-only memory maps.

    A run that was killed, or whose tables were cut short, loads as far as it goes; `Run.notes` say so.

    Raises:
        NotARunError: there is no run.
        NewerSchemaError: a later klpemu wrote it.
        RunFileError: one of its files is missing or malformed.
    """
    directory = Path(path)
    if not directory.is_dir():
        found = "it is a file" if directory.exists() else "it does not exist"
        raise NotARunError(directory, found)
    if not (directory / META_FILE).exists():
        raise NotARunError(directory, f"it has no {META_FILE}")
    meta = check_meta(read_json(directory / META_FILE), directory / META_FILE)
    complete = meta["complete"]
    calls = _table(directory / CALLS_FILE, calls_dtype(meta["timing"]), complete=complete)
    events = _table(directory / EVENTS_FILE, EVENTS, complete=complete)
    symbols_path, log_path = directory / SYMBOLS_FILE, directory / LOG_FILE
    absent = {name for name in (symbols_path, log_path) if not name.exists()}
    if absent and complete:
        raise RunFileError(min(absent), "does not exist", "a file of every run")
    symbols = {} if symbols_path in absent else check_symbols(read_json(symbols_path), symbols_path)
    log = () if log_path in absent else _read_log(log_path)
    code_path = directory / CODE_FILE
    code = parse_code(_read_text(code_path), code_path) if code_path.exists() else ()
    damage, notes = [note for note in (calls.note, events.note) if note], []
    if not complete:
        notes.append(
            "the run did not finish; what it left behind is loaded: "
            f"{counted(len(calls.rows), 'call')}, {counted(len(events.rows), 'event')}"
        )
    elif len(calls.rows) != meta["calls"] and not calls.note:
        damage.append(f"{META_FILE} counts {meta['calls']:_} calls, {CALLS_FILE} holds {len(calls.rows):_}")
    return Run(
        calls=calls.rows,
        events=events.rows,
        meta=meta,
        symbols=MappingProxyType(symbols),
        log=log,
        code=code,
        notes=(*notes, *damage),
        damage=tuple(damage),
        path=directory,
    )


def read_json(path: Path) -> object:
    """Return what a JSON file holds, or None if there is no such file.

    Raises:
        RunFileError: it can't be read or is not JSON.
    """
    try:
        if not path.exists():
            return None
        if not path.is_file():
            raise RunFileError(path, "is not a regular file", "JSON")
        if path.stat().st_size > _JSON_LIMIT:
            raise RunFileError(path, "is unreasonably large", f"at most {_JSON_LIMIT:_} bytes of JSON")
        value: object = json.loads(path.read_bytes())
    except OSError as error:
        raise RunFileError(path, error.strerror or str(error), "JSON") from error
    except (ValueError, RecursionError) as error:
        raise RunFileError(path, "is not JSON, or cut short", "JSON") from error
    return value


def _table(path: Path, dtype: np.dtype[np.void], *, complete: bool) -> Table:
    # A run can be killed before its tables exist, or before their headers do.
    if not complete and (not path.exists() or (path.is_file() and path.stat().st_size == 0)):
        rows = np.empty(0, dtype)
        rows.flags.writeable = False
        return Table(rows=rows)
    return map_table(path, dtype)


def _read_log(path: Path) -> tuple[str, ...]:
    text = _read_text(path)
    return tuple(text.removesuffix("\n").split("\n")) if text else ()


def _read_text(path: Path) -> str:
    try:
        if not path.is_file():
            raise RunFileError(path, "is not a regular file", "text")
        return path.read_bytes().decode("utf-8", errors="backslashreplace")
    except OSError as error:
        raise RunFileError(path, error.strerror or str(error), "text") from error
