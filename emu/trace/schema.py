"""The columns of a trace: one NumPy dtype per table, with unit and meaning of each column.

`docs/trace-format.md` shows these tables to users; a test holds the page to this module.
"""

from dataclasses import dataclass
from enum import IntEnum, IntFlag

import numpy as np
from numpy.typing import NDArray

SCHEMA_VERSION = 1
"""Number behind ``klpemu.run/``; grows when a reader of the old one would misread the new."""

NOT_DISPATCHED = -2
"""``patch_state`` of a call that no livepatch handler dispatched."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Args:
        name: field of the dtype.
        format: NumPy scalar dtype string, little endian.
        unit: what one step of the value is.
        doc: what it holds.
    """

    name: str
    format: str
    unit: str
    doc: str


class CallFlag(IntFlag):
    """Bits of ``calls.flags``."""

    TRANSITION = 0x1
    NOP = 0x2
    RECURSION = 0x4
    NESTED = 0x8
    TAIL = 0x10
    UNFINISHED = 0x20
    REDIRECTED = 0x40
    HOOKED = 0x80
    IRQ = 0x100


CALL_FLAG_DOCS: dict[CallFlag, str] = {
    CallFlag.TRANSITION: "the func's `transition` was set, so the task's `patch_state` decided",
    CallFlag.NOP: "a nop func was chosen: the original ran",
    CallFlag.RECURSION: "no recursion bit was free: the handler left without choosing",
    CallFlag.NESTED: "entered inside another traced call of its task",
    CallFlag.TAIL: "left by a tail call: `exit` and `result` are its callee's",
    CallFlag.UNFINISHED: "the run ended inside it: `exit`, `insns`, `result` are 0; `target` may yet change",
    CallFlag.REDIRECTED: "`target` is a replacement",
    CallFlag.HOOKED: "the site was on: the trampoline ran",
    CallFlag.IRQ: "entered in interrupt context",
}
"""What each bit of ``calls.flags`` says."""


class EventKind(IntEnum):
    """Values of ``events.kind``."""

    WARN = 1
    BUG = 2
    IPI = 3
    SWITCH = 4
    TEXT_POKE = 5
    SYNC = 6
    GRACE_PERIOD = 7
    REFRESH = 8
    FAULT = 9
    ENABLE = 10
    DISABLE = 11
    SETTLED = 12
    MODULE_LOAD = 13
    MODULE_UNLOAD = 14
    ALLOC = 15
    FREE = 16
    BREAKPOINT = 17
    TRANSITION = 18
    FORK = 19


@dataclass(frozen=True, slots=True)
class EventDoc:
    """What an event kind says, and what its three operands hold; an empty operand is always 0."""

    doc: str
    a: str = ""
    b: str = ""
    c: str = ""


EVENT_DOCS: dict[EventKind, EventDoc] = {
    EventKind.WARN: EventDoc(
        "a WARN was hit and the run went on",
        "address of the trap instruction; 0 = in the kernel's Python side",
        "its line there, 0 otherwise",
    ),
    EventKind.BUG: EventDoc("a BUG was hit and the run ended", "address of the trap instruction"),
    EventKind.IPI: EventDoc(
        "an interrupt was raised on another CPU",
        "kind: 0 sync, 1 timer, 2 reschedule",
        "CPU it was raised on",
    ),
    EventKind.SWITCH: EventDoc(
        "`current` changed; `task` is the new one", "row of the task before", "its `task_struct.state`"
    ),
    EventKind.TEXT_POKE: EventDoc(
        "this CPU stored into text", "address", "bytes", "first 8 bytes stored, little-endian"
    ),
    EventKind.SYNC: EventDoc(
        "every other CPU has serialised, as this CPU asked",
        "cycle at which it asked",
        "number of other CPUs that answered",
    ),
    EventKind.GRACE_PERIOD: EventDoc(
        "a wait of this CPU is over: for a grace period, or for the breakpoint handlers of a text poke",
        "cycle at which the wait began",
        "number of conditions waited for",
    ),
    EventKind.REFRESH: EventDoc(
        "this CPU held outdated text and now fetches what is in memory",
        "lowest address that was outdated",
        "bytes",
        "1 = the CPU synchronised, 0 = it happened to fetch anew early",
    ),
    EventKind.FAULT: EventDoc(
        "an instruction failed and the run ended",
        "address accessed",
        "address of the instruction",
        "kind: 0 load, 1 store, 2 fetch or undefined",
    ),
    EventKind.ENABLE: EventDoc(
        "enabling a patch began, or its disabling was reversed", "patch index", "1 = atomic replace"
    ),
    EventKind.DISABLE: EventDoc("disabling a patch began, or its enabling was reversed", "patch index"),
    EventKind.SETTLED: EventDoc(
        "the enabling or disabling of a patch is complete",
        "patch index",
        "1 = the patch is enabled, 0 = disabled",
    ),
    EventKind.MODULE_LOAD: EventDoc("a module went live", "lowest address of its text", "bytes of text"),
    EventKind.MODULE_UNLOAD: EventDoc("a module is gone", "lowest address of its text", "bytes of text"),
    EventKind.ALLOC: EventDoc("memory was allocated", "address", "bytes"),
    EventKind.FREE: EventDoc("memory was freed and poisoned", "address", "bytes"),
    EventKind.BREAKPOINT: EventDoc("a breakpoint was hit on a text poke's way", "address of the breakpoint"),
    EventKind.TRANSITION: EventDoc(
        "a task's `patch_state` changed; `task` is that task, `cpu` the one that changed it",
        "new state, as a 64-bit two's complement",
        "state before, likewise",
        "patch index",
    ),
    EventKind.FORK: EventDoc(
        "`task` makes a child, and something of its own is copied",
        "row of the child",
        "0 = its flags are copied, 2 = its `patch_state` is; 1 more where it has TIF_PATCH_PENDING",
        "its `patch_state`, as a 64-bit two's complement",
    ),
}
"""What each event kind says, and its operands."""

