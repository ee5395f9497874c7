"""The text of tracing's ``enabled_functions`` file.

Source: kernel/trace/ftrace.c, t_show (6.1; the ``O`` column and ``ops:`` with CALL_OPS: 6.3; ``M``: 6.4).
"""

from __future__ import annotations

from emu.ftrace.core import Ftrace
from emu.ftrace.flags import RecordFlags
from emu.ftrace.sites import DynFtrace


def enabled_functions(ftrace: Ftrace, *, modified_column: bool = False) -> list[str]:
    """Return one line per site in use, in address order.

    Args:
        ftrace: of the kernel.
        modified_column: there are columns ``O`` and ``M`` in any case, as since 6.4.
    """
    used = [record for record in ftrace.sites.records() if record.count]
    return [_line(ftrace, record, modified_column=modified_column) for record in used]


def _line(ftrace: Ftrace, record: DynFtrace, *, modified_column: bool) -> str:
    flags, symbols = record.flags, ftrace.kallsyms
    columns = [
        " R" if flags & RecordFlags.REGS else "  ",
        " I" if flags & RecordFlags.IPMODIFY else "  ",
        "  ",  # D: direct calls are not modelled
    ]
    if ftrace.trampolines.call_ops or modified_column:
        columns.append(" O" if flags & RecordFlags.CALL_OPS else "  ")
    if modified_column:
        columns.append(" M " if flags & RecordFlags.MODIFIED else "   ")
    line = f"{symbols.name_at(record.ip)} ({record.count}){''.join(columns)}"
    users = ftrace.chain.users_of(record.ip)
    if flags & RecordFlags.TRAMP_EN:
        own = [ops for ops in users if ops.trampoline]
        for ops in own:
            at, func = symbols.with_offset(ops.trampoline), symbols.with_offset(ops.func)
            called = ftrace.trampolines.handler_in(ops, regs=False)
            line += f"\ttramp: {at} ({func}) ->{symbols.with_offset(called)}"
        return line if own else f"{line}\ttramp: ERROR!"
    called = ftrace.trampolines.handler_in(None, regs=bool(flags & RecordFlags.REGS_EN))
    if called and not record.old_style:
        line += f" ->{symbols.with_offset(called)}"
    if flags & RecordFlags.CALL_OPS_EN:
        address, func = symbols.with_offset(users[0].address), symbols.with_offset(users[0].func)
        line += f"\tops: {address} ({func})"
    return line
