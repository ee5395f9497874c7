"""Grace periods: what somebody who begins to wait now has to see."""

from __future__ import annotations

from collections.abc import Sequence

from emu.build.memory_map import CALL_TABLES, USER_TEXT
from emu.kernel.installer import PATCHING_CPU
from emu.kernel.tasks import Task
from emu.machine import state as s
from emu.machine.engine import Engine
from emu.machine.operations import Condition
from emu.structs import CALL_ENTRY, CONSTANTS, PERCPU, TASK
from emu.units import unsigned64


class GracePeriods:
    """Tells it.

    Args:
        engine: the machine.
        percpu: guest address of each CPU's per-CPU area.
        tasks: in all slots, now and later.
        tickless: CPUs without timer interrupts.
    """

    def __init__(
        self, engine: Engine, percpu: Sequence[int], tasks: Sequence[Task], tickless: frozenset[int]
    ) -> None:
        self._engine, self._percpu, self._tasks, self._tickless = engine, percpu, tasks, tickless

    def start(self, flavour: str) -> list[Condition]:
        """Return what a grace period that starts now waits for.

        Args:
            flavour: "rcu": every CPU passes a quiescent state; "tasks": every task that is
                runnable now has called schedule() or been in user text.

        A CPU without tick that is in user text now counts as having passed one, as with rcu_user_enter:
        nothing need ever take it out of there. Elsewhere it is told to pass one, as rcu_gp_fqs does with
        CPUs that hold a grace period up: it may be about to halt.
        """
        engine = self._engine
        in_user = {cpu for cpu in self._tickless if self.in_user_text(cpu)}
        for cpu in sorted(self._tickless - in_user):
            if not engine.blocks[cpu, s.CPU_HALTED]:
                engine.interrupt(cpu, s.IRQ_RESCHEDULE, sender=PATCHING_CPU)
        if flavour == "rcu":
            return [
                self._changes(area + PERCPU.offset("rcu_qs"), f"CPU{cpu}")
                for cpu, area in enumerate(self._percpu)
                if cpu != PATCHING_CPU and not engine.blocks[cpu, s.CPU_HALTED] and cpu not in in_user
            ]
        current = {engine.blocks[cpu, s.CPU_TASK_STRUCT] for cpu in in_user}
        return [self._leaves(task) for task in self._runnable() if task.struct not in current]

    def out_of(self, text: range) -> list[Condition]:
        """Return what must come true before no runnable task is inside ``text``, or about to call into it.

        That is a voluntary switch, or user text, of each task whose registers or kernel stack have an address
        of ``text``, or of a call of it; so now and then one that has not. The others need not be waited for:
        somebody who knows them all, as klpemu does and Linux doesn't, can look.
        """
        inside = [task for task in self._runnable() if self._may_be_in(task, text)]
        for cpu in sorted(self._tickless & {task.cpu for task in inside}):
            self._engine.interrupt(cpu, s.IRQ_RESCHEDULE, sender=PATCHING_CPU)
        return [self._leaves(task) for task in inside]

    def _runnable(self) -> list[Task]:
        running, state = CONSTANTS["TASK_RUNNING"], TASK.offset("state")
        return [
            task
            for task in self._tasks
            if task.kind != "idle" and not task.is_driver
            if self._engine.memory.load(task.struct + state) == running
        ]

    def _leaves(self, task: Task) -> Condition:
        return self._changes(task.struct + TASK.offset("nvcsw"), f"{task.comm} (pid {task.pid})")

    def _may_be_in(self, task: Task, text: range) -> bool:
        load, (low, high) = self._engine.memory.load, task.kernel_stack
        words, names = list[int](), self._engine.port.registers
        sp = load(task.struct + TASK.offset("sp"))
        if self._engine.blocks[task.cpu, s.CPU_TASK_STRUCT] == task.struct:
            read = self._engine.read_register
            words = [unsigned64(read(task.cpu, name)) for name in names.all]
            sp = unsigned64(read(task.cpu, names.sp))
        if low <= sp < high:  # else in user text: its kernel stack is empty
            words += [load(at) for at in range(sp & -8, high, 8)]
        return any(word in text or self._calls(word, text) for word in words)

    def _calls(self, entry: int, text: range) -> bool:
        """Whether the call_entry at ``entry``, if that is one, is a call of ``text``."""
        inside = CALL_TABLES.base <= entry <= CALL_TABLES.end - CALL_ENTRY.size and entry % 8 == 0
        return inside and self._engine.memory.load(entry + CALL_ENTRY.offset("fn")) in text

    def in_user_text(self, cpu: int) -> bool:
        """Whether the CPU's next instruction is in user text."""
        return self._engine.read_register(cpu, self._engine.port.registers.pc) in USER_TEXT

    def _changes(self, address: int, who: str) -> Condition:
        return Condition(address=address, value=self._engine.memory.load(address), who=who)
