"""Where a machine's CPUs are, in words: place, task, what they were in the middle of."""

from __future__ import annotations

from bisect import bisect_right
from itertools import groupby

import numpy as np

from emu.kernel.kallsyms import Kallsyms
from emu.kernel.kernel import Kernel
from emu.kernel.tasks import Task
from emu.machine import state as s
from emu.structs import CALL_ENTRY
from emu.units import unsigned64

_CALLS_SHOWN = 8


class Whereabouts:
    """Names places on one machine.

    Args:
        kernel: the machine.
        kallsyms: its symbols.
    """

    def __init__(self, kernel: Kernel, kallsyms: Kallsyms) -> None:
        self._kernel, self._kallsyms = kernel, kallsyms

    def pc(self, cpu: int) -> int:
        """Return the CPU's next instruction's address, unsigned."""
        engine = self._kernel.engine
        return unsigned64(engine.read_register(cpu, engine.port.registers.pc))

    def place(self, address: int) -> str:
        """Return ``symbol+offset (file:line)`` of a text address, or the bare address."""
        name, found = self._kallsyms.with_offset(address), self._kallsyms.containing(address)
        first = found.symbol.address if found is not None else address
        for image in self._kernel.images:
            at = bisect_right(image.lines, address, key=lambda row: row[0]) - 1
            if at >= 0 and first <= image.lines[at][0]:
                _, file, line = image.lines[at]
                return f"{name} ({file}:{line})"
        return name

    def task(self, cpu: int) -> Task:
        """Return the CPU's current task."""
        return self._kernel.tasks[int(self._kernel.engine.blocks[cpu, s.CPU_TASK])]

    def task_name(self, cpu: int) -> str:
        """Return the current task's name and pid."""
        return named(self.task(cpu))

    def is_at_work(self, cpu: int) -> bool:
        """Tell whether the CPU runs a task other than its idle task and the installer's."""
        task = self.task(cpu)
        return task.kind != "idle" and not task.is_driver

    def of_cpu(self, cpu: int) -> str:
        """Return one line: where the CPU is, and why it may stay there."""
        engine = self._kernel.engine
        halted = ", halted" if engine.blocks[cpu, s.CPU_HALTED] else ""
        masked = "" if engine.interrupts_enabled(cpu) else ", interrupts disabled"
        return f"CPU{cpu}: {self.place(self.pc(cpu))}, task {self.task_name(cpu)}{halted}{masked}"

    def under_way(self, cpu: int) -> list[str]:
        """Return the call of the current task's table that is under way, and its open traced calls."""
        lines = []
        call = self.call_of(self.task(cpu))
        if call is not None:
            name = self._kallsyms.name_at(int(call["fn"]))
            arguments = ", ".join(map(hex, np.trim_zeros(call["args"], "b").tolist()))
            lines.append(f"{self.task_name(cpu)} was making the call {name}({arguments})")
        frames = self._open_calls(cpu)
        if frames:
            runs = [(name, len(list(group))) for name, group in groupby(frames)]
            shown = [
                f"{name} ({times:_} times)" if times > 1 else name for name, times in runs[:_CALLS_SHOWN]
            ]
            more = ["..."] if len(runs) > _CALLS_SHOWN else []
            lines.append(f"open traced calls, innermost first: {' <- '.join(shown + more)}")
        return lines

    def call_of(self, task: Task) -> np.void | None:
        """Return the ``call_entry`` of the call that a task makes, the one before its cursor, or None."""
        if task.kind == "idle" or task.is_driver:
            return None
        start, end = (self._kernel.task_field(task, member) for member in ("work", "work_end"))
        entry = self._kernel.task_field(task, "work_cursor") - CALL_ENTRY.size
        if not start <= entry < end or (entry - start) % CALL_ENTRY.size:
            return None
        row: np.void = self._kernel.engine.memory.view(CALL_ENTRY, entry)[0]
        return row

    def _open_calls(self, cpu: int) -> list[str]:
        engine = self._kernel.engine
        names, top = [], int(engine.blocks[cpu, s.CPU_TOP])
        while top >= 0:
            frame = engine.frames[top]
            if frame[s.FRAME_KIND] == s.FRAME_CALL:
                names.append(self._kallsyms.name_at(int(frame[s.FRAME_TARGET])))
            top = int(frame[s.FRAME_BELOW])
        return names

    def registers(self, cpu: int) -> list[str]:
        """Return every register, a few to the line."""
        engine = self._kernel.engine
        values = [f"{name} {engine.read_register(cpu, name):#x}" for name in engine.port.registers.all]
        return ["  ".join(values[at : at + 6]) for at in range(0, len(values), 6)]


def named(task: Task) -> str:
    """Return a task's name and pid."""
    return f"{task.comm} (pid {task.pid})"
