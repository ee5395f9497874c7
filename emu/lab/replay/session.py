"""The machine that a record is replayed on, with the tasks that take part."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from emu.errors import EmuError
from emu.kernel.errno import ENOENT, error_name
from emu.kernel.sched import HZ
from emu.kernel.tasks import Task
from emu.lab.machine import Machine
from emu.lab.replay.cast import DRIVER, GATES, THREAD_PREFIX
from emu.lab.reply_words import spelled_reply
from emu.lab.userland import SETTLING, Process, Userland
from emu.structs import CALL_ENTRY, CONSTANTS

LIVEPATCH = "/sys/kernel/livepatch"
_COUNT_ARGUMENT = 5
"""What vic_count is called with."""
_NAP = 3
"""Ticks that a looping kernel thread sleeps between two calls. # assumed: the record does not tell"""
_BUSY_CPU = 1
"""Where those tasks run that sleep, loop and compute; others run on the patching CPU."""
_PATIENCE = HZ
"""Ticks that a call may take which nothing holds up: a second. # assumed: the record does not tell"""
_GATED = ("vic_wait", "vic_outer", "vic_pair", "vic_spin", "vic_gate_wait")


class CannotCallError(EmuError):
    """A task can't be told to call a function, or told anything."""

    def __init__(self, task: str, function: str, problem: str) -> None:
        super().__init__(f"{task} can't call {function or 'anything'}: {problem}")
        self.task, self.function, self.problem = task, function, problem


@dataclass(slots=True, kw_only=True)
class Caller:
    """A process that calls functions, and what it was told last.

    Args:
        process: it.
        function: what it calls, empty before it was told anything.
        gate: where that stops.
        argument: for vic_count.
        told: whether it was told anything.
    """

    process: Process
    function: str = ""
    gate: int = 0
    argument: int = _COUNT_ARGUMENT
    told: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelThread:
    """A kernel thread that calls a function.

    Args:
        name: without its prefix.
        task: it.
        function: what it calls.
        gate: where it stops; a looping one ends when that is opened.
        loops: whether it calls again and again.
        site: address of the function.
        since: traced calls that had been recorded when it was started.
    """

    name: str
    task: Task
    function: str
    gate: int
    loops: bool
    site: int
    since: int


