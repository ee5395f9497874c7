"""Whether a task is inside something that a transition changes.

Source: kernel/livepatch/transition.c, klp_check_stack and klp_check_stack_func (6.1).
"""

from __future__ import annotations

from collections.abc import Sequence

from emu.kernel.guest import Guest, View
from emu.livepatch.graph import for_each_func, for_each_object, func_name
from emu.livepatch.patch import Patcher
from emu.structs import KLP_FUNC, KLP_OPS

_STACK_NODE, _FUNC_STACK = KLP_FUNC.offset("stack_node.next"), KLP_OPS.offset("func_stack.next")


def klp_check_stack(
    guest: Guest, patcher: Patcher, patch: View, entries: Sequence[int], *, unpatching: bool
) -> str:
    """Return the name of an affected function that a call stack is inside of, "" if there is none.

    Args:
        patch: the one in transition.
        entries: addresses on the stack.
        unpatching: the replacements are what must be left, not what they replace.
    """
    for obj in for_each_object(guest, patch):
        if not obj["patched"]:
            continue
        for func in for_each_func(guest, obj):
            start, size = _version_to_leave(guest, patcher, func, unpatching=unpatching)
            if any(start <= entry < start + size for entry in entries):
                return func_name(guest, func)
    return ""


def _version_to_leave(guest: Guest, patcher: Patcher, func: View, *, unpatching: bool) -> tuple[int, int]:
    """Return address and size of the version that a task must not be inside of when it switches."""
    if unpatching:
        return func["new_func"], func["new_size"]
    ops = patcher.klp_find_ops(func["old_func"])
    assert ops is not None, "a patched object's functions are on a stack"
    if func["stack_node.next"] == ops.address + _FUNC_STACK:  # it replaces the original
        return func["old_func"], func["old_size"]
    older = View(guest, KLP_FUNC, func["stack_node.next"] - _STACK_NODE)
    return older["new_func"], older["new_size"]
