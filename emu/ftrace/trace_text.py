"""The text of tracing's ``trace`` file.

Source: kernel/trace/trace.c, print_event_info, print_func_help_header_irq; kernel/trace/trace_output.c,
trace_print_lat_fmt, trace_print_context, trace_fn_trace (6.1).
"""

from __future__ import annotations

from collections.abc import Callable

from emu.ftrace.trace_buffer import TraceEntry
from emu.kernel.kallsyms import Kallsyms
from emu.structs import CONSTANTS

_HARDIRQ, _NMI = (CONSTANTS[f"{name}_OFFSET"] * 0xF for name in ("HARDIRQ", "NMI"))
_COLUMNS = """\
#                                _-----=> irqs-off/BH-disabled
#                               / _----=> need-resched
#                              | / _---=> hardirq/softirq
#                              || / _--=> preempt-depth
#                              ||| / _-=> migrate-disable
#                              |||| /     delay
#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION
#              | |         |   |||||     |         |
"""


def trace_text(
    tracer: str,
    entries: list[TraceEntry],
    *,
    written: int,
    cpus: int,
    kallsyms: Kallsyms,
    comm: Callable[[int], str],
) -> str:
    """Return the whole text.

    Args:
        tracer: the current one.
        entries: of the buffer, the oldest first.
        written: how many were written since it was empty.
        cpus: how many there are.
        kallsyms: names of addresses.
        comm: pid -> name of the task.
    """
    count = f"# entries-in-buffer/entries-written: {len(entries)}/{written}   #P:{cpus}"
    head = f"# tracer: {tracer}\n#\n{count}\n#\n"
    return head + _COLUMNS + "".join(f"{_line(entry, kallsyms, comm)}\n" for entry in entries)


def _line(entry: TraceEntry, kallsyms: Kallsyms, comm: Callable[[int], str]) -> str:
    task = f"{comm(entry.pid):>16}-{entry.pid:<7} [{entry.cpu:03}] {_context(entry)}"
    return f"{task} {entry.seq:12}: {_name(kallsyms, entry.ip)} <-{_name(kallsyms, entry.parent_ip)}"


def _context(entry: TraceEntry) -> str:
    """Return five characters: interrupts, scheduling, context, preempt_count, migration."""
    count = entry.preempt_count
    context = "z" if count & _NMI else "h" if count & _HARDIRQ else "."
    depth = f"{count & 0xF:x}" if count & 0xF else "."
    return f"{'d' if entry.irqs_off else '.'}{'N' if entry.need_resched else '.'}{context}{depth}."


def _name(kallsyms: Kallsyms, address: int) -> str:
    place = kallsyms.containing(address)
    return f"0x{address:08x}" if place is None else place.symbol.name
