"""The scheduler as the patching CPU sees it: which tasks there are, and what can be done to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

from emu.kernel.guest import Guest, View
from emu.kernel.installer import PATCHING_CPU
from emu.kernel.tasks import Task
from emu.machine.engine import Engine
from emu.machine.operations import Barrier
from emu.machine.state import IRQ_RESCHEDULE
from emu.structs import CONSTANTS, PERCPU, TASK

HZ = 100
"""Timer ticks in a second of the guest. # assumed: CONFIG_HZ_100"""

_UNLISTED = (CONSTANTS["TASK_DEAD"], CONSTANTS["TASK_NEW"])


class Sched:
    """Tasks of one machine.

    Args:
        guest: the patching CPU.
        engine: the machine.
        tasks: all that there may ever be.
        percpu: guest address of each CPU's per-CPU area.
        unwind: (task) -> its call stack, newest first, or -EINVAL.
        tasklist: held, no task comes or goes: see `TasklistLock`.
    """

    def __init__(
        self,
        guest: Guest,
        engine: Engine,
        tasks: Sequence[Task],
        *,
        percpu: Sequence[int],
        unwind: Callable[[Task], list[int] | int],
        tasklist: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._guest, self._engine, self._tasks = guest, engine, tasks
        self._percpu, self._unwind, self._tasklist = percpu, unwind, tasklist

    def processes(self) -> Iterator[Task]:
        """Yield the tasks that live but idle ones, tasklist_lock held: for_each_process_thread."""
        with self._tasklist():
            for index in range(len(self._tasks)):  # who is in a spare slot may change on the way
                task = self._tasks[index]
                if task.kind != "idle" and self._now(task, "state") not in _UNLISTED:
                    yield task

    def idle_tasks(self) -> Iterator[Task]:
        """Yield the idle task of each CPU."""
        return (task for task in self._tasks if task.kind == "idle")

    def view(self, task: Task) -> View:
        """Return its task_struct."""
        return View(self._guest, TASK, task.struct)

    def is_running(self, task: Task) -> bool:
        """Whether some CPU runs it now, other than as the caller: task_curr."""
        address = self._percpu[task.cpu] + PERCPU.offset("current_task")
        current = self._engine.memory.load(address) == task.struct
        return current and not task.is_driver

    def stack(self, task: Task) -> list[int] | int:
        """Return its call stack, newest first, or -EINVAL: stack_trace_save_tsk_reliable."""
        return self._unwind(task)

    def task_call_func(self, task: Task, func: Callable[[], int]) -> int:
        """Run ``func`` while the task can neither begin nor cease to run, and return what it returns.

        One step of the patching CPU; Linux holds the task's lock, and its run queue's when it is on one.
        Source: kernel/sched/core.c task_call_func.
        """
        return self._guest.callback(f"task_call_func {task.comm}", func)

    def set_flag(self, task: Task, bit: int) -> None:
        """Set a TIF_* bit atomically."""
        self._guest.set_bit(self.view(task).at("flags"), bit, what="set_tsk_thread_flag")

    def clear_flag(self, task: Task, bit: int) -> None:
        """Clear a TIF_* bit atomically."""
        self._guest.clear_bit(self.view(task).at("flags"), bit, what="clear_tsk_thread_flag")

    def wake_up_if_idle(self, cpu: int) -> None:
        """Have a CPU that idles go round its idle loop."""
        idle = self._engine.memory.load(self._percpu[cpu] + PERCPU.offset("idle_task"))
        if self._engine.memory.load(self._percpu[cpu] + PERCPU.offset("current_task")) == idle:
            self._kick(cpu, "wake_up_if_idle")

    def signal(self, task: Task) -> None:
        """Send the fake signal: wake a kernel thread, set TIF_NOTIFY_SIGNAL of a user task and kick it."""
        if task.kind == "kthread":
            self._guest.callback(f"wake_up_state {task.comm}", lambda: self._wake_interruptible(task))
        else:
            self.set_flag(task, CONSTANTS["TIF_SIGPENDING"])
        self._kick(task.cpu, "signal_wake_up")

    def _wake_interruptible(self, task: Task) -> int:
        if self._now(task, "state") == CONSTANTS["TASK_ON_GATE_INTR"]:
            self._engine.memory.store(task.struct + TASK.offset("state"), CONSTANTS["TASK_RUNNING"])
        return 0

    def _kick(self, cpu: int, what: str) -> None:
        def kick() -> int:
            self._engine.order.barrier(PATCHING_CPU, Barrier.DSB)  # see send_ipi in emu.machine.landing
            self._engine.interrupt(cpu, IRQ_RESCHEDULE, sender=PATCHING_CPU)
            return 0

        self._guest.callback(what, kick, under_locks=False)

    def _now(self, task: Task, member: str) -> int:
        return self._engine.memory.load(task.struct + TASK.offset(member))
