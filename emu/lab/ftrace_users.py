"""Who uses ftrace besides livepatch: the function tracer, kprobes, and two modules of the observations."""

from __future__ import annotations

from emu.ftrace import (
    Ftrace,
    FtraceOps,
    FunctionTracer,
    Kprobes,
    KprobesFiles,
    OpsFlags,
    Tracefs,
    sites_called,
)
from emu.kernel.errno import EINVAL
from emu.kernel.kernel import Kernel
from emu.kernel.modules import Module, Modules
from emu.kernel.symbols import second_names
from emu.kernel.text_area import TextArea
from emu.lab.module_parameters import read_parameters
from emu.lab.module_work import ModuleWork, Parameters
from emu.lab.modules import ModuleLoader
from emu.structs import FTRACE_OPS, KPROBE


class FtraceUsers:
    """The function tracer and kprobes of one machine, their files, and the modules ops_user and kp_user.

    The list function, which several users share, gets its second name.

    Made when the loader's hooks for livepatch are in place: of a module that goes, kprobes hear before it.

    Args:
        kernel, ftrace, modules, loader: of the machine.
        text: where kprobes put copies of instructions.
        modified_column: see `Tracefs`.

    Attributes:
        tracer: the function tracer.
        kprobes: of the kernel.
        trees: /sys/kernel/tracing and /sys/kernel/debug/kprobes.
    """

    def __init__(
        self,
        kernel: Kernel,
        ftrace: Ftrace,
        modules: Modules,
        loader: ModuleLoader,
        *,
        text: TextArea,
        modified_column: bool = False,
    ) -> None:
        ftrace.kallsyms.add(None, second_names(ftrace.kallsyms.symbols(None)))
        self.tracer = FunctionTracer(ftrace)
        self.kprobes = Kprobes(
            kernel.guest, ftrace, modules, text_alloc=text.allocate, text_free=text.free
        )  # fmt: skip
        self.trees = (
            Tracefs(
                ftrace, self.tracer, lambda: kernel.tasks, cpus=kernel.cpus, modified_column=modified_column
            ),
            KprobesFiles(self.kprobes, ftrace.kallsyms),
        )
        ops_user, kp_user = _OpsUser(kernel, ftrace, loader), _KpUser(kernel, self.kprobes, loader)
        loader.works["ops_user"] = ModuleWork(init=ops_user.init, exit=ops_user.exit)
        loader.works["kp_user"] = ModuleWork(init=kp_user.init, exit=kp_user.exit)
        self._klp_module_going = loader.klp_module_going
        loader.klp_module_going = self._module_going

    def _module_going(self, module: Module) -> None:
        self.kprobes.module_going(module)
        self._klp_module_going(module)


class _OpsUser:
    """The module ops_user: one ops of its own on the functions called ``fn``.

    Source: our own helper module, and the references ``ipmodify_conflict`` and ``trampoline_bytes``.
    """

    def __init__(self, kernel: Kernel, ftrace: Ftrace, loader: ModuleLoader) -> None:
        self._guest, self._ftrace, self._loader = kernel.guest, ftrace, loader

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
        self._guest.log(f"ops_user: unregister: {ret}, hits {_some(hits)}")


class _KpUser:
    """The module kp_user: a kprobe on ``fn`` + ``off``, with a post handler if ``post``.

    Source: our own helper module. # assumed: its log lines; no reference has them
    """

    def __init__(self, kernel: Kernel, kprobes: Kprobes, loader: ModuleLoader) -> None:
        self._guest, self._kprobes, self._loader = kernel.guest, kprobes, loader

    def _address(self, name: str) -> int:
        return self._loader.image("kp_user").address(name)

    def init(self, given: Parameters) -> int:
        """Register it: 0, or the error of `Kprobes.register_kprobe`."""
        read = read_parameters(self._guest, "kp_user", given, texts=("fn",), numbers=("off", "post"))
        if isinstance(read, int):
            return read
        fn, off, post = read[0]["fn"], read[1]["off"], read[1]["post"]
        view = self._guest.view(KPROBE, self._address("kp"))
        view["pre_handler"] = self._address("kp_pre")
        view["post_handler"] = self._address("kp_post") if post else 0
        ret = self._kprobes.register_kprobe(view.address, fn, off)
        self._guest.log(f"kp_user: register on {fn}+{off} post={post}: {ret}")
        return ret

    def exit(self) -> None:
        """Unregister it, and tell whether its handlers were ever called."""
        self._kprobes.unregister_kprobe(self._address("kp"))
        pre, post = (self._guest.load(self._address("kp_hits") + at) for at in (0, 8))
        self._guest.log(f"kp_user: unregister, hits pre {_some(pre)} post {_some(post)}")


def _some(hits: int) -> str:
    return "some" if hits else "none"
