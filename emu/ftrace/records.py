"""How many users each site has, and what that asks of its code.

Source: kernel/trace/ftrace.c, __ftrace_hash_rec_update, ftrace_check_record,
__ftrace_hash_update_ipmodify (6.1; CALL_OPS: 6.3). Records are visited in address order; only those
that a filter names are looked at.
"""

from __future__ import annotations

from emu.ftrace.flags import OpsFlags, RecordFlags, Update
from emu.ftrace.ops import FtraceOps, OpsChain
from emu.ftrace.sites import DynFtrace, Sites
from emu.ftrace.trampolines import Trampolines
from emu.kernel.errno import EBUSY, EINVAL
from emu.kernel.guest import Guest
from emu.kernel.warn import warn_on

_FOLLOWED = {
    RecordFlags.REGS: RecordFlags.REGS_EN,
    RecordFlags.TRAMP: RecordFlags.TRAMP_EN,
    RecordFlags.CALL_OPS: RecordFlags.CALL_OPS_EN,
}
"""What a record should be -> what its code is."""
NOT_CLEARED = RecordFlags.DISABLED | RecordFlags.MODIFIED
"""Flags that a record keeps when its last user goes: FTRACE_NOCLEAR_FLAGS."""


class Records:
    """The counting of users."""

    def __init__(self, guest: Guest, sites: Sites, chain: OpsChain, trampolines: Trampolines) -> None:
        self._guest, self._sites, self._chain, self._trampolines = guest, sites, chain, trampolines

    def add_user(self, ops: FtraceOps) -> bool:
        """Count ``ops`` in at each site of its filter; whether any code must change."""
        update = False
        tramp, regs = bool(ops.trampoline), bool(ops.flags & OpsFlags.SAVE_REGS)
        direct = self._may_call_ops(ops)
        for record in self._matching(self._chain.filter_of(ops)):
            record.count += 1
            self._set(record, RecordFlags.TRAMP, wanted=record.count == 1 and tramp)
            if regs:
                self._set(record, RecordFlags.REGS, wanted=True)
            self._set(record, RecordFlags.CALL_OPS, wanted=direct and record.count == 1)
            update |= self.check(record, enable=True) is not Update.IGNORE
        return update

    def remove_user(self, ops: FtraceOps) -> bool:
        """Count ``ops`` out at each site of its filter; whether any code must change."""
        update = False
        regs, direct = bool(ops.flags & OpsFlags.SAVE_REGS), self._may_call_ops(ops)
        for record in self._matching(self._chain.filter_of(ops)):
            if warn_on(self._guest, record.count == 0):
                return False
            record.count -= 1
            others = [other for other in self._chain.users_of(record.ip) if other.address != ops.address]
            if record.count > 0 and regs and record.flags & RecordFlags.REGS:
                still = any(other.flags & OpsFlags.SAVE_REGS for other in others)
                self._set(record, RecordFlags.REGS, wanted=still)
            alone = record.count == 1
            self._set(record, RecordFlags.TRAMP, wanted=alone and any(o.trampoline for o in others))
            # Linux asks about the ops that goes, not the one that stays: they agree but for RECURSION and RCU
            self._set(record, RecordFlags.CALL_OPS, wanted=direct and alone)
            update |= self.check(record, enable=True) is not Update.IGNORE
        return update

    def _may_call_ops(self, ops: FtraceOps) -> bool:
        return self._trampolines.call_ops and self._trampolines.handler_of(ops) == ops.func

    def _matching(self, ips: frozenset[int]) -> list[DynFtrace]:
        found = (self._sites.record_at(ip) for ip in sorted(ips))
        return [r for r in found if r is not None and not r.flags & RecordFlags.DISABLED]

    @staticmethod
    def _set(record: DynFtrace, flag: RecordFlags, *, wanted: bool) -> None:
        # an old-style site has one caller for all, which keeps no more than it must
        if wanted and not record.old_style:
            record.flags |= flag
        else:
            record.flags &= ~flag

    def check(self, record: DynFtrace, *, enable: bool, update: bool = False) -> Update:
        """Return what the code of a site needs; with ``update`` also enter that it has been given it."""
        if record.flags & RecordFlags.DISABLED:
            return Update.IGNORE
        on = bool(record.flags & RecordFlags.ENABLED)
        if enable and record.count:
            stale = [
                (want, have)
                for want, have in _FOLLOWED.items()
                if bool(record.flags & want) != bool(record.flags & have)
            ]
            if on and not stale:
                return Update.IGNORE
            if update:
                record.flags |= RecordFlags.ENABLED
                if record.flags & RecordFlags.IPMODIFY:
                    record.flags |= RecordFlags.MODIFIED
                for want, have in stale:
                    self._set(record, have, wanted=bool(record.flags & want))
            return Update.MODIFY_CALL if on else Update.MAKE_CALL
        if not on:
            return Update.IGNORE
        if update and not record.count:
            record.flags &= NOT_CLEARED
        elif update:
            record.flags &= ~(RecordFlags.ENABLED | RecordFlags.TRAMP_EN | RecordFlags.REGS_EN)
            record.flags &= ~RecordFlags.CALL_OPS_EN
        return Update.MAKE_NOP

    def update_ipmodify(self, ops: FtraceOps, old: frozenset[int] | None, new: frozenset[int] | None) -> int:
        """Mark or unmark the sites where ``ops`` changes the instruction pointer, as its filter changes.

        Returns:
            0; -EBUSY when a site has such a user already, with everything as it was; -EINVAL for a filter
            that names no site (None).
        """
        flags = ops.flags
        if not flags & OpsFlags.ENABLED or not flags & OpsFlags.IPMODIFY:
            return 0
        if old is None or new is None:
            return -EINVAL
        done: list[DynFtrace] = []
        for record in self._matching(old ^ new):
            if record.ip in new and record.flags & RecordFlags.IPMODIFY:
                for earlier in done:
                    earlier.flags ^= RecordFlags.IPMODIFY
                return -EBUSY
            record.flags ^= RecordFlags.IPMODIFY
            done.append(record)
        return 0
