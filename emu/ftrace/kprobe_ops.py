"""Kprobes at functions' entries, by ftrace: two ops for all of them.

A post handler must find the instruction pointer behind the instruction, which only one user of a site can be
promised; so these probes have an ops of their own that says IPMODIFY. Livepatch says so, too.

Source: kernel/kprobes.c, __arm_kprobe_ftrace, __disarm_kprobe_ftrace (6.1.192). 5ef268cb7a0a of 2026, in
6.1.y since 6.1.167, removed the WARNs of a refusal; 6.17 still has them.
"""

from __future__ import annotations

from emu.ftrace.core import Ftrace
from emu.ftrace.flags import OpsFlags
from emu.ftrace.ops import FtraceOps
from emu.kernel.warn import warn

# assumed: the lines are those of 6.12
_FILTER_WARN = "kernel/kprobes.c:1081 __arm_kprobe_ftrace"
_REGISTER_WARN = "kernel/kprobes.c:1086 __arm_kprobe_ftrace"


class KprobeOps:
    """``kprobe_ftrace_ops`` and ``kprobe_ipmodify_ops``, and how many probes each serves.

    Args:
        ftrace: of the kernel.
        warns: a refusal is a WARN, too.
    """

    def __init__(self, ftrace: Ftrace, *, warns: bool = False) -> None:
        self._ftrace, self._warns, self._has_warned = ftrace, warns, False
        self._ops = {
            False: self._static(ftrace, "kprobe_ftrace_ops", OpsFlags.SAVE_REGS),
            True: self._static(ftrace, "kprobe_ipmodify_ops", OpsFlags.SAVE_REGS | OpsFlags.IPMODIFY),
        }
        self._users = {False: 0, True: 0}

    @staticmethod
    def _static(ftrace: Ftrace, name: str, flags: OpsFlags) -> FtraceOps:
        ops = ftrace.ops(ftrace.kallsyms.address_of(name))
        ops.view["func"] = ftrace.kallsyms.address_of("kprobe_ftrace_handler")
        ops.view["flags"] = flags
        return ops

    def arm(self, site: int, *, ipmodify: bool) -> int:
        """Have the probe at ``site`` called: 0, or why ftrace refuses it, -EBUSY among others."""
        ops = self._ops[ipmodify]
        ret = self._ftrace.ftrace_set_filter_ip(ops, site)
        if ret < 0:
            if self._warns and not self._has_warned:  # WARN_ONCE
                self._has_warned = True
                place = self._ftrace.kallsyms.with_offset(site)
                message = f"Failed to arm kprobe-ftrace at {place} (error {ret})"
                warn(self._ftrace.guest, message, _FILTER_WARN)
            return ret
        if not self._users[ipmodify]:
            ret = self._ftrace.register_ftrace_function(ops)
            if ret < 0:
                if self._warns:
                    message = f"Failed to register kprobe-ftrace (error {ret})"
                    warn(self._ftrace.guest, message, _REGISTER_WARN)
                self._ftrace.ftrace_set_filter_ip(ops, site, remove=True)
                return ret
        self._users[ipmodify] += 1
        return 0

    def disarm(self, site: int, *, ipmodify: bool) -> int:
        """Have the probe at ``site`` called no more; handlers may still be running. 0, or ftrace's error."""
        ops = self._ops[ipmodify]
        if self._users[ipmodify] == 1:
            ret = self._ftrace.unregister_ftrace_function(ops)
            if ret < 0:
                return ret
        self._users[ipmodify] -= 1
        return self._ftrace.ftrace_set_filter_ip(ops, site, remove=True)
