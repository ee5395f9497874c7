"""Putting single functions and whole objects under a patch, and taking them out again.

Functions, order of effects, return codes and messages are those of kernel/livepatch/patch.c (6.1);
its klp_ftrace_handler is guest assembly: asm/<port>/klp_ftrace_handler.s.
"""

from __future__ import annotations

from emu.ftrace import Ftrace, FtraceOps, OpsFlags
from emu.kernel.errno import EINVAL, ENOMEM
from emu.kernel.guest import Guest, View
from emu.kernel.warn import warn_on
from emu.livepatch.graph import for_each_func, for_each_object, func_name
from emu.livepatch.log import Log
from emu.structs import KLP_FUNC, KLP_OPS

_STACK_NODE = KLP_FUNC.offset("stack_node.next")


class Patcher:
    """The functions of patch.c, on one kernel.

    Args:
        guest: the patching CPU.
        ftrace: brings the handler to its sites.
        log: gets the messages.
        save_regs: the port's handlers need a full pt_regs to change the instruction pointer.
    """

    def __init__(self, guest: Guest, ftrace: Ftrace, log: Log, *, save_regs: bool = False) -> None:
        self._guest, self._ftrace, self._log = guest, ftrace, log
        self.klp_ops = ftrace.kallsyms.address_of("klp_ops_list")
        self._handler = ftrace.kallsyms.address_of("klp_ftrace_handler")
        self._flags = OpsFlags.DYNAMIC | OpsFlags.IPMODIFY | OpsFlags.PERMANENT
        if save_regs:
            self._flags |= OpsFlags.SAVE_REGS

    def klp_find_ops(self, old_func: int) -> View | None:
        """Return the klp_ops whose newest entry replaces ``old_func``, or None."""
        for node in self._guest.list_nodes(self.klp_ops):
            ops = View(self._guest, KLP_OPS, node)
            first = View(self._guest, KLP_FUNC, ops["func_stack.next"] - _STACK_NODE)
            if first["old_func"] == old_func:
                return ops
        return None

    def klp_unpatch_func(self, func: View) -> None:
        """Take ``func`` off its stack; the last one takes the handler along."""
        guest, ftrace = self._guest, self._ftrace
        if warn_on(guest, not func["patched"]):
            return
        if warn_on(guest, not func["old_func"]):
            return
        ops = self.klp_find_ops(func["old_func"])
        if warn_on(guest, ops is None) or ops is None:
            return
        if ops["func_stack.next"] == ops["func_stack.prev"]:  # a single entry: list_is_singular
            location = ftrace.ftrace_location(func["old_func"])
            if warn_on(guest, not location):
                return
            # contains the grace period after which no handler can look at the stack any more
            warn_on(guest, ftrace.unregister_ftrace_function(self._fops(ops)))
            warn_on(guest, ftrace.ftrace_set_filter_ip(self._fops(ops), location, remove=True))
            guest.list_del_rcu(func.at("stack_node.next"))
            guest.list_del(ops.at("node.next"))
            guest.free(ops.address, "klp_ops")
        else:
            guest.list_del_rcu(func.at("stack_node.next"))
        func["patched"] = 0

    def klp_patch_func(self, func: View) -> int:
        """Put ``func`` on top of its stack; the first one brings the handler.

        Returns:
            0; -EINVAL: no old_func, patched already (both WARN) or no site to patch at; -ENOMEM; or what
            setting the filter or registering the handler returned. After a failure nothing is left.
        """
        guest = self._guest
        if warn_on(guest, not func["old_func"]):
            return -EINVAL
        if warn_on(guest, func["patched"]):
            return -EINVAL
        ops = self.klp_find_ops(func["old_func"])
        if ops is None:
            ret = self._first_user(func)
            if ret:
                return ret
        else:
            guest.list_add_rcu(func.at("stack_node.next"), ops.at("func_stack.next"))
        func["patched"] = 1
        return 0

    def _first_user(self, func: View) -> int:
        guest, ftrace, name = self._guest, self._ftrace, func_name(self._guest, func)
        # Linux takes any site inside the function; here it must be at the entry, else `Sites` knows why
        entry = ftrace.sites.entry_site(func["old_func"])
        if not entry.ip:
            self._log.tell(f"failed to find location for function '{name}'")
            return -EINVAL
        address = guest.alloc(KLP_OPS.size, "klp_ops")
        if not address:
            return -ENOMEM
        ops = View(guest, KLP_OPS, address)
        fops = self._fops(ops)
        fops.view["func"] = self._handler
        fops.view["flags"] = self._flags
        guest.list_add(ops.at("node.next"), self.klp_ops)
        guest.list_init(ops.at("func_stack.next"))
        # before the filter is set: the first handler to run must find an entry
        guest.list_add_rcu(func.at("stack_node.next"), ops.at("func_stack.next"))
        ret = ftrace.ftrace_set_filter_ip(fops, entry.ip)
        if ret:
            self._log.tell(f"failed to set ftrace filter for function '{name}' ({ret})")
        else:
            ret = ftrace.register_ftrace_function(fops)
            if ret:
                self._log.tell(f"failed to register ftrace handler for function '{name}' ({ret})")
                ftrace.ftrace_set_filter_ip(fops, entry.ip, remove=True)
        if ret:
            guest.list_del_rcu(func.at("stack_node.next"))
            guest.list_del(ops.at("node.next"))
            guest.free(ops.address, "klp_ops")
        return ret

    def _fops(self, ops: View) -> FtraceOps:
        return self._ftrace.ops(ops.at("fops"))

    def _unpatch_object(self, obj: View, *, nops_only: bool) -> None:
        for func in for_each_func(self._guest, obj):
            if nops_only and not func["nop"]:
                continue
            if func["patched"]:
                self.klp_unpatch_func(func)
        if obj["dynamic"] or not nops_only:
            obj["patched"] = 0

    def klp_unpatch_object(self, obj: View) -> None:
        """Take every patched function of ``obj`` off its stack."""
        self._unpatch_object(obj, nops_only=False)

    def klp_patch_object(self, obj: View) -> int:
        """Patch every function of ``obj``; the first failure unpatches them all and is returned."""
        if warn_on(self._guest, obj["patched"]):
            return -EINVAL
        for func in for_each_func(self._guest, obj):
            ret = self.klp_patch_func(func)
            if ret:
                self.klp_unpatch_object(obj)
                return ret
        obj["patched"] = 1
        return 0

    def _unpatch_objects(self, patch: View, *, nops_only: bool) -> None:
        for obj in for_each_object(self._guest, patch):
            if obj["patched"]:
                self._unpatch_object(obj, nops_only=nops_only)

    def klp_unpatch_objects(self, patch: View) -> None:
        """Unpatch every patched object of ``patch``."""
        self._unpatch_objects(patch, nops_only=False)

    def klp_unpatch_objects_dynamic(self, patch: View) -> None:
        """Take the nop functions of ``patch`` off their stacks, and unpatch the objects made for them."""
        self._unpatch_objects(patch, nops_only=True)
