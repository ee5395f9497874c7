"""Installation steps that a machine can leave out, so that one sees what they are for."""

from __future__ import annotations

from collections.abc import Sequence

from emu.arch import Port
from emu.errors import UnknownNameError
from emu.ftrace import step_names

OTHER_STEPS = (
    "rcu_assign_pointer", "smp_wmb klp_init_transition", "smp_wmb __klp_enable_patch",
    "smp_wmb __klp_disable_patch", "ftrace_ops_list publish", "ftrace_hash publish", "function_trace_op",
    "ftrace_sync_ipi", "synchronize_rcu_tasks_rude", "synchronize_rcu_tasks",
    "klp_synchronize_transition after unpatching", "wake_up_if_idle",
)  # fmt: skip
"""Steps that can be left out besides those of text pokes: barriers, grace periods, wake-ups."""


def known_steps(steps: Sequence[str], port: Port) -> frozenset[str]:
    """Return ``steps``, or raise `UnknownNameError` if one of them is none."""
    known = [*step_names(port), *OTHER_STEPS]
    for step in steps:
        if step not in known:
            raise UnknownNameError("installation step", step, known)
    return frozenset(steps)
