"""What /proc shows of livepatching: patch_state of each task, modules, taint, the ftrace_enabled switch.

Who reads and writes is root, whom /proc, unlike sysfs, lets open files against their permission bits.

Source: fs/proc/base.c, proc_pid_patch_state; kernel/module/procfs.c, m_show; kernel/trace/ftrace.c,
ftrace_enable_sysctl (6.1; the same in 6.17).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from emu.ftrace import Ftrace
from emu.kernel.errno import EINVAL, EIO, ENODEV
from emu.kernel.guest import Guest, View
from emu.kernel.kstrtox import proc_dointvec
from emu.kernel.modules import TAINT_WARN, Module, Modules, ModuleState
from emu.kernel.pseudo_files import Directory, PseudoFile, PseudoTree
from emu.structs import CONSTANTS, TASK
from emu.units import signed64

ROOT = "/proc"
_STATES = {ModuleState.LIVE: "Live", ModuleState.COMING: "Loading", ModuleState.GOING: "Unloading"}
_STATE_FLAGS = {ModuleState.LIVE: "", ModuleState.COMING: "+", ModuleState.GOING: "-"}


class ProcTask(Protocol):
    """What /proc needs to know of a task."""

    @property
    def pid(self) -> int:
        """Its directory's name; 0: it has none (idle tasks)."""
        ...

    @property
    def struct(self) -> int:
        """Guest address of its task_struct."""
        ...


class Procfs(PseudoTree):
    """The tree, as far as it goes.

    Args:
        guest: the patching CPU.
        tasks: gives the tasks there are, dead ones included.
        modules, ftrace: of the same kernel.
        reader: gives the task whose directory ``self`` is; None: there is none.
        warnings: gives how many WARNs there have been.
    """

    def __init__(
        self,
        guest: Guest,
        tasks: Callable[[], Iterable[ProcTask]],
        modules: Modules,
        ftrace: Ftrace,
        *,
        reader: Callable[[], ProcTask | None] = lambda: None,
        warnings: Callable[[], int] = lambda: 0,
    ) -> None:
        super().__init__(self._top_entries, mounted_at=ROOT)
        self._guest, self._tasks, self._modules, self._ftrace = guest, tasks, modules, ftrace
        self._reader, self._warnings = reader, warnings
        self._ftrace_enabled = 1

    def _top_entries(self) -> Mapping[str, PseudoFile | Directory]:
        found: dict[str, PseudoFile | Directory] = {
            "modules": PseudoFile(mode=0o444, show=self._show_modules, unwritable=EIO),
            "sys": lambda: {"kernel": self._sysctls},
        }
        for task in self._tasks():
            view = View(self._guest, TASK, task.struct)
            if task.pid and view["state"] != CONSTANTS["TASK_DEAD"]:
                found[str(task.pid)] = self._task(view)
        reader = self._reader()
        if reader is not None:
            found["self"] = self._task(View(self._guest, TASK, reader.struct))
        return found

    @staticmethod
    def _task(task: View) -> Directory:
        def show() -> str:
            return f"{signed64(task['patch_state'])}\n"

        return lambda: {"patch_state": PseudoFile(mode=0o400, show=show, unwritable=EINVAL)}

    def _show_modules(self) -> str:
        # the newest first, as the kernel's list has them
        return "".join(f"{module_line(module)}\n" for module in reversed(self._modules.loaded()))

    def _sysctls(self) -> Mapping[str, PseudoFile | Directory]:
        return {
            "ftrace_enabled": PseudoFile(
                mode=0o644, show=self._show_ftrace_enabled, store=self._store_ftrace_enabled
            ),
            # Linux lets root taint the kernel by hand
            "tainted": PseudoFile(mode=0o644, show=self._show_tainted, unwritable=EINVAL),
        }

    def _show_tainted(self) -> str:
        return f"{self._modules.taint | (TAINT_WARN if self._warnings() else 0)}\n"

    def _show_ftrace_enabled(self) -> str | int:
        if self._ftrace.disabled:
            return -ENODEV
        if bool(self._ftrace_enabled) != self._ftrace.enabled:
            self._ftrace_enabled = int(self._ftrace.enabled)  # switched otherwise than through this file
        return f"{self._ftrace_enabled}\n"

    def _store_ftrace_enabled(self, text: str) -> int:
        if self._ftrace.disabled:
            return -ENODEV
        if not text:
            return 0
        number = proc_dointvec(text)
        if number is None:
            return -EINVAL
        ret = self._ftrace.set_ftrace_enabled(on=bool(number[0]))
        self._ftrace_enabled = number[0]  # a refused 0 is not what the next reader gets: it reads 1
        return ret or number[1]


def module_line(module: Module) -> str:
    """Return a module's line of /proc/modules.

    All modules here are out of tree and not signed (``O``, ``E``), and none is known to use another.
    """
    taints = f"OE{'K' if module.livepatch else ''}{_STATE_FLAGS[module.state]}"
    return (
        f"{module.name} {module.size} {module.refs} - {_STATES[module.state]} {module.base:#018x} ({taints})"
    )
