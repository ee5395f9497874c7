"""What root would do at a shell of the guest: load modules, write files, run processes, let time pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from emu.errors import EmuError
from emu.kernel.errno import EEXIST, ENOENT
from emu.kernel.sched import HZ
from emu.kernel.tasks import ON_GATE, Task
from emu.lab.machine import Machine
from emu.lab.report import GuestStoppedError
from emu.structs import CALL_ENTRY

_CALL_ROW = 1  # of a process's table; row 0 waits for the request to make that call
_MOST_SECONDS = 60.0
"""Seconds of the guest after which a wait that has no end of its own is given up."""


SETTLING = 4
"""Timer ticks within which a task that was told something gets to where it sleeps or loops. # assumed"""


class NoEndError(EmuError):
    """Something in the guest takes too long."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} has not ended after {_MOST_SECONDS:g} s of the guest's time")
        self.what = what


class Process:
    """A user process that makes a call into the kernel whenever it is told to, and else sleeps.

    Attributes:
        comm: its name.
        task: its task.
    """

    def __init__(self, machine: Machine, task: Task) -> None:
        self._machine, self.comm, self.task = machine, task.comm, task
        self._told = 0

    def call(self, function: int, *args: int) -> None:
        """Have it call ``function``, which it does as soon as it runs; `result` tells when it is back."""
        assert self.result() is not None or not self._told, f"{self.comm} is busy"
        kernel = self._machine.kernel
        row = kernel.engine.memory.view(CALL_ENTRY, self._row())[0]
        row["fn"], row["result"] = function, 0
        row["args"] = 0
        row["args"][: len(args)] = args
        self._told = 1 + kernel.task_field(self.task, "calls_done") // 2
        kernel.wake(self.task, "request", 1)

    def result(self) -> int | None:
        """Return what the last call returned, a u64; None as long as it has not, or if there was none."""
        kernel = self._machine.kernel
        if not self._told or kernel.task_field(self.task, "calls_done") // 2 < self._told:
            return None
        return int(kernel.engine.memory.view(CALL_ENTRY, self._row())[0]["result"])

    def _row(self) -> int:
        return self._machine.kernel.call_tables.spare_table(self.task) + _CALL_ROW * CALL_ENTRY.size


class Userland:
    """Root's shell on a machine. Each method runs the machine until it is done.

    Args:
        machine: it; with `Machine` argument ``spare_tasks`` there is room for processes.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    # --- modules --------------------------------------------------------------------------------

    def insmod(self, module: str, parameters: Mapping[str, str] | None = None) -> int:
        """Load a module or patch module: 0 or a negative error. A transition may go on afterwards.

        One that is in no file there is is -ENOENT, as insmod has it from opening the file.
        """
        machine = self.machine
        if machine.modules.find(module) is not None:
            return -EEXIST
        if module in machine.manifest.patches:
            handle = machine.livepatch.enable(module)
            self._until(handle.answered, f"insmod {module}")
            return handle.result
        if module not in machine.manifest.modules:
            return -ENOENT
        return machine.wait(machine.load(module, parameters))

    def rmmod(self, module: str) -> int:
        """Unload a module or patch module: 0 or a negative error."""
        machine = self.machine
        if module in machine.manifest.patches:
            return machine.wait(machine.livepatch.unload(module))
        if machine.modules.find(module) is None:
            return -ENOENT
        return machine.wait(machine.unload(module))

    # --- files ----------------------------------------------------------------------------------

    def write(self, path: str, text: str, *, append: bool = False) -> int:
        """Write to a file of sysfs, /proc or tracefs: characters taken or a negative error.

        Args:
            path: absolute.
            text: all of it in one ``write``.
            append: as ``>>`` of a shell does it: what the file holds is not cleared before.
        """
        return self.machine.wait(self.machine.files.write(path, text, append=append))

    def read(self, path: str) -> str | int:
        """Return what a file holds, or a negative error."""
        return self.machine.files.read(path)

    def is_mounted(self, path: str) -> bool:
        """Whether a file system that the guest has is mounted there or above."""
        return self.machine.files.is_mounted(path)

    def listdir(self, path: str) -> list[str] | int:
        """Return the names in a directory, sorted, or a negative error."""
        return self.machine.files.tree(path).listdir(path)

    def modes(self, path: str) -> dict[str, int] | int:
        """Return the permission bits of every file below a directory, or a negative error."""
        return self.machine.files.tree(path).modes(path)

    # --- time -----------------------------------------------------------------------------------

    def sleep(self, seconds: float) -> None:
        """Let time of the guest pass."""
        due = self._jiffies() + round(seconds * HZ)
        self._until(lambda: self._jiffies() >= due, f"{seconds:g} s")

    def wait_for_transition(self, seconds: float = _MOST_SECONDS) -> bool:
        """Wait for the transition under way to end; whether it did within so many seconds of the guest."""
        due = self._jiffies() + round(seconds * HZ)
        transition = self.machine.livepatch.core.transition
        self._until(lambda: transition.patch is None or self._jiffies() >= due, "the transition")
        self._until(lambda: self.machine.kernel.installer.idle, "what follows the transition")
        return transition.patch is None

    # --- processes ------------------------------------------------------------------------------

    def process(self, comm: str, *, cpu: int, entry: str = "user_loop") -> Process:
        """Start a process that waits for calls to make."""
        kernel = self.machine.kernel
        wait = kernel.image.address("await_request")
        calls = [(wait, ()), (wait, ())]  # the second is exchanged for what it is told to call
        return Process(self.machine, kernel.spawn(comm, calls, cpu=cpu, entry=entry, forever=True))

    def finish(self, process: Process) -> int:
        """Run until a process's call has returned, and return its result."""
        self._until(lambda: process.result() is not None, f"the call of {process.comm}")
        result = process.result()
        assert result is not None, "that is what was waited for"
        return result

    def settle(self) -> None:
        """Run until every task that was told something has got as far as it can: all asleep or in a loop."""
        self.sleep(SETTLING / HZ)

    def sleeps_on_gate(self, task: Task) -> int:
        """Return the address of the word that a task sleeps on, 0 if it doesn't."""
        kernel = self.machine.kernel
        return kernel.task_field(task, "gate") if kernel.task_field(task, "state") in ON_GATE else 0

    # --- running --------------------------------------------------------------------------------

    def _until(self, done: Callable[[], bool], what: str) -> None:
        """Run, a tick at a time, until ``done``."""
        machine, last = self.machine, self._jiffies() + round(_MOST_SECONDS * HZ)
        while not done():
            if self._jiffies() > last:
                raise NoEndError(what)
            report = machine.run(cycles=machine.scenario.tick, until=done)
            if not report.ok:
                raise GuestStoppedError(what, report)

    def _jiffies(self) -> int:
        return self.machine.kernel.installer.jiffies()
