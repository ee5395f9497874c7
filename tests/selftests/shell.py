"""A root's shell whose transcripts tests compare: what it did, and what the kernel logged meanwhile."""

from __future__ import annotations

import re
from collections.abc import Sequence

from emu.lab.machine import Machine
from emu.lab.reply_words import spelled_reply
from emu.lab.userland import Process, Userland
from emu.livepatch import Func, Object, Patch

SYSFS = "/sys/kernel/livepatch"
CALLBACKS = ("pre_patch", "post_patch", "pre_unpatch", "post_unpatch")
_CHANCE = re.compile(r"livepatch: klp_try_switch_task: .*|.*: tainting kernel with TAINT_LIVEPATCH")
"""Lines that depend on who runs, and that come only once after boot."""


class Shell:
    """A machine with nothing on it but what a test starts, and livepatch's debug messages on."""

    def __init__(self, arch: str, *, cpus: int = 2, users: int = 0, flavour: str = "linux-6.1") -> None:
        self.machine = Machine(
            "reference", arch=arch, cpus=cpus, workers=0, users=users, spare_tasks=8, flavour=flavour
        )
        self.userland = Userland(self.machine)
        self.machine.livepatch.core.log.debug_on = True
        self._process = self.userland.process("sh", cpu=0)
        self._patches: set[str] = set()

    # --- commands, each noted in the log ----------------------------------------------------------

    def _note(self, command: str) -> None:
        self.machine.kernel.printk(f"$ {command}")

    def insmod(self, module: str | Patch, *, wait: bool = True, **parameters: str) -> int:
        """Load a module or a livepatch, and wait for its transition to end."""
        name = module if isinstance(module, str) else module.name
        self._note(" ".join([f"insmod {name}", *(f"{key}={value}" for key, value in parameters.items())]))
        if isinstance(module, str):
            ret = self.userland.insmod(module, parameters)
        else:
            self._patches.add(name)
            handle = self.machine.livepatch.enable(module)
            self.machine.run(until=handle.answered)
            ret = handle.result
        if wait:
            assert self.userland.wait_for_transition()
        return ret

    def rmmod(self, name: str) -> int:
        """Unload one."""
        self._note(f"rmmod {name}")
        if name in self._patches:
            return self.machine.wait(self.machine.livepatch.unload(name))
        return self.userland.rmmod(name)

    def disable(self, patch: str) -> int:
        """Write 0 to a livepatch's switch, and wait for the transition to end."""
        return self.echo("0", f"{SYSFS}/{patch}/enabled")

    def echo(self, text: str, path: str) -> int:
        """Write a line to a file; what that returns."""
        self._note(f"echo {text} > {path}")
        ret = self.userland.write(path, f"{text}\n")
        assert self.userland.wait_for_transition()
        return ret

    def cat(self, path: str) -> str:
        """Return what a file holds, without the line end."""
        text = self.userland.read(path)
        assert isinstance(text, str), f"{path}: {text}"
        return text.removesuffix("\n")

    # --- looking ----------------------------------------------------------------------------------

    def transcript(self) -> list[str]:
        """Return the log, but for what is chance."""
        return [line for line in self.machine.log if not _CHANCE.fullmatch(line)]

    def address(self, function: str) -> int:
        """Return where a function of the kernel or a module is."""
        kallsyms = self.machine.kallsyms
        owners = (None, *(module.name for module in self.machine.modules.loaded()))
        return next(symbol.address for owner in owners for symbol in kallsyms.find(owner, function))

    def reply(self, function: str) -> str:
        """Call a function that tells its version, and return what it told."""
        self._process.call(self.address(function), self.address("call_buffer"))
        return self.spelled(function, self.userland.finish(self._process))

    def spelled(self, function: str, result: int) -> str:
        """Return a result in words."""
        return spelled_reply(function, result, patch_name=self.machine.livepatch.name_of)

    def sleeper(self) -> Process:
        """Return a process that sleeps in ``vic_wait`` of module ``victim``."""
        process = self.userland.process("sleeper", cpu=1)
        process.call(self.address("vic_wait"), 0, 0)
        self.userland.settle()
        assert self.userland.sleeps_on_gate(process.task)
        return process


def patch(name: str, *functions: str, replace: bool = False) -> Patch:
    """Return a livepatch of functions of the kernel."""
    funcs = tuple(Func(function, f"lp_{function}") for function in functions)
    return Patch(name, (Object(None, funcs),), replace=replace)


# --- what the log holds ---------------------------------------------------------------------------


def patching(name: str, *, before: Sequence[str] = (), after: Sequence[str] = ()) -> list[str]:
    """Return the lines of a livepatch that is enabled: callbacks before and after included."""
    return [
        f"livepatch: enabling patch '{name}'",
        f"livepatch: '{name}': initializing patching transition",
        *before,
        f"livepatch: '{name}': starting patching transition",
        f"livepatch: '{name}': completing patching transition",
        *after,
        f"livepatch: '{name}': patching complete",
    ]


def unpatching(name: str, *, before: Sequence[str] = (), after: Sequence[str] = ()) -> list[str]:
    """Return the lines of one that is disabled."""
    return [
        f"$ echo 0 > {SYSFS}/{name}/enabled",
        f"livepatch: '{name}': initializing unpatching transition",
        *before,
        f"livepatch: '{name}': starting unpatching transition",
        f"livepatch: '{name}': completing unpatching transition",
        *after,
        f"livepatch: '{name}': unpatching complete",
    ]


def refused(name: str, *reasons: str) -> list[str]:
    """Return the lines of one that is refused while it is being enabled."""
    return [
        f"livepatch: enabling patch '{name}'",
        f"livepatch: '{name}': initializing patching transition",
        *reasons,
        f"livepatch: failed to enable patch '{name}'",
        f"livepatch: '{name}': canceling patching transition, going to unpatch",
        f"livepatch: '{name}': completing unpatching transition",
        f"livepatch: '{name}': unpatching complete",
    ]