class Session:
    """The machine, its shell, and the tasks that take part.

    Args:
        machine: with image ``reference``, and room for tasks.
        callers: processes to start.
        spinners: processes to start that compute in user mode.
    """

    def __init__(self, machine: Machine, *, callers: tuple[str, ...], spinners: tuple[str, ...]) -> None:
        self.machine, self.shell = machine, Userland(machine)
        self._driver = Caller(process=self.shell.process(DRIVER, cpu=0))
        self.callers = {name: Caller(process=self.shell.process(name, cpu=_BUSY_CPU)) for name in callers}
        self.spinners: dict[str, Process] = {}
        for name in spinners:
            self.start_spinner(name)
        self.threads: list[KernelThread] = []
        self._logged = 0
        self.shell.settle()

    def log_since(self) -> list[str]:
        """Return the lines logged since this was asked last."""
        new = self.machine.log[self._logged :]
        self._logged += len(new)
        return new

    def has_logged(self, line: str) -> bool:
        """Whether a line was logged since `log_since` was asked last."""
        return line in self.machine.log[self._logged :]

    @property
    def will_signal(self) -> bool:
        """Whether the transition under way sends fake signals at its next try, and says so."""
        return self.in_transition and self.machine.livepatch.core.transition.next_try_signals

    @property
    def patch_under_way(self) -> str:
        """Name of the patch in transition, "" if none is."""
        patches = self.shell.listdir(LIVEPATCH)
        names = patches if isinstance(patches, list) else []
        return next((n for n in names if self.shell.read(f"{LIVEPATCH}/{n}/transition") == "1\n"), "")

    def await_transition(self, seconds: float) -> bool:
        """Wait for the transition under way to end; whether it has."""
        return self.shell.wait_for_transition(seconds)

    @property
    def in_transition(self) -> bool:
        """Whether one is under way."""
        return self.machine.livepatch.core.transition.patch is not None

    def start_spinner(self, name: str) -> None:
        """Start a process that computes in user mode, if it does not run yet."""
        if name not in self.spinners:
            self.spinners[name] = self.shell.process(name, cpu=_BUSY_CPU, entry="user_spin")

    # --- calls ----------------------------------------------------------------------------------

    def find(self, function: str) -> int:
        """Return the address of a function of the kernel or a module, 0 if it is not there."""
        modules = [module.name for module in self.machine.modules.loaded() if not module.livepatch]
        for owner in (None, *modules):
            for symbol in self.machine.kallsyms.find(owner, function):
                return symbol.address
        return 0

    def full_name(self, short: str) -> str:
        """Return the name of the function that is called ``short``, "" if there is none."""
        names = [short, f"vic_{short}", f"late_{short}", f"{short}_proc_show"]
        return next((name for name in names if self.find(name)), "")

    def reply(self, short: str, *, argument: int = _COUNT_ARGUMENT) -> str:
        """Return what the function called ``short`` replies to an ordinary task, or -ENOENT.

        Args:
            short: its name, or the end of it.
            argument: for vic_count.
        """
        function = self.full_name(short)
        gate = max(self.open_gates(), default=-1) if function in _GATED else 0
        if gate < 0:
            raise CannotCallError(DRIVER, function, "no gate is open, it would never return")
        return self.ask(self._driver, function, gate, argument=argument) if function else error_name(-ENOENT)

    def ask(self, caller: Caller, function: str, gate: int = 0, *, argument: int = _COUNT_ARGUMENT) -> str:
        """Have a process call a function, and return its reply."""
        self.begin(caller, function, gate, argument=argument)
        return self.finish(caller)

    def begin(
        self,
        caller: Caller,
        function: str,
        gate: int,
        *,
        interruptible: bool = False,
        argument: int = _COUNT_ARGUMENT,
    ) -> None:
        """Have a process call a function; through vic_show, as in the reference, when there is one.

        Raises:
            CannotCallError: it has not come back from its last call, or there is no such function.
        """
        address, show = self.find(function), self.find("vic_show")
        if self.is_busy(caller):
            problem = f"it has not come back from {caller.function}"
            raise CannotCallError(caller.process.comm, function, problem)
        if not address:
            raise CannotCallError(caller.process.comm, function, "there is no such function now")
        caller.function, caller.gate, caller.argument, caller.told = function, gate, argument, True
        arguments = _arguments(function, gate, interruptible=interruptible, argument=argument)
        if function.endswith("_proc_show"):
            caller.process.call(address, self.machine.kernel.image.address("call_buffer"))
        elif show:
            caller.process.call(show, address, *arguments)
        else:
            caller.process.call(address, *arguments)

    def is_busy(self, caller: Caller) -> bool:
        """Whether a process has not come back from what it was told to call."""
        return caller.told and caller.process.result() is None

    def finish(self, caller: Caller) -> str:
        """Run until a call of a process has returned, and return its reply; empty if it does not return."""
        waited = 0
        while caller.process.result() is None and waited < _PATIENCE:
            self.shell.settle()
            waited += SETTLING
        result = caller.process.result()
        return "" if result is None else self.spelled(caller.function, result, argument=caller.argument)

    def spelled(self, function: str, result: int, *, argument: int = _COUNT_ARGUMENT) -> str:
        """Return a result as the record has it."""
        return spelled_reply(function, result, patch_name=self.machine.livepatch.name_of, argument=argument)

    def end_spin(self, name: str) -> str:
        """Have a process that computes in user mode come to its end; what it replies then."""
        kernel, task = self.machine.kernel, self.spinners[name].task
        kernel.engine.memory.store(task.user_stack[1] - 8, 1)
        self.shell.settle()
        return "spun" if self.shell.sleeps_on_gate(task) else ""

    # --- kernel threads -------------------------------------------------------------------------

    def start_thread(
        self, name: str, function: str, gate: int, *, loops: bool, interruptible: bool = False
    ) -> None:
        """Start a kernel thread that calls a function, once or again and again."""
        kernel, address = self.machine.kernel, self.find(function)
        if not address:
            raise CannotCallError(THREAD_PREFIX + name, function, "there is no such function now")
        if any(thread.name == name and self._lives(thread) for thread in self.threads):
            raise CannotCallError(THREAD_PREFIX + name, function, "a kernel thread of that name runs already")
        arguments = _arguments(function, gate, interruptible=interruptible)
        calls = [(self.find("vic_show"), (address, *arguments))]
        if loops:
            calls.append((kernel.image.address("mini_sleep"), (_NAP,)))
        since = len(self.machine.trace.calls)
        task = kernel.spawn(THREAD_PREFIX + name, calls, cpu=_BUSY_CPU, forever=loops)
        thread = KernelThread(
            name=name, task=task, function=function, gate=gate, loops=loops, site=address, since=since
        )
        self.threads.append(thread)
        self.shell.settle()

    def thread_results(self) -> list[str]:
        """Return what the kernel threads that have ended were told, each change of it."""
        return [
            f"kthread {thread.name}: {' > '.join(self._replies_to(thread))}"
            for thread in self.threads
            if not self._lives(thread)
        ]

    def _lives(self, thread: KernelThread) -> bool:
        return self.machine.kernel.task_field(thread.task, "state") != CONSTANTS["TASK_DEAD"]

    def _replies_to(self, thread: KernelThread) -> list[str]:
        calls = self.machine.trace.calls[thread.since :]
        own = calls[(calls["task"] == thread.task.index) & (calls["site"] == thread.site)]
        replies = (self.spelled(thread.function, int(result)) for result in own["result"])
        return [reply for reply, _ in groupby(replies)]

    # --- gates ----------------------------------------------------------------------------------

    @property
    def _has_gates(self) -> bool:
        return self.machine.modules.find("viccore") is not None

    def _gate(self, gate: int) -> int:
        if not self._has_gates or gate >= GATES:
            raise CannotCallError("viccore", f"gate {gate}", "there is no such gate")
        return self.machine.loader.image("viccore").address("vic_gates") + 8 * gate

    def set_gate(self, gate: int, *, is_open: bool) -> None:
        """Open or close a gate; a kernel thread that loops until it is open ends."""
        kernel = self.machine.kernel
        kernel.engine.memory.store(self._gate(gate), int(is_open))
        for thread in self.threads:
            if thread.loops and thread.gate == gate and is_open:
                row = kernel.engine.memory.view(CALL_ENTRY, kernel.call_tables.spare_table(thread.task))[0]
                row["fn"] = kernel.image.address("do_exit")
        self.shell.settle()

    def open_gates(self) -> set[int]:
        """Return the gates that are open."""
        if not self._has_gates:
            return set()
        load = self.machine.kernel.engine.memory.load
        return {gate for gate in range(GATES) if load(self._gate(gate))}

    def slept_at(self) -> set[int]:
        """Return the gates that a task sleeps at."""
        if not self._has_gates:
            return set()
        words = {self._gate(gate): gate for gate in range(GATES)}
        asleep = [self.shell.sleeps_on_gate(task) for task in self.tasks().values()]
        return {words[word] for word in asleep if word in words}

    def task(self, name: str) -> Task | None:
        """Return a task by the name that the record has for it."""
        return self._driver.process.task if name == DRIVER else self.tasks().get(name)

    def tasks(self) -> dict[str, Task]:
        """Return the tasks of the record, by the names it has for them."""
        return {
            **{name: caller.process.task for name, caller in self.callers.items()},
            **{name: process.task for name, process in self.spinners.items()},
            **{thread.task.comm: thread.task for thread in self.threads},
        }


def _arguments(
    function: str, gate: int, *, interruptible: bool, argument: int = _COUNT_ARGUMENT
) -> tuple[int, ...]:
    if function == "vic_count":
        return (argument,)
    return (gate, int(interruptible)) if function in _GATED else ()
