"""The transition from one version to the next: when which task switches, and what happens around it.

Functions, order of effects and messages are those of kernel/livepatch/transition.c (6.1; where a later kernel
mended an order of effects, that one).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import Protocol

from emu.kernel.errno import EADDRINUSE, EBUSY, EINVAL
from emu.kernel.guest import Guest, View
from emu.kernel.rcu import Rcu
from emu.kernel.tasks import Task
from emu.kernel.warn import warn_on
from emu.livepatch.callbacks import Callbacks
from emu.livepatch.graph import for_each_func, for_each_object, is_object_loaded, patch_name
from emu.livepatch.log import Log
from emu.livepatch.parts import CheckStack
from emu.livepatch.patch import Patcher
from emu.livepatch.replace import Replace
from emu.machine.operations import Barrier
from emu.structs import CONSTANTS
from emu.units import signed64

SIGNALS_TIMEOUT = 15
"""Failed tries between two rounds of fake signals. Source: kernel/livepatch/transition.c."""

_PENDING = CONSTANTS["TIF_PATCH_PENDING"]


class PatchState(IntEnum):
    """``task.patch_state`` and ``klp_target_state``. Source: include/linux/livepatch.h."""

    UNDEFINED = -1
    UNPATCHED = 0
    PATCHED = 1


class Scheduler(Protocol):
    """What a transition asks of the scheduler; `emu.kernel.sched.Sched` is it."""

    def processes(self) -> Iterator[Task]:
        """Yield the tasks that live, idle ones not among them: for_each_process_thread."""
        ...

    def idle_tasks(self) -> Iterator[Task]:
        """Yield the idle task of each CPU."""
        ...

    def view(self, task: Task) -> View:
        """Return its task_struct."""
        ...

    def is_running(self, task: Task) -> bool:
        """Whether some CPU runs it now, other than as the caller: task_curr."""
        ...

    def stack(self, task: Task) -> list[int] | int:
        """Return its call stack, newest first, or -EINVAL: stack_trace_save_tsk_reliable."""
        ...

    def task_call_func(self, task: Task, func: Callable[[], int]) -> int:
        """Run ``func`` while the task can neither begin nor cease to run, and return what it returns."""
        ...

    def set_flag(self, task: Task, bit: int) -> None:
        """Set a TIF_* bit atomically."""
        ...

    def clear_flag(self, task: Task, bit: int) -> None:
        """Clear a TIF_* bit atomically."""
        ...

    def wake_up_if_idle(self, cpu: int) -> None:
        """Have a CPU that idles go round its idle loop."""
        ...

    def signal(self, task: Task) -> None:
        """Send the fake signal: wake a kernel thread, set TIF_NOTIFY_SIGNAL of a user task and kick it."""
        ...


class Transition:
    """The one transition that may be under way.

    Args:
        guest: the patching CPU.
        target_state: address of ``klp_target_state``.
        patcher, replace, callbacks: what happens when it completes.
        rcu: grace periods.
        sched: the tasks that switch.
        log: gets the messages.
        mark: (kind, patch, second operand) -> None; records an event.
        retry: has a function run about a second later: schedule_delayed_work.
        check_stack: tells whether a task is inside what changes.
    """

    def __init__(
        self,
        guest: Guest,
        *,
        target_state: int,
        patcher: Patcher,
        replace: Replace,
        callbacks: Callbacks,
        rcu: Rcu,
        sched: Scheduler,
        log: Log,
        mark: Callable[[str, View, int], None],
        retry: Callable[[Callable[[], None]], None],
        check_stack: CheckStack,
    ) -> None:
        self._guest, self._target_state, self._patcher, self._replace = guest, target_state, patcher, replace
        self._callbacks, self._rcu, self._log, self._mark = callbacks, rcu, log, mark
        self._sched, self._retry, self._check_stack = sched, retry, check_stack
        self._signals_count = 0
        self.patch: View | None = None
        """``klp_transition_patch``; only the patching CPU looks at it."""

    # --- what it is about ---------------------------------------------------------------------------

    @property
    def target(self) -> PatchState:
        """``klp_target_state``, loaded now."""
        return PatchState(signed64(self._guest.load(self._target_state)))

    @property
    def next_try_signals(self) -> bool:
        """Whether the next try that fails sends the first fake signals."""
        return self._signals_count == SIGNALS_TIMEOUT

    def set_target(self, state: PatchState) -> None:
        """Store ``klp_target_state``."""
        self._guest.store(self._target_state, state, what="klp_target_state")

    def _name(self) -> str:
        return patch_name(self._guest, self._current())

    def _current(self) -> View:
        assert self.patch is not None, "a transition is under way"
        return self.patch

    def _direction(self) -> str:
        return "patching" if self.target is PatchState.PATCHED else "unpatching"

    def _everybody(self) -> Iterator[Task]:
        yield from self._sched.processes()
        yield from self._sched.idle_tasks()

    def is_of(self, patch: View) -> bool:
        """Whether ``patch`` is the one in transition."""
        return self.patch is not None and self.patch.address == patch.address

    def patch_state(self, task: Task) -> PatchState:
        """Return which side of the transition a task is on."""
        return PatchState(signed64(self._sched.view(task)["patch_state"]))

    def stragglers(self) -> list[Task]:
        """Return the tasks that have not switched yet."""
        if self.patch is None:
            return []
        target = self.target
        return [task for task in self._everybody() if self.patch_state(task) is not target]

    # --- the way there ------------------------------------------------------------------------------

    def klp_init_transition(self, patch: View, state: PatchState) -> None:
        """Set the target, give every task the opposite state, then mark the patch's functions."""
        guest = self._guest
        warn_on(guest, self.target is not PatchState.UNDEFINED)
        self.patch = patch
        self.set_target(state)
        self._log.debug(f"'{self._name()}': initializing {self._direction()} transition")
        for task in self._everybody():
            row = self._sched.view(task)
            warn_on(guest, signed64(row["patch_state"]) != PatchState.UNDEFINED)
            row["patch_state"] = 1 - state
        # Pairs with smp_rmb no. 2 in klp_ftrace_handler: who sees func->transition must see a task state.
        # Also target before TIF_PATCH_PENDING: pairs with test_and_clear in klp_update_patch_state.
        guest.barrier(Barrier.WMB, "smp_wmb klp_init_transition")
        self._set_transition(1)

    def _set_transition(self, value: int) -> None:
        for obj in for_each_object(self._guest, self._current()):
            for func in for_each_func(self._guest, obj):
                func["transition"] = value

    def klp_start_transition(self) -> None:
        """Have tasks begin to switch."""
        target = self.target
        warn_on(self._guest, target is PatchState.UNDEFINED)
        self._log.tell(f"'{self._name()}': starting {self._direction()} transition")
        for task in self._everybody():
            if self.patch_state(task) is not target:
                self._sched.set_flag(task, _PENDING)
        self._signals_count = 0

    def klp_try_complete_transition(self) -> bool:
        """Switch whom it is safe to switch and complete when that is everybody; whether it is complete."""
        warn_on(self._guest, self.target is PatchState.UNDEFINED)
        complete = True
        for task in self._sched.processes():
            complete &= self.klp_try_switch_task(task)
        for task in self._sched.idle_tasks():
            if not self.klp_try_switch_task(task):
                complete = False
                self._sched.wake_up_if_idle(task.cpu)
        if not complete:
            if self._signals_count and self._signals_count % SIGNALS_TIMEOUT == 0:
                self.klp_send_signals()
            self._signals_count += 1
            self._retry(self.klp_transition_work)
            return False
        patch = self._current()
        self.klp_complete_transition()
        # not in klp_complete_transition, which klp_cancel_transition calls too
        if not patch["enabled"]:
            self._replace.klp_free_patch(patch)
        elif patch["replace"]:
            self._replace.klp_free_replaced_patches(patch)
        return True

    def klp_transition_work(self) -> None:
        """What the delayed work does: try again, if there still is a transition."""
        if self.patch is not None:
            self.klp_try_complete_transition()

    def klp_try_switch_task(self, task: Task) -> bool:
        """Switch one task if nothing it is in the middle of forbids that; whether it has switched."""
        if self.patch_state(task) is self.target:
            return True
        culprit = ""

        def check_and_switch() -> int:
            nonlocal culprit
            ret, culprit = self.klp_check_and_switch_task(task)
            return ret

        ret = self._sched.task_call_func(task, check_and_switch)
        who = f"klp_try_switch_task: {task.comm}:{task.pid}"
        match -ret:
            case 0:
                return True
            case _ if -ret == EBUSY:
                self._log.debug(f"{who} is running")
            case _ if -ret == EINVAL:
                self._log.debug(f"{who} has an unreliable stack")
            case _:
                self._log.debug(f"{who} is sleeping on function {culprit}")
        return False

    def klp_check_and_switch_task(self, task: Task) -> tuple[int, str]:
        """Switch a task that stands still outside of what the patch changes, under its lock.

        Returns:
            0, -EBUSY (it runs), -EINVAL (its stack can't be trusted) or -EADDRINUSE (it is inside an
            affected function); and for the last the name of that function.
        """
        if self._sched.is_running(task):
            return -EBUSY, ""
        entries = self._sched.stack(task)
        if isinstance(entries, int):
            return entries, ""
        unpatching = self.target is PatchState.UNPATCHED
        culprit = self._check_stack(
            self._guest, self._patcher, self._current(), entries, unpatching=unpatching
        )
        if culprit:
            return -EADDRINUSE, culprit
        self._sched.clear_flag(task, _PENDING)
        self._sched.view(task)["patch_state"] = self.target
        return 0, ""

    def klp_send_signals(self) -> None:
        """Push tasks that sleep for long towards the way out of the kernel."""
        if self._signals_count == SIGNALS_TIMEOUT:
            self._log.tell("signaling remaining tasks")
        for task in self._sched.processes():
            if self._sched.view(task)["flags"] >> _PENDING & 1:
                self._sched.signal(task)

    # --- the end ------------------------------------------------------------------------------------

    def klp_complete_transition(self) -> None:
        """Remove what no task can need any more, let go of functions and tasks, and tell everybody."""
        guest, patch, target = self._guest, self._current(), self.target
        self._log.debug(f"'{self._name()}': completing {self._direction()} transition")
        if patch["replace"] and target is PatchState.PATCHED:
            self._replace.klp_unpatch_replaced_patches(patch)
            self._replace.klp_discard_nops(patch)
        if target is PatchState.UNPATCHED:
            self._patcher.klp_unpatch_objects(patch)
            # no handler may still hold one of the removed functions when its transition mark goes
            self.klp_synchronize_transition("after unpatching")
        self._set_transition(0)
        if target is PatchState.PATCHED:
            # no handler that saw the mark may meet a task without a state
            self.klp_synchronize_transition("after clearing func->transition")
        for task in self._everybody():
            row = self._sched.view(task)
            warn_on(guest, bool(row["flags"] >> _PENDING & 1))
            row["patch_state"] = PatchState.UNDEFINED
        for obj in for_each_object(guest, patch):
            if not is_object_loaded(obj):
                continue
            if target is PatchState.PATCHED:
                self._callbacks.klp_post_patch_callback(patch, obj)
            else:
                self._callbacks.klp_post_unpatch_callback(patch, obj)
        self._log.tell(f"'{self._name()}': {self._direction()} complete")
        self._mark("SETTLED", patch, int(target is PatchState.PATCHED))
        self.set_target(PatchState.UNDEFINED)
        self.patch = None

    def klp_cancel_transition(self) -> None:
        """Undo a patching that failed half way, before any task could switch."""
        if warn_on(self._guest, self.target is not PatchState.PATCHED):
            return
        self._log.debug(f"'{self._name()}': canceling patching transition, going to unpatch")
        self.set_target(PatchState.UNPATCHED)
        self.klp_complete_transition()

    # --- other ways ---------------------------------------------------------------------------------

    def klp_reverse_transition(self) -> None:
        """Turn round a transition under way: tasks that have switched switch back."""
        patch, target = self._current(), self.target
        there = self._direction()
        back = "unpatching" if target is PatchState.PATCHED else "patching"
        self._log.debug(f"'{self._name()}': reversing transition from {there} to {back}")
        # a flag seen from now on must mean the new target
        for task in self._everybody():
            self._sched.clear_flag(task, _PENDING)
        # and no klp_update_patch_state may still be about to store the old one
        self.klp_synchronize_transition("before reversing")
        patch["enabled"] = not patch["enabled"]
        self.set_target(PatchState(1 - target))
        self._mark("DISABLE" if target is PatchState.PATCHED else "ENABLE", patch, 0)
        # Target before TIF_PATCH_PENDING: pairs with test_and_clear in klp_update_patch_state.
        self._guest.barrier(Barrier.WMB, "smp_wmb klp_reverse_transition")
        self.klp_start_transition()

    def klp_force_transition(self) -> None:
        """Switch everybody now, safe or not; what is replaced or disabled by this can never be unloaded."""
        patch, target = self._current(), self.target
        self._log.tell("forcing remaining tasks to the patched state")
        for task in self._everybody():
            self._sched.clear_flag(task, _PENDING)
            self._sched.view(task)["patch_state"] = target
        if target is PatchState.UNPATCHED:
            patch["forced"] = 1
        elif patch["replace"]:
            self._replace.mark_replaced_forced(patch)

    def klp_synchronize_transition(self, when: str) -> None:
        """Wait until every CPU has left the handlers it was in, RCU watching or not."""
        self._rcu.synchronize(f"klp_synchronize_transition {when}")
