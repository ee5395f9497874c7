"""The transition from one version to the next: when which task switches, and what happens around it.

Source: kernel/livepatch/transition.c (6.1). Which tasks may switch, and when, is the `Switching` strategy's.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Protocol

from emu.kernel.guest import Guest, View
from emu.kernel.rcu import Rcu
from emu.kernel.warn import warn_on
from emu.livepatch.callbacks import Callbacks
from emu.livepatch.graph import for_each_func, for_each_object, is_object_loaded, patch_name
from emu.livepatch.log import Log
from emu.livepatch.patch import Patcher
from emu.livepatch.replace import Replace
from emu.machine.operations import Barrier


class PatchState(IntEnum):
    """``task.patch_state`` and ``klp_target_state``. Source: include/linux/livepatch.h."""

    UNDEFINED = -1
    UNPATCHED = 0
    PATCHED = 1


class Switching(Protocol):
    """How tasks go from one version to the other."""

    marks_funcs: bool
    """Whether ``func->transition`` tells handlers to ask the task; else all tasks switch at one store."""

    def init(self, initial: PatchState) -> None:
        """Give every task, idle ones too, the state to start from."""
        ...

    def start(self, target: PatchState) -> None:
        """Flag the tasks that are not at ``target``."""
        ...

    def try_switch_all(self, target: PatchState) -> bool:
        """Switch whom it is safe to switch; whether everybody is at ``target``."""
        ...

    def finish(self) -> None:
        """Give every task the undefined state back."""
        ...


class Immediate:
    """No consistency model: a function's new version runs from its next call on, whoever calls."""

    marks_funcs = False

    def init(self, initial: PatchState) -> None:
        """Leave tasks alone: they stay undefined, and handlers never ask for their state."""

    def start(self, target: PatchState) -> None:
        """Nobody needs a flag."""

    def try_switch_all(self, target: PatchState) -> bool:
        """Everybody has switched already."""
        del target
        return True

    def finish(self) -> None:
        """Nobody has a state to give back."""


class Transition:
    """The one transition that may be under way.

    Args:
        guest: the patching CPU.
        target_state: address of ``klp_target_state``.
        patcher, replace, callbacks: what happens when it completes.
        rcu: grace periods.
        log: gets the messages.
        mark: records an event of a patch.
        switching: how tasks switch.
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
        log: Log,
        mark: Callable[[str, View, bool], None],
        switching: Switching,
    ) -> None:
        self._guest, self._target_state, self._patcher, self._replace = guest, target_state, patcher, replace
        self._callbacks, self._rcu, self._log, self._mark = callbacks, rcu, log, mark
        self._switching = switching
        self.patch: View | None = None
        """``klp_transition_patch``; only the patching CPU looks at it."""

    @property
    def target(self) -> PatchState:
        """``klp_target_state``, loaded now."""
        value = self._guest.load(self._target_state)
        return PatchState(value - (1 << 64) if value >> 63 else value)

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

    def klp_init_transition(self, patch: View, state: PatchState) -> None:
        """Set the target, give every task the opposite state, then mark the patch's functions."""
        guest = self._guest
        warn_on(guest, self.target is not PatchState.UNDEFINED)
        self.patch = patch
        self.set_target(state)
        self._log.debug(f"'{self._name()}': initializing {self._direction()} transition")
        self._switching.init(PatchState(1 - state))
        # Pairs with smp_rmb no. 2 in klp_ftrace_handler: who sees func->transition must see a task state.
        # Also target before TIF_PATCH_PENDING: pairs with test_and_clear in klp_update_patch_state.
        guest.barrier(Barrier.WMB, "smp_wmb klp_init_transition")
        self._set_transition(1)

    def _set_transition(self, value: int) -> None:
        if not self._switching.marks_funcs:
            return
        for obj in for_each_object(self._guest, self._current()):
            for func in for_each_func(self._guest, obj):
                func["transition"] = value

    def klp_start_transition(self) -> None:
        """Have tasks begin to switch."""
        warn_on(self._guest, self.target is PatchState.UNDEFINED)
        self._log.tell(f"'{self._name()}': starting {self._direction()} transition")
        self._switching.start(self.target)

    def klp_try_complete_transition(self) -> bool:
        """Switch whom it is safe to switch and complete when that is everybody; whether it is complete."""
        warn_on(self._guest, self.target is PatchState.UNDEFINED)
        if not self._switching.try_switch_all(self.target):
            return False
        patch = self._current()
        self.klp_complete_transition()
        # not in klp_complete_transition, which klp_cancel_transition calls too
        if not patch["enabled"]:
            self._replace.klp_free_patch(patch)
        elif patch["replace"]:
            self._replace.klp_free_replaced_patches(patch)
        return True

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
        self._switching.finish()
        for obj in for_each_object(guest, patch):
            if not is_object_loaded(obj):
                continue
            if target is PatchState.PATCHED:
                self._callbacks.klp_post_patch_callback(patch, obj)
            else:
                self._callbacks.klp_post_unpatch_callback(patch, obj)
        self._log.tell(f"'{self._name()}': {self._direction()} complete")
        self._mark("SETTLED", patch, target is PatchState.PATCHED)
        self.set_target(PatchState.UNDEFINED)
        self.patch = None

    def klp_cancel_transition(self) -> None:
        """Undo a patching that failed half way, before any task could switch."""
        if warn_on(self._guest, self.target is not PatchState.PATCHED):
            return
        self._log.debug(f"'{self._name()}': canceling patching transition, going to unpatch")
        self.set_target(PatchState.UNPATCHED)
        self.klp_complete_transition()

    def klp_synchronize_transition(self, when: str) -> None:
        """Wait until every CPU has left the handlers it was in, RCU watching or not."""
        self._rcu.synchronize(f"klp_synchronize_transition {when}")
