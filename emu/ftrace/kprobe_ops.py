"""Kprobes at functions' entries, by ftrace: two ops for all of them.

A post handler must find the instruction pointer behind the instruction, which only one user of a site can be
promised; so these probes have an ops of their own that says IPMODIFY. Livepatch says so, too.

Source: kernel/kprobes.c, __arm_kprobe_ftrace, __disarm_kprobe_ftrace (6.1, with the fix of 2026 "kprobes:
Remove unneeded warnings from __arm_kprobe_ftrace()"; before it, a refusal was a WARN as well).
"""

from __future__ import annotations

from emu.ftrace.core import Ftrace
from emu.ftrace.flags import OpsFlags
from emu.ftrace.ops import FtraceOps


class KprobeOps:
    """``kprobe_ftrace_ops`` and ``kprobe_ipmodify_ops``, and how many probes each serves."""

    def __init__(self, ftrace: Ftrace) -> None:
        self._ftrace = ftrace
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
            return ret
        if not self._users[ipmodify]:
            ret = self._ftrace.register_ftrace_function(ops)
            if ret < 0:
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
