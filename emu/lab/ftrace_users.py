"""Who uses ftrace besides livepatch: the function tracer and kprobes."""

from __future__ import annotations

from emu.ftrace import Ftrace, FunctionTracer, Kprobes, KprobesFiles, Tracefs
from emu.kernel.kernel import Kernel
from emu.kernel.modules import Modules
from emu.kernel.symbols import second_names
from emu.kernel.text_area import TextArea


class FtraceUsers:
    """The function tracer and kprobes of one machine, and their files.

    The list function, which several users share, gets its second name.

    Args:
        kernel, ftrace, modules: of the machine.
        text: where kprobes put copies of instructions.
        modified_column: see `Tracefs`.
        kprobe_warns: see `Kprobes`.

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
        *,
        text: TextArea,
        modified_column: bool = False,
        kprobe_warns: bool = False,
    ) -> None:
        ftrace.kallsyms.add(None, second_names(ftrace.kallsyms.symbols(None)))
        self.tracer = FunctionTracer(ftrace)
        self.kprobes = Kprobes(
            kernel.guest, ftrace, modules, text_alloc=text.allocate, text_free=text.free, warns=kprobe_warns
        )  # fmt: skip
        self.trees = (
            Tracefs(
                ftrace, self.tracer, lambda: kernel.tasks, cpus=kernel.cpus, modified_column=modified_column
            ),
            KprobesFiles(self.kprobes, ftrace.kallsyms),
        )
