"""The ring buffer of the function tracer: guest code writes it, the patching CPU reads it.

There is one ring for all CPUs, and the number of an entry is its time, as with Linux's trace_clock "counter";
a full ring loses the oldest entries, as with the option "overwrite".
"""

from __future__ import annotations

from dataclasses import dataclass

from emu.kernel.errno import ENOMEM
from emu.kernel.guest import Guest
from emu.structs import TRACE_ARRAY, TRACE_ENTRY

ENTRIES = 1024
"""Entries of the ring, a power of two. # assumed: Linux has 1408 KiB for each CPU"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceEntry:
    """One entry: the members of an ``ftrace_entry``."""

    seq: int
    ip: int
    parent_ip: int
    pid: int
    cpu: int
    irqs_off: bool
    need_resched: bool
    preempt_count: int


class TraceBuffer:
    """The ring of one ``trace_array``.

    Args:
        guest: the patching CPU.
        trace_array: its address.
    """

    def __init__(self, guest: Guest, trace_array: int) -> None:
        self._guest, self.array = guest, guest.view(TRACE_ARRAY, trace_array)
        self._start = 0  # entries written before the buffer was emptied

    def allocate(self) -> int:
        """Make room for the entries, unless there is: 0 or -ENOMEM."""
        if self.array["entries"]:
            return 0
        entries = self._guest.alloc(ENTRIES * TRACE_ENTRY.size, "trace ring")
        if not entries:
            return -ENOMEM
        self.array["mask"] = ENTRIES - 1
        self.array["entries"] = entries
        return 0

    def reset(self) -> None:
        """Empty it; what is being written meanwhile counts as before."""
        self._start = self.array["written"]

    @property
    def is_on(self) -> bool:
        """Whether it takes entries."""
        return not self.array["record_disabled"]

    def switch(self, *, on: bool) -> None:
        """Have it take entries, or not."""
        self.array["record_disabled"] = not on

    def entries(self) -> tuple[list[TraceEntry], int]:
        """Return what it holds, the oldest first, and how many entries were written since it was empty."""
        if not self.array["entries"]:
            return [], 0
        end = self.array["written"]
        oldest = max(self._start, end - ENTRIES)
        found = (self._entry(number) for number in range(oldest, end))
        return [entry for entry in found if entry is not None], end - self._start

    def _entry(self, number: int) -> TraceEntry | None:
        """Return an entry by its number; None while it is being written, or written over."""
        at = self.array["entries"] + number % ENTRIES * TRACE_ENTRY.size
        view = self._guest.view(TRACE_ENTRY, at)
        if view["seq"] != number + 1:
            return None
        entry = TraceEntry(
            seq=number + 1,
            ip=view["ip"],
            parent_ip=view["parent_ip"],
            pid=view["pid"],
            cpu=view["cpu"],
            irqs_off=bool(view["irqs_off"]),
            need_resched=bool(view["need_resched"]),
            preempt_count=view["preempt_count"],
        )
        # pairs with function_trace_call, which stores 0 here before it changes anything
        return entry if view["seq"] == number + 1 else None
