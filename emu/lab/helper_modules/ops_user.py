"""What the helper module ``ops_user`` does: an ftrace_ops beside those of livepatch."""

from __future__ import annotations

from emu.ftrace import Ftrace, FtraceOps, OpsFlags, sites_called
from emu.kernel.errno import EINVAL
from emu.kernel.guest import Guest
from emu.lab.helper_modules.hits import some_or_none
from emu.lab.helper_modules.parameters import read_parameters
from emu.lab.module_work import Parameters
from emu.lab.modules import ModuleLoader
from emu.structs import FTRACE_OPS


class OpsUser:
    """The module ops_user: one ops of its own on the functions called ``fn``.

    Args:
        guest: the patching CPU.
        ftrace: of the same kernel.
        loader: knows where the module is.

    Source: our own helper module, and the references ``ipmodify_conflict`` and ``trampoline_bytes``.
    """

    def __init__(self, guest: Guest, ftrace: Ftrace, loader: ModuleLoader) -> None:
        self._guest, self._ftrace, self._loader = guest, ftrace, loader

    def _ops(self) -> FtraceOps:
        return self._ftrace.ops(self._loader.image("ops_user").address("ops"))

    def init(self, given: Parameters) -> int:
        """Register it with the flags that ``ipmod`` and ``saveregs`` ask for: 0, or ftrace's error."""
        read = read_parameters(self._guest, "ops_user", given, texts=("fn",), numbers=("ipmod", "saveregs"))
        if isinstance(read, int):
            return read
        fn, ipmod = read[0]["fn"], read[1]["ipmod"]
        flags = OpsFlags.SAVE_REGS if ipmod or read[1]["saveregs"] else OpsFlags(0)
        flags |= OpsFlags.IPMODIFY if ipmod else OpsFlags(0)
        ret = self._register(fn, flags)
        self._guest.log(f"ops_user: register on {fn} ipmod={ipmod}: {ret}")
        return ret

    def _register(self, fn: str, flags: OpsFlags) -> int:
        ops, sites = self._ops(), sites_called(self._ftrace, fn) if fn else []
        ops.view["func"] = self._loader.image("ops_user").address("cb")
        ops.view["flags"] = flags
        if not sites:
            return -EINVAL
        ret = self._ftrace.ftrace_set_filter_ips(ops, sites) or self._ftrace.register_ftrace_function(ops)
        if ret:
            self._forget_filter(ops)
        return ret

    def _forget_filter(self, ops: FtraceOps) -> None:
        self._ftrace.ftrace_set_filter_ips(ops, [], reset=True)
        self._ftrace.rcu.barrier("filter of ops_user")

    def exit(self) -> None:
        """Unregister it, and tell whether it was ever called."""
        ops = self._ops()
        ret = self._ftrace.unregister_ftrace_function(ops)
        self._forget_filter(ops)
        hits = self._guest.load(ops.address + FTRACE_OPS.offset("hits"))
        self._guest.log(f"ops_user: unregister: {ret}, hits {some_or_none(hits)}")
