"""The tables of calls that tasks make: the workers', the children's, and one for each spare task."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from emu.build.contents import Call, in_rounds
from emu.build.image import Image
from emu.build.memory_map import CALL_TABLES
from emu.kernel.tasks import Task
from emu.machine.memory import Memory
from emu.structs import CALL_ENTRY, CONSTANTS, TASK

SPARE_CALLS = 7
"""Calls in the table of a task that is made while the machine runs."""
SPARE_TABLE = (SPARE_CALLS + 1) * CALL_ENTRY.size


class CallTables:
    """Writes them; their place in memory is `CALL_TABLES`, the fixed ones at its end.

    Args:
        memory: of the guest.
        image: the kernel.
        tasks: in all slots; the spare ones are last.
        spares: how many of these there are.

    Attributes:
        driver_call: guest address of the one call of ``klp_driver``.
    """

    def __init__(self, memory: Memory, image: Image, tasks: Sequence[Task], *, spares: int) -> None:
        self._memory, self._image, self._tasks = memory, image, tasks
        self._first_spare = len(tasks) - spares
        self.driver_call = CALL_TABLES.end - CALL_ENTRY.size
        self._child_table = self.driver_call - SPARE_TABLE
        self._tables_end = self._child_table - spares * SPARE_TABLE
        self._next_table = CALL_TABLES.base
        self._work = (CALL_TABLES.base, CALL_TABLES.base)

    def offer(self, calls: Sequence[tuple[Call, int]]) -> None:
        """Let workers make these calls from now on, in turn.

        The table is written behind the one in use; each task then gets its end, start and cursor by single
        stores in that order, so a task that wraps or goes on meanwhile stays inside one of them.

        Args:
            calls: (call, address of its function).
        """
        rows = [calls[at] for at in in_rounds([call for call, _ in calls])]
        size = CALL_ENTRY.size * max(len(rows), 1)
        if self._next_table + size > self._tables_end:
            self._next_table = CALL_TABLES.base
        table, self._next_table = self._next_table, self._next_table + size
        self._write(table, rows)
        self._work = (table, table + CALL_ENTRY.size * len(rows))
        for task in self._tasks[: self._first_spare]:  # those that were spawned have calls of their own
            if task.kind in ("kthread", "user") and not task.is_driver:
                start, end, cursor = self.work_of(task)
                for member, value in (("work_end", end), ("work", start), ("work_cursor", cursor)):
                    self._memory.store(task.struct + TASK.offset(member), value)

    def _write(self, table: int, calls: Sequence[tuple[Call, int]]) -> None:
        rows = self._memory.view(CALL_ENTRY, table, max(len(calls), 1))
        rows[:] = 0
        buffer = self._image.address("call_buffer")
        for row, (call, function) in zip(rows, calls, strict=False):
            row["fn"], row["expected"] = function, call.expected
            for at, value in enumerate(call.args):
                row["args"][at] = buffer if value == "buffer" else value

    def work_of(self, task: Task) -> tuple[int, int, int]:
        """Return start and end of what a task calls, and where in it it begins: spread by its name."""
        if task.is_driver:
            return self.driver_call, self.driver_call + CALL_ENTRY.size, self.driver_call
        start, end = self._work
        entries = max((end - start) // CALL_ENTRY.size, 1)
        return start, end, start + zlib.crc32(task.comm.encode()) % entries * CALL_ENTRY.size

    def prepare_clone(self, calls: Sequence[tuple[Call, int]]) -> None:
        """Tell kernel_clone which slots it may take, and what its children call before they exit."""
        table, first, address = self._child_table, calls[:SPARE_CALLS], self._image.address
        self._write(table, first)
        last = self._memory.view(CALL_ENTRY, table + CALL_ENTRY.size * len(first))[0]
        last["fn"], last["flags"] = address("do_exit"), CONSTANTS["CALL_ANY_RESULT"]
        for variable, value in (
            ("first_spare", self._first_spare), ("last_pid", max(task.pid for task in self._tasks)),
            ("child_work", table), ("child_work_end", table + CALL_ENTRY.size * (len(first) + 1)),
        ):  # fmt: skip
            self._memory.store(address(variable), value)

    def spare_table(self, task: Task) -> int:
        """Return the guest address of the call table of a task that was spawned."""
        return self._tables_end + (task.index - self._first_spare) * SPARE_TABLE

    def fill_spare(self, task: Task, calls: Sequence[tuple[int, tuple[int, ...]]]) -> tuple[int, int, int]:
        """Write the calls (function, arguments) of a task that is spawned; start, end and cursor of them."""
        assert len(calls) <= SPARE_CALLS + 1, "a spare task's table has that many rows"
        table = self.spare_table(task)
        rows = self._memory.view(CALL_ENTRY, table, len(calls))
        rows[:] = 0
        rows["flags"] = CONSTANTS["CALL_ANY_RESULT"]
        for row, (function, args) in zip(rows, calls, strict=True):
            row["fn"] = function
            row["args"][: len(args)] = args
        return table, table + CALL_ENTRY.size * len(calls), table