CALL_COLUMNS: tuple[Column, ...] = (
    Column("seq", "<u8", "count", "number of its entry, from the run's one counter"),
    Column(
        "dispatch_seq",
        "<u8",
        "count",
        "number of the moment its version was decided: of its dispatch, or of the return from the last "
        "interrupt before its site ran; else `seq`",
    ),
    Column("cpu", "<u2", "index", "CPU that entered the call"),
    Column("task", "<u4", "index", "task that made it: row of meta's `tasks`"),
    Column("site", "<u8", "address", "the traced function"),
    Column("parent", "<u8", "address", "where it returns to"),
    Column("target", "<u8", "address", "function that ran; equal to `site` when the original did"),
    Column("patch", "<u2", "index", "version that ran: row of meta's `patches`; 0 = original"),
    Column(
        "patch_state", "<i1", "state", "at dispatch: -1 idle, 0 unpatched, 1 patched; -2 = no handler ran"
    ),
    Column("depth", "<u1", "calls", "traced calls of its task around it; 255 = that many or more"),
    Column("flags", "<u2", "bits", "what else is known of it, see below"),
    Column("enter", "<u8", "cycles", "first instruction of `site`, on the clock of `cpu`"),
    Column("dispatched", "<u8", "cycles", "the version that ran was reached; `enter` if the site was off"),
    Column("exit", "<u8", "cycles", "first instruction at `parent` after it"),
    Column("insns", "<u4", "instructions", "run by its task in it, callees included; saturates"),
    Column("result", "<u8", "value", "result register at return"),
)
"""Columns of ``calls.npy``, in order."""

PART_COLUMNS: tuple[Column, ...] = (
    Column("site_cycles", "<u4", "cycles", "at its site, breakpoints and veneers on its way included"),
    Column("save_cycles", "<u4", "cycles", "in the trampoline up to the call of the handler"),
    Column("handler_cycles", "<u4", "cycles", "in the handlers, and in what they call"),
    Column("walk_cycles", "<u4", "cycles", "in the list function, handlers left out"),
    Column("restore_cycles", "<u4", "cycles", "in the trampoline behind the call of the handler"),
    Column(
        "mispredict_cycles", "<u4", "cycles", "wherever it was, while a wrong prediction left nothing to do"
    ),
    Column("body_cycles", "<u4", "cycles", "in the version that ran, without what it calls"),
    Column("other_cycles", "<u8", "cycles", "the rest: callees, interrupts, other tasks"),
)
"""Further columns of ``calls.npy`` of a run with a cycle model; their sum is ``exit - enter``."""

