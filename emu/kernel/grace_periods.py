"""Grace periods: what somebody who begins to wait now has to see."""

from __future__ import annotations

from collections.abc import Sequence

from emu.build.memory_map import USER_TEXT
from emu.kernel.installer import PATCHING_CPU
from emu.kernel.tasks import Task
from emu.machine import state as s
from emu.machine.engine import Engine
from emu.machine.operations import Condition
from emu.structs import CONSTANTS, PERCPU, TASK


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
        running, state = CONSTANTS["TASK_RUNNING"], TASK.offset("state")
        current = {engine.blocks[cpu, s.CPU_TASK_STRUCT] for cpu in in_user}
        return [
            self._changes(task.struct + TASK.offset("nvcsw"), f"{task.comm} (pid {task.pid})")
            for task in self._tasks
            if task.kind != "idle" and not task.is_driver
            if engine.memory.load(task.struct + state) == running and task.struct not in current
        ]

    def in_user_text(self, cpu: int) -> bool:
        """Whether the CPU's next instruction is in user text."""
        return self._engine.read_register(cpu, self._engine.port.registers.pc) in USER_TEXT

    def _changes(self, address: int, who: str) -> Condition:
        return Condition(address=address, value=self._engine.memory.load(address), who=who)
