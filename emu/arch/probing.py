"""How a port takes kprobes: by which breakpoints, where never, and what it can't step elsewhere."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Probing:
    """A port's kprobes.

    Args:
        on_ftrace: a probe at a function's entry is taken by ftrace: CONFIG_KPROBES_ON_FTRACE.
        breakpoint: what stands at a probed instruction.
        step_trap: what stands behind the copy of one.
        alignment: of instructions, bytes; 1: they have many lengths, and a probe must be where one starts.
        traps: mnemonics of BUG and WARN, which can't be probed.
        unsteppable: matches the text of an instruction whose copy elsewhere would do something else, other
            than jumps, calls and returns.
        exclusive: what the mnemonics of exclusive loads and of exclusive stores begin with: between them an
            exception must not come; None: there are none.
        blacklist: kernel functions that handle probes, or that run where a breakpoint can't be handled.
    """

    on_ftrace: bool
    breakpoint: bytes
    step_trap: bytes
    alignment: int
    traps: frozenset[str]
    unsteppable: re.Pattern[str]
    blacklist: frozenset[str]
    exclusive: tuple[str, str] | None = None


ON_EVERY_PORT = frozenset(
    {
        "vector_sync", "vector_timer", "vector_reschedule", "vector_breakpoint", "vector_syscall",
        "ftrace_caller", "ftrace_regs_caller", "mcount_caller", "ftrace_ops_list_func", "ftrace_ops_test",
        "ftrace_stub", "rcu_is_watching",
        "ftrace_test_recursion_trylock", "ftrace_test_recursion_unlock", "get_kprobe",
        "kprobe_ftrace_handler", "klpemu_step", "send_ipi", "finish_task_switch", "start_cpu",
    }
)  # fmt: skip
"""Part of every `Probing.blacklist`. Source: NOKPROBE_SYMBOL and .entry.text of Linux 6.1, and what klpemu
looks at itself."""
