"""`Users`: a machine with the modules of the observations, and everybody who uses ftrace."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from emu.build.asm.source import Unit
from emu.ftrace import enabled_functions
from emu.kernel.guest import View
from emu.lab.machine import Machine
from emu.lab.userland import Userland
from emu.structs import KPROBE

SETUPS = ("x86_64", "arm64", "arm64-far")
"""Ports; the last with modules out of a BL's reach, and sites that carry their ops."""
TRACING = "/sys/kernel/tracing"
KPROBES = "/sys/kernel/debug/kprobes"


class Users:
    """A booted machine, its shell, and a process that makes calls.

    Args:
        setup: of `SETUPS`.
        options: further arguments of `Machine`.
    """

    def __init__(self, setup: str, **options: object) -> None:
        arch, _, far = setup.partition("-")
        given: dict[str, object] = {
            "cpus": 2, "workers": 0, "users": 0, "spare_tasks": 4,
            "far_modules": bool(far), "call_ops": bool(far), **options,
        }  # fmt: skip
        self.machine = machine = Machine("reference", arch=arch, **given)  # type: ignore[arg-type]
        self.users = machine.ftrace_users
        self.shell = Userland(machine)
        for module in ("viccore", "victim"):
            assert self.shell.insmod(module) == 0
        self.process = self.shell.process("caller", cpu=0)
        self._logged = len(machine.log)
        self.boot_text = self.text()

    @property
    def has_trampolines(self) -> bool:
        """Whether a lone ops has a trampoline of its own on this port."""
        return self.machine.port.tracing.copy_trampoline is not None

    # --- doing ----------------------------------------------------------------------------------

    def call(self, function: str, *args: int) -> int:
        """Have the process call a function of module victim by vic_show, and return the result."""
        self.process.call(self.at("vic_show"), self.at(function), *args)
        return self.shell.finish(self.process)

    def run_until_hit(self, post: int) -> bool:
        """Run until kp_pre (0) or kp_post (1) has been called some times; whether nothing went wrong."""
        return self.machine.run(until=lambda: self.kprobe_hits()[post] > 2).ok

    def kprobe_hits(self) -> tuple[int, int]:
        """Return how often kp_pre and kp_post of module kp_user were called."""
        at = self.machine.loader.image("kp_user").address("kp_hits")
        pre, post = (self.machine.kernel.engine.memory.load(at + offset) for offset in (0, 8))
        return pre, post

    def patch(self, name: str) -> int:
        """Load a livepatch, which must work, and return its number once its transition is over."""
        assert self.shell.insmod(name) == 0, self.machine.log[-3:]
        assert self.shell.wait_for_transition()
        return max(entry["index"] for entry in self.machine.livepatch.table() if entry["name"] == name)

    def unpatch(self, name: str) -> None:
        """Disable a livepatch, and unload it once its transition is over."""
        assert self.shell.write(f"/sys/kernel/livepatch/{name}/enabled", "0\n") == 2
        assert self.shell.wait_for_transition()
        assert self.shell.rmmod(name) == 0

    def insmod(self, module: str, **parameters: object) -> int:
        """Load a module."""
        return self.shell.insmod(module, {key: str(value) for key, value in parameters.items()})

    def trace(self, file: str, text: str) -> int:
        """Write to a file of tracing, with ``>>``."""
        return self.shell.write(f"{TRACING}/{file}", text, append=True)

    def do(self, body: Callable[[], int]) -> int:
        """Have the patching CPU run ``body``."""
        return self.machine.wait(self.machine.kernel.installer.submit("test", body))

    def add_code(self, name: str, sources: Mapping[str, str]) -> None:
        """Load a module of routines."""
        self.machine.add_module(
            name, [Unit(name=key, text=text, origin=key) for key, text in sources.items()]
        )
        assert self.shell.insmod(name) == 0

    def kprobe(self, *, pre: str = "", post: str = "") -> View:
        """Return a fresh kprobe with handlers."""
        guest = self.machine.kernel.guest
        view = View(guest, KPROBE, guest.alloc(KPROBE.size, "kprobe"))
        view["pre_handler"], view["post_handler"] = (self.at(name) if name else 0 for name in (pre, post))
        return view

    def register(self, kprobe: View, symbol: str, offset: int = 0) -> int:
        """Register a kprobe."""
        return self.do(lambda: self.users.kprobes.register_kprobe(kprobe.address, symbol, offset))

    def unregister(self, kprobe: View) -> None:
        """Unregister it."""

        def body() -> int:
            self.users.kprobes.unregister_kprobe(kprobe.address)
            return 0

        self.do(body)

    # --- looking --------------------------------------------------------------------------------

    def at(self, name: str) -> int:
        """Return the address of a symbol, the kernel's or a module's."""
        kallsyms = self.machine.kallsyms
        return next(symbol.address for owner in kallsyms.objects() for symbol in kallsyms.find(owner, name))

    def way(self, function: str) -> str:
        """Return what the site of a function calls: a caller's name, the address of a trampoline, or ""."""
        machine = self.machine
        site = machine.ftrace.sites.locate(self.at(function))
        code = machine.kernel.engine.memory.read(site, machine.port.site.poke_size)
        target = machine.port.call_target(site, code)
        if target is None:
            return ""
        callers, plt_entry = machine.ftrace.trampolines, machine.port.tracing.plt_entry
        if plt_entry is not None:  # maybe by way of the module's PLT
            stub = machine.kernel.engine.memory.read(target, len(plt_entry(0)))
            found = [at for at in (callers.caller, callers.regs_caller) if plt_entry(at) == stub]
            target = found[0] if found else target
        return machine.kallsyms.name_at(target).removesuffix("_ops")

    def enabled(self) -> list[str]:
        """Return the lines of enabled_functions without trampoline, and without the column ``O``."""
        lines = enabled_functions(self.machine.ftrace)
        assert self.read(f"{TRACING}/enabled_functions") == "".join(f"{line}\n" for line in lines)
        fronts = (line.partition("\t")[0].partition("->")[0].rstrip() for line in lines)
        return [front.removesuffix(" O").rstrip() for front in fronts]

    def traced(self) -> list[str]:
        """Return what the tracer saw, the oldest first, without task and time."""
        lines = self.read(f"{TRACING}/trace").splitlines()
        return [line.split(": ", 1)[1] for line in lines if not line.startswith("#")]

    def read(self, path: str) -> str:
        """Return the text of a file."""
        text = self.shell.read(path)
        assert isinstance(text, str), text
        return text

    def log(self) -> list[str]:
        """Return the lines logged since this was asked last."""
        new = self.machine.log[self._logged :]
        self._logged += len(new)
        return new

    def text(self) -> dict[str, bytes]:
        """Return the text of the kernel and of module victim."""
        memory = self.machine.kernel.engine.memory
        images = self.machine.kernel.image, self.machine.loader.image("victim")
        return {image.name: memory.read(at, len(code)) for image in images for at, code in image.text[:1]}

    def assert_sound(self) -> None:
        """No wrong result, register or stack pointer, and no WARN."""
        assert self.machine.bad_results() == 0
        assert self.machine.kernel.warnings() == 0
        assert not [line for line in self.machine.log if "WARNING" in line]