EVENT_COLUMNS: tuple[Column, ...] = (
    Column("seq", "<u8", "count", "its number, from the run's one counter, which calls share"),
    Column("cycle", "<u8", "cycles", "when, on the clock of `cpu`"),
    Column("cpu", "<u2", "index", "CPU it happened on"),
    Column("kind", "<u2", "kind", "what happened, see below"),
    Column("task", "<u4", "index", "task that ran on that CPU, unless the kind says otherwise"),
    Column("a", "<u8", "by kind", "first operand"),
    Column("b", "<u8", "by kind", "second operand"),
    Column("c", "<u8", "by kind", "third operand"),
)
"""Columns of ``events.npy``, in order."""

CALLS: np.dtype[np.void] = np.dtype([(column.name, column.format) for column in CALL_COLUMNS])
"""One row per traced call: 88 bytes, no padding."""

TIMED_CALLS: np.dtype[np.void] = np.dtype(
    [(column.name, column.format) for column in (*CALL_COLUMNS, *PART_COLUMNS)]
)
"""The same with a cycle model: 124 bytes, no padding."""

PARTS = tuple(column.name for column in PART_COLUMNS)
"""Columns whose sum is a call's ``exit - enter``."""


def calls_dtype(timing: str) -> np.dtype[np.void]:
    """Return the dtype of ``calls`` of a run whose meta says ``timing``: with parts unless that is off."""
    return CALLS if timing == "off" else TIMED_CALLS


EVENTS: np.dtype[np.void] = np.dtype([(column.name, column.format) for column in EVENT_COLUMNS])
"""One row per event: 48 bytes, no padding."""

SATURATING = frozenset({"depth", "insns", *PARTS[:-1]})
"""Columns that hold their largest value when the count is larger; any other overflow is an error."""


def calls_from_words(words: NDArray[np.uint64]) -> NDArray[np.void]:
    """Return the rows of `CALLS` that the native engine wrote as plain 64-bit words.

    Args:
        words: shape ``(n, 16)``, uint64, columns as in `CALL_COLUMNS`; ``patch_state`` is a 64-bit
            two's complement. Or ``(n, 24)``, those of `PART_COLUMNS` behind them. May be a buffer that is
            used again: the result is a copy.

    Returns:
        Shape ``(n,)``, dtype `CALLS` or `TIMED_CALLS`.

    Raises:
        TypeError: not uint64.
        ValueError: not that shape, or a value does not fit its column.
    """
    timed = words.ndim == 2 and words.shape[1] == len(CALL_COLUMNS) + len(PART_COLUMNS)
    return _rows_from_words(words, TIMED_CALLS if timed else CALLS)


def events_from_words(words: NDArray[np.uint64]) -> NDArray[np.void]:
    """Return the rows of `EVENTS` that the native engine wrote as plain 64-bit words.

    Args:
        words: shape ``(n, 8)``, uint64, columns as in `EVENT_COLUMNS`; see `calls_from_words`.

    Returns:
        Shape ``(n,)``, dtype `EVENTS`.

    Raises:
        TypeError: not uint64.
        ValueError: not that shape, or a value does not fit its column.
    """
    return _rows_from_words(words, EVENTS)


def _rows_from_words(words: NDArray[np.uint64], dtype: np.dtype[np.void]) -> NDArray[np.void]:
    names = dtype.names
    assert names is not None, "a table's dtype has fields"
    if words.dtype != np.uint64:
        raise TypeError(f"words must be uint64, not {words.dtype}")
    if words.ndim != 2 or words.shape[1] != len(names):
        raise ValueError(f"words must have shape (n, {len(names)}), not {words.shape}")
    rows = np.empty(len(words), dtype)
    # One pass finds the columns that can overflow at all, so the usual row costs no check of its own.
    used = np.bitwise_or.reduce(words, axis=0)
    for index, name in enumerate(names):
        field, column = dtype[name], words[:, index]
        if field.kind == "i":
            column = column.view(np.int64)
            bounds = np.iinfo(np.dtype(field.str))
            if len(column) and not bounds.min <= column.min() <= column.max() <= bounds.max:
                raise _misfit(name, column, (column < bounds.min) | (column > bounds.max))
        elif field.itemsize < 8 and int(used[index]) >> (8 * field.itemsize):
            largest = np.uint64(2 ** (8 * field.itemsize) - 1)
            if name not in SATURATING:
                raise _misfit(name, column, column > largest)
            column = np.minimum(column, largest)
        rows[name] = column
    return rows


def _misfit(name: str, column: NDArray[np.integer], bad: NDArray[np.bool_]) -> ValueError:
    row = int(np.argmax(bad))
    return ValueError(f"row {row}: {int(column[row])} does not fit column {name!r}")
