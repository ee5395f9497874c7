"""Registering and unregistering handlers, their filters, and the switch for all of it.

Functions carry the kernel's names and return its codes. Source: kernel/trace/ftrace.c (6.1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from emu.ftrace.code import Code
from emu.ftrace.flags import Command, OpsFlags
from emu.ftrace.hashes import Hashes
from emu.ftrace.ops import FtraceOps, OpsChain
from emu.ftrace.records import NOT_CLEARED, Records
from emu.ftrace.sites import Sites
from emu.ftrace.text_poke import TextPoke
from emu.ftrace.trampolines import Trampolines
from emu.kernel.errno import EBUSY, EINVAL, ENODEV, ENOENT
from emu.kernel.guest import Guest
from emu.kernel.kallsyms import Kallsyms
from emu.kernel.modules import Modules
from emu.kernel.rcu import Rcu
from emu.kernel.warn import warn_on
from emu.machine.operations import Barrier


class Ftrace:
    """ftrace of one kernel.

    Args:
        guest: the patching CPU.
        kallsyms: the symbols.
        modules: the loaded modules.
        rcu: grace periods, shared with everybody else who frees things.
        text_alloc: size -> address in trampoline memory, or 0; asked as fallible step ``text_alloc``.
        text_free: gives it back and fills it with traps.
        call_ops: sites reach their ops through a pointer before the function (arm64 with CALL_OPS).
    """

    def __init__(
        self,
        guest: Guest,
        kallsyms: Kallsyms,
        modules: Modules,
        rcu: Rcu,
        *,
        text_alloc: Callable[[int], int],
        text_free: Callable[[int], None],
        call_ops: bool = False,
    ) -> None:
        if call_ops and guest.port.tracing.ops_literal is None:
            raise ValueError(f"call_ops must be False on {guest.port.name}: its sites carry no ops pointer")
        self.guest, self.kallsyms, self.rcu = guest, kallsyms, rcu
        self.enabled = True
        self.start_up = 0
        poke = TextPoke(guest, kallsyms)
        self.sites = Sites(guest, kallsyms, poke)
        self.hashes = Hashes(guest, rcu)
        self.chain = OpsChain(guest, kallsyms, self.hashes)
        self.trampolines = Trampolines(
            guest, kallsyms, modules, poke, text_alloc=text_alloc, text_free=text_free, call_ops=call_ops
        )
        self.records = Records(guest, self.sites, self.chain, self.trampolines)
        self._code = Code(guest, kallsyms, self.sites, self.chain, self.records, self.trampolines, poke)
        self.on_module_sites: Callable[[str], None] = lambda _module: None
        """Told of each module whose sites have been taken over."""
        self.on_module_sites_gone: Callable[[frozenset[int]], None] = lambda _sites: None
        """Told of the sites of each module that has gone."""

    @property
    def disabled(self) -> bool:
        """Whether ftrace has given up after finding code it did not expect."""
        return self._code.disabled

    def ops(self, address: int) -> FtraceOps:
        """Return the ops at ``address``."""
        return FtraceOps(self.guest, address)

    def ftrace_init(self, locations: Sequence[int]) -> int:
        """Take over the vmlinux sites of the ``__mcount_loc`` table at boot; 0 or -EINVAL."""
        self._code.init()
        ret = self.sites.ftrace_init(locations)
        return ret if self._code.init_literals(None) else -EINVAL

    def ftrace_module_init(self, module: str, locations: Sequence[int]) -> int:
        """Take over the sites of a module that is being loaded; 0 or -EINVAL."""
        self.trampolines.init_plt(module)
        ret = self.sites.ftrace_module_init(module, locations)
        if not self._code.init_literals(module):
            self.sites.ftrace_release_mod(module)
            return -EINVAL
        if not ret:
            self.on_module_sites(module)
        return ret

    def ftrace_release_mod(self, module: str) -> None:
        """Let go of the sites of a module that goes; no filter names them any more."""
        gone = self.sites.ftrace_release_mod(module)
        self.hashes.clear_mod(gone)
        self.on_module_sites_gone(gone)

    def ftrace_location(self, ip: int) -> int:
        """Return the site that ``ip`` means, or 0: see `Sites.locate`."""
        return self.sites.ftrace_location(ip)

    def ftrace_set_filter_ip(
        self, ops: FtraceOps, ip: int, *, remove: bool = False, reset: bool = False
    ) -> int:
        """Add the site that ``ip`` means to the filter of ``ops``, or remove it: `ftrace_set_filter_ips`."""
        return self.ftrace_set_filter_ips(ops, [ip], remove=remove, reset=reset)

    def ftrace_set_filter_ips(
        self, ops: FtraceOps, ips: Sequence[int], *, remove: bool = False, reset: bool = False
    ) -> int:
        """Add the sites that ``ips`` mean to the filter of ``ops``, or remove them; fallible step ``filter``.

        Args:
            ops: whose filter.
            ips: sites, or functions that have one at their entry.
            remove: take them out.
            reset: take everything out first.

        Returns:
            0, -ENODEV, -ENOMEM, -EINVAL (no site there), -ENOENT (remove: not in the filter), or
            -EBUSY (another user changes the instruction pointer there). After a failure nothing is changed.
        """
        if self.disabled:
            return -ENODEV
        failed = self.guest.fail("filter")
        if failed:
            return -failed
        ops.init()
        old = ops.view["local_hash.filter_hash"]
        wanted = frozenset() if reset else self.hashes.ips(old)
        for site in map(self.sites.locate, ips):
            if not site:
                return -EINVAL
            if remove and site not in wanted:
                return -ENOENT
            wanted = wanted - {site} if remove else wanted | {site}
        return self._move_hash(ops, old, wanted)

    def _move_hash(self, ops: FtraceOps, old: int, wanted: frozenset[int]) -> int:
        new = self.hashes.create(wanted)
        if new < 0:
            return new
        ret = self.records.update_ipmodify(ops, self.hashes.ips(old) or None, wanted or None)
        if ret < 0:
            self.hashes.free(new)
            return ret
        registered = bool(ops.flags & OpsFlags.ENABLED)
        if registered:
            self.records.remove_user(ops)
        # pairs with the address dependency of the look-up in ftrace_ops_test
        self.guest.barrier(Barrier.WMB, "ftrace_hash publish")
        ops.view["local_hash.filter_hash"] = new
        if registered:
            self.records.add_user(ops)
            if self.enabled:
                ops.set_flags(OpsFlags.MODIFYING)
                self._code.run_update(Command.UPDATE_CALLS)
                ops.clear_flags(OpsFlags.MODIFYING)
        self.hashes.free_later(old)
        return 0

    def register_ftrace_function(self, ops: FtraceOps) -> int:
        """Have ``ops`` called at the sites of its filter; fallible step ``register``.

        Returns:
            0; -ENODEV: ftrace has given up; -EINVAL: deleted ops, or IPMODIFY without a filter; -EBUSY:
            registered already, PERMANENT while ftrace is switched off, or another user changes the
            instruction pointer at one of its sites. After a failure everything is as before.
        """
        if self.disabled:
            return -ENODEV
        failed = self.guest.fail("register")
        if failed:
            return -failed
        ret = self._register(ops)
        if ret:
            return ret
        self.start_up += 1
        ops.set_flags(OpsFlags.ENABLED | OpsFlags.ADDING)
        ret = self.records.update_ipmodify(ops, frozenset(), self.chain.filter_of(ops) or None)
        if ret < 0:
            self._roll_back(ops)
            return ret
        command = Command.UPDATE_CALLS if self.records.add_user(ops) else Command.NONE
        command = self._code.command(command)
        if command and self.enabled:
            self._code.run_update(command)
        if self._gave_up():
            self._unregister(ops)
            return -ENODEV
        ops.clear_flags(OpsFlags.ADDING)
        return 0

    def _gave_up(self) -> bool:
        return self._code.disabled

    def _register(self, ops: FtraceOps) -> int:
        ops.init()
        flags = ops.flags
        if flags & OpsFlags.DELETED:
            return -EINVAL
        if warn_on(self.guest, flags & OpsFlags.ENABLED):
            return -EBUSY
        if not self.enabled and flags & OpsFlags.PERMANENT:
            return -EBUSY
        if not ops.is_static:
            ops.set_flags(OpsFlags.DYNAMIC)
        self.chain.add(ops)
        self.trampolines.update(ops)
        if self.enabled:
            self._code.choose_function()
        return 0

    def _roll_back(self, ops: FtraceOps) -> None:
        # Linux leaves ADDING set, and does not wait for a walker of the list that met this ops
        self._unregister(ops)
        self.start_up -= 1
        ops.clear_flags(OpsFlags.ENABLED | OpsFlags.ADDING)
        if ops.flags & OpsFlags.DYNAMIC:
            self.trampolines.free(ops)

    def _unregister(self, ops: FtraceOps) -> int:
        if warn_on(self.guest, not ops.flags & OpsFlags.ENABLED):
            return -EBUSY
        if not self.chain.remove(ops):
            return -1
        if self.enabled:
            self._code.choose_function()
        return 0

    def unregister_ftrace_function(self, ops: FtraceOps) -> int:
        """Stop calling ``ops``; when it is dynamic, nobody is inside its trampoline or handler on return.

        As in Linux the ops leaves the list first, then the sites change, then the grace periods pass.

        Returns:
            0; -ENODEV: ftrace has given up; -EBUSY: it is not registered. Fallible step ``unregister``.
        """
        if self.disabled:
            return -ENODEV
        failed = self.guest.fail("unregister")
        if failed:
            return -failed
        ret = self._unregister(ops)
        if ret:
            return ret
        self.start_up -= 1
        warn_on(self.guest, self.start_up < 0)
        self.records.update_ipmodify(ops, self.chain.filter_of(ops), frozenset())
        command = Command.UPDATE_CALLS if self.records.remove_user(ops) else Command.NONE
        ops.clear_flags(OpsFlags.ENABLED)
        command = self._code.command(command)
        if command and self.enabled:
            ops.set_flags(OpsFlags.REMOVING)
            self._code.run_update(command)
            self._check_all_clear()
            ops.clear_flags(OpsFlags.REMOVING)
        if ops.flags & OpsFlags.DYNAMIC:
            self.rcu.synchronize("synchronize_rcu_tasks_rude")
            self.rcu.synchronize_tasks("synchronize_rcu_tasks")
            self.trampolines.free(ops)
        return 0

    def _check_all_clear(self) -> None:
        if self.chain.first == self.chain.end:
            for record in self.sites.records():
                warn_on(self.guest, record.flags & ~NOT_CLEARED or record.count)

    def set_ftrace_enabled(self, *, on: bool) -> int:
        """Write the ``ftrace_enabled`` switch: 0, -ENODEV, or -EBUSY when a PERMANENT ops is registered.

        Source: ftrace_enable_sysctl.
        """
        if self.disabled:
            return -ENODEV
        if on == self.enabled:
            return 0
        if on:
            self._switch_on()
        elif any(ops.flags & OpsFlags.PERMANENT for ops in self.chain):
            return -EBUSY
        else:
            self.enabled = False
            self._code.choose_stub()
            if self.start_up:
                self._code.run_update(Command.DISABLE_CALLS)
        return 0

    def _switch_on(self) -> None:
        self.enabled = True
        if self.chain.first != self.chain.end:
            self._code.choose_function()
        self._code.forget_saved_function()
        if self.start_up:
            self._code.run_update(self._code.command(Command.UPDATE_CALLS))
