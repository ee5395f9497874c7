"""Flag bits of ftrace_ops, of records and of code updates, with the kernel's values."""

from __future__ import annotations

from enum import IntEnum, IntFlag


class OpsFlags(IntFlag):
    """``ftrace_ops.flags``. Source: include/linux/ftrace.h, FTRACE_OPS_FL_* (6.1)."""

    ENABLED = 1 << 0
    DYNAMIC = 1 << 1
    SAVE_REGS = 1 << 2
    RECURSION = 1 << 4
    STUB = 1 << 5
    INITIALIZED = 1 << 6
    DELETED = 1 << 7
    ADDING = 1 << 8
    REMOVING = 1 << 9
    MODIFYING = 1 << 10
    ALLOC_TRAMP = 1 << 11
    IPMODIFY = 1 << 12
    RCU = 1 << 14
    PERMANENT = 1 << 16


class RecordFlags(IntFlag):
    """``dyn_ftrace.flags`` without the count.

    Source: include/linux/ftrace.h, FTRACE_FL_* (6.1; CALL_OPS: 6.3; MODIFIED: 6.4).
    """

    ENABLED = 1 << 31
    REGS = 1 << 30
    REGS_EN = 1 << 29
    TRAMP = 1 << 28
    TRAMP_EN = 1 << 27
    IPMODIFY = 1 << 26
    DISABLED = 1 << 25
    CALL_OPS = 1 << 22
    CALL_OPS_EN = 1 << 21
    MODIFIED = 1 << 19


class Update(IntEnum):
    """What a site needs. Source: include/linux/ftrace.h, FTRACE_UPDATE_IGNORE and so on (6.1)."""

    IGNORE = 0
    MAKE_CALL = 1
    MODIFY_CALL = 2
    MAKE_NOP = 3


class Command(IntFlag):
    """What to do to the code. Source: include/linux/ftrace.h, FTRACE_UPDATE_CALLS and so on (6.1)."""

    NONE = 0
    UPDATE_CALLS = 1 << 0
    DISABLE_CALLS = 1 << 1
    UPDATE_TRACE_FUNC = 1 << 2
