"""A kernel's text laid out by hand, byte by byte, for tests that need sites but no CPU."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from emu.arch import Port
from emu.arch.arm64 import port as arm64
from emu.build.memory_map import FAR_MODULES, KERNEL_DATA, KERNEL_TEXT, MODULES
from emu.ftrace import Ftrace, FtraceOps
from emu.kernel.kallsyms import Kallsyms, Symbol
from emu.kernel.modules import Module, Modules
from emu.kernel.rcu import Rcu
from emu.kernel.tasks import Task
from emu.livepatch import LINUX_6_1, Flavour, Livepatch
from emu.machine.memory import Memory
from emu.structs import FTRACE_OPS
from tests.plain_player import plain_guest

RET = {"x86_64": b"\xc3", "arm64": struct.pack("<I", 0xD65F03C0)}
BODY = {"x86_64": b"\x90" * 6, "arm64": arm64.NOP * 2}
FUNCTIONS = ("cmdline_proc_show", "meminfo_proc_show", "mini_leaf", "mini_nested")
VARIABLES = {
    "klp_ops_list": 0x10, "klp_target_state": 8, "function_trace_op": 8, "ftrace_ops_list": 8,
    "ftrace_list_end": FTRACE_OPS.size, "bp_desc": 0x10 + 3 * 0x18, "static_ops": FTRACE_OPS.size,
}  # fmt: skip


class NoTasks:
    """A scheduler without tasks: every transition completes at once."""

    def processes(self) -> Iterator[Task]:
        """Nobody."""
        return iter(())

    idle_tasks = processes

    def _never(self, *_args: object) -> Any:
        raise AssertionError("there is no task to ask about")

    view = is_running = stack = task_call_func = set_flag = clear_flag = wake_up_if_idle = signal = _never


@dataclass
class Text:
    """Text being laid out at ``at``."""

    port: Port
    memory: Memory
    at: int
    owner: str | None
    symbols: list[Symbol] = field(default_factory=list)
    sites: list[int] = field(default_factory=list)
    known: dict[str, int] = field(default_factory=dict)

    def place(self, name: str, code: bytes, **labels: int) -> int:
        """Put ``code`` at the next aligned place; ``labels`` are inner ones, by offset."""
        start = -(-self.at // 16) * 16 + 8 if self.port.name == "arm64" else -(-self.at // 16) * 16
        self.memory.write(start, code)
        self.symbols.append(Symbol(name=name, address=start, size=len(code), object=self.owner))
        self.known[name] = start
        for label, offset in labels.items():
            self.symbols.append(Symbol(name=label, address=start + offset, size=0, object=self.owner))
        self.at = start + len(code)
        return start

    def call(self, at: int, name: str) -> bytes:
        """Return a call of ``name`` at ``at``."""
        return self.port.encode_call(at, self.known[name])

    def function(self, name: str, *, pad: bool = False, old_style: bool = False, site: bool = True) -> int:
        """Place a function: landing pad, site, body, return."""
        port = self.port
        start = -(-self.at // 16) * 16 + (8 if port.name == "arm64" else 0)
        front = port.site.landing_pads[0] if pad else b""
        if old_style:
            front += BODY[port.name]
        entry = b""
        if site:
            self.sites.append(start + len(front))
            if old_style or port.name == "x86_64":
                stub = port.stub_names[-1] if old_style else port.stub_names[0]
                entry = self.call(start + len(front), stub)
            else:
                entry = arm64.NOP * 2
        return self.place(name, front + entry + BODY[port.name] + RET[port.name])

    def caller(self, prefix: str) -> None:
        """Place ``ftrace_caller`` or ``ftrace_regs_caller``."""
        start = -(-self.at // 16) * 16 + (8 if self.port.name == "arm64" else 0)
        name = f"ftrace_{prefix}caller"
        if self.port.name == "arm64":
            bl = self.port.encode_call(start + 4, self.known["ftrace_stub"])
            self.place(name, arm64.NOP + bl + RET["arm64"], **{f"ftrace_{prefix}call": 4})
            self.place(name + "_ops", arm64.NOP + RET["arm64"])
            return
        op = self.known["function_trace_op"] - (start + 8)
        code = b"\x50" + b"\x48\x8b\x15" + struct.pack("<i", op)
        code += self.call(start + 8, "ftrace_stub") + b"\x58"
        labels = {f"{name}_op_ptr": 1, f"ftrace_{prefix}call": 8, f"{name}_end": 14}
        self.place(name, code + b"\xc3", **labels)


class Kernel:
    """A synthetic kernel with ftrace and livepatch on it; nothing runs."""

    def __init__(
        self, port: Port, *, call_ops: bool = False, debug: bool = False, flavour: Flavour = LINUX_6_1
    ) -> None:
        self.port, self.memory = port, Memory(tasks=1)
        self.guest, self.player, self.heap, self.text, self.fail = plain_guest(port, self.memory)
        self.kallsyms, self.modules = Kallsyms(), Modules()
        kernel = Text(port, self.memory, KERNEL_TEXT.base, None)
        at = KERNEL_DATA.base + 0x100
        for name, size in VARIABLES.items():
            kernel.symbols.append(Symbol(name=name, address=at, size=size))
            kernel.known[name] = at
            at += -(-size // 0x40) * 0x40
        for name in (*port.stub_names, "ftrace_stub"):
            kernel.place(name, RET[port.name])
        for name in ("klp_ftrace_handler", "ftrace_ops_list_func", "ftrace_count_hits", "lp_1", "lp_2"):
            kernel.place(name, BODY[port.name] + RET[port.name])
        kernel.caller("")
        kernel.caller("regs_")
        kernel.place("mcount_caller", RET[port.name])
        for name in FUNCTIONS:
            kernel.function(name)
        kernel.function("mini_landing", pad=True)
        kernel.function("mini_mcount", old_style=True)
        kernel.function("mini_bare", site=False)
        self.kallsyms.add(None, kernel.symbols)
        self.rcu = Rcu(self.guest)
        self.ftrace = Ftrace(
            self.guest, self.kallsyms, self.modules, self.rcu,
            text_alloc=self.text.allocate, text_free=self.text.release, call_ops=call_ops,
        )  # fmt: skip
        assert self.ftrace.ftrace_init(kernel.sites) == 0
        self.livepatch = Livepatch(
            self.guest, self.ftrace, self.kallsyms, self.modules,
            sched=NoTasks(), retry=lambda _work: None, debug=debug, flavour=flavour,
        )  # fmt: skip
        self.stubs = kernel.known
        self.load_module("victim", MODULES.base, ("vic_alpha", "vic_beta", "vic_dup", "vic_dup"))

    def load_module(self, name: str, base: int, functions: tuple[str, ...], *, plt: bool = False) -> int:
        """Load a module of ``functions``; return what ftrace_module_init did."""
        text = Text(self.port, self.memory, base, name, known=dict(self.stubs))
        room = self.ftrace.trampolines.plt_size() if plt else 0
        text.at += room
        for function in functions:
            if self.port.name == "arm64" or base < FAR_MODULES.base:
                text.function(function)
        self.modules.add(Module(name=name, base=base, size=0x1000, plt=base if plt else 0, klp_alive=True))
        self.kallsyms.add(name, text.symbols)
        return self.ftrace.ftrace_module_init(name, text.sites)

    def address(self, name: str, owner: str | None = None) -> int:
        """Return the address of a function."""
        return self.kallsyms.find(owner, name)[0].address

    def site(self, name: str, owner: str | None = None) -> int:
        """Return the site of a function."""
        return self.ftrace.sites.locate(self.address(name, owner))

    def ops(self, flags: int = 0, *, address: int = 0) -> FtraceOps:
        """Return a fresh ops whose handler counts hits."""
        at = address or self.heap.allocate(FTRACE_OPS.size, "test ops")
        ops = self.ftrace.ops(at)
        ops.view["func"] = self.address("ftrace_count_hits")
        ops.view["flags"] = int(flags)
        return ops

    def called(self, ip: int) -> int | None:
        """Return what the call at ``ip`` calls now, None when it is off."""
        return self.port.call_target(ip, self.memory.read(ip, self.port.site.poke_size))

    def snapshot(self) -> tuple[bytes, bytes, dict[int, tuple[int, str]], dict[int, tuple[int, str]]]:
        """Return all text, the kernel's variables, and what lives on heap and in trampoline memory.

        Left out are bp_desc's entries and what freed trampolines hold, which nobody clears.
        """
        self.rcu.barrier("test")
        text = self.memory.read(KERNEL_TEXT.base, KERNEL_TEXT.size)
        text += self.memory.read(MODULES.base, MODULES.size)
        symbols = [s for s in self.kallsyms.symbols(None) if s.name in VARIABLES]
        data = b"".join(self.memory.read(s.address, 8 if s.name == "bp_desc" else s.size) for s in symbols)
        heap = {at: what for at, what in self.heap.live.items() if not what[1].startswith("module ")}
        return text, data, heap, dict(self.text.live)


def new_log(kernel: Kernel) -> list[str]:
    """Return the log lines since the last call, and forget them."""
    lines = kernel.player.log[:]
    kernel.player.log.clear()
    return lines
