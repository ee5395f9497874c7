"""Defects that a machine can be given: what incidents in Linux had wrong, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from emu.errors import UnknownNameError
from emu.kernel.guest import Guest, View
from emu.kernel.warn import warn_on
from emu.livepatch import RIGHT, Parts, Patcher, for_each_func, for_each_object, func_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """One of them.

    Args:
        what: what is wrong with it, in a line.
        drop: installation steps that are left out.
        sources: assembly files that others take the place of, see `emu.build.contents.Manifest`.
        parts: of livepatch.
    """

    what: str
    drop: tuple[str, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    parts: Parts = RIGHT


class OneOpsPerFunc(Patcher):
    """patch.c with a ftrace_ops for each klp_func, as it was before 3c33f5b99d68.

    A function can have one handler that changes the instruction pointer, so the old one goes before the new
    one comes.
    """

    def klp_patch_func(self, func: View) -> int:
        """Patch ``func``; where it is patched already, remove the old ops and register a new one."""
        guest, ops = self._guest, self.klp_find_ops(func["old_func"])
        if ops is None:
            return super().klp_patch_func(func)
        older = list(guest.list_nodes(ops.at("func_stack.next")))
        self._remove(ops, func["old_func"])
        ret = super().klp_patch_func(func)  # until its site is on, calls run the original
        new = self.klp_find_ops(func["old_func"])
        if new is not None:
            for node in older:
                guest.list_add_tail(node, new.at("func_stack.next"))
        return ret

    def _remove(self, ops: View, old_func: int) -> None:
        ftrace, fops = self._ftrace, self._fops(ops)
        warn_on(self._guest, ftrace.unregister_ftrace_function(fops))
        location = ftrace.ftrace_location(old_func)
        warn_on(self._guest, ftrace.ftrace_set_filter_ip(fops, location, remove=True))
        self._guest.list_del(ops.at("node.next"))
        self._guest.free(ops.address, "klp_ops")


def check_newest_version(
    guest: Guest, patcher: Patcher, patch: View, entries: Sequence[int], *, unpatching: bool
) -> str:
    """Return what klp_check_stack would if a function had no versions but the original and the newest."""
    for obj in for_each_object(guest, patch):
        if not obj["patched"]:
            continue
        for func in for_each_func(guest, obj):
            start, size = func["old_func"], func["old_size"]
            if unpatching:
                start, size = func["new_func"], func["new_size"]
            if any(start <= entry < start + size for entry in entries):
                return func_name(guest, func)
    return ""


DEFECTS: dict[str, Defect] = {
    "no-rcu-tasks": Defect(
        what="a trampoline is freed without waiting for tasks that were preempted inside it",
        drop=("synchronize_rcu_tasks",),
    ),
    "no-grace-period": Defect(
        what="a klp_ops is freed without waiting for handlers that still use it",
        drop=("synchronize_rcu_tasks_rude", "synchronize_rcu_tasks"),
    ),
    "fork-copies-state-only": Defect(
        what="klp_copy_process gives a child its parent's patch_state of that moment, but not the flag",
        sources={"klp_copy_process.s": "defect/klp_copy_process.s"},
    ),
    "one-ops-per-func": Defect(
        what="patching a function again removes the old ftrace_ops before it registers a new one",
        parts=Parts(patcher=OneOpsPerFunc),
    ),
    "stack-check-newest": Defect(
        what="klp_check_stack does not look for the version that was the newest until now",
        parts=Parts(check_stack=check_newest_version),
    ),
    "no-recursion-check": Defect(
        what="ftrace_test_recursion_trylock lets every handler in, again and again",
        sources={"ftrace_test_recursion_trylock.s": "defect/ftrace_test_recursion_trylock.s"},
    ),
    "no-idle-wakeup": Defect(
        what="klp_try_complete_transition does not wake CPUs that idle",
        drop=("wake_up_if_idle",),
    ),
    "poll-without-budget": Defect(
        what="poll_ring of module poller looks for work until there is some, and never leaves before",
        sources={"module_poller/poll_ring.s": "defect/poll_ring.s"},
    ),
}
"""By the name that scenarios give as ``defect``."""

NO_DEFECT = Defect(what="everything is as it should be")


def defect_named(name: str) -> Defect:
    """Return the defect of that name, `NO_DEFECT` for "".

    Raises:
        UnknownNameError: there is none.
    """
    if not name:
        return NO_DEFECT
    if name not in DEFECTS:
        raise UnknownNameError("defect", name, sorted(DEFECTS))
    return DEFECTS[name]
