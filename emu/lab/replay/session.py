"""The machine that a record is replayed on, with the tasks that take part."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from emu.kernel.errno import ENOENT, error_name
from emu.kernel.sched import HZ
from emu.kernel.tasks import Task
from emu.lab.machine import Machine
from emu.lab.replay.plan import DRIVER, GATES, THREAD_PREFIX
from emu.lab.reply_words import spelled_reply
from emu.lab.userland import SETTLING, Process, Userland
from emu.structs import CALL_ENTRY, CONSTANTS

_COUNT_ARGUMENT = 5
"""What vic_count is called with."""
_NAP = 3
"""Ticks that a looping kernel thread sleeps between two calls. # assumed: the record does not tell"""
_BUSY_CPU = 1
"""Where those tasks run that sleep, loop and compute; others run on the patching CPU."""
_PATIENCE = HZ
"""Ticks that a call may take which nothing holds up: a second. # assumed: the record does not tell"""
_GATED = ("vic_wait", "vic_outer", "vic_pair", "vic_spin", "vic_gate_wait")


@dataclass(slots=True, kw_only=True)
class Caller:
    """A process that calls functions, and what it was told last.

    Args:
        process: it.
        function: what it calls, empty before it was told anything.
        gate: where that stops.
    """

    process: Process
    function: str = ""
    gate: int = 0


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
        self.spinners = {
            name: self.shell.process(name, cpu=_BUSY_CPU, entry="user_spin") for name in spinners
        }
        self.threads: list[KernelThread] = []
        self._logged = 0
        self.shell.settle()

    def log_since(self) -> list[str]:
        """Return the lines logged since this was asked last."""
        new = self.machine.log[self._logged :]
        self._logged += len(new)
        return new

    def await_transition(self, seconds: float) -> bool:
        """Wait for the transition under way to end; whether it has."""
        return self.shell.wait_for_transition(seconds)

    @property
    def in_transition(self) -> bool:
        """Whether one is under way."""
        return self.machine.livepatch.core.transition.patch is not None

    # --- calls ----------------------------------------------------------------------------------

    def find(self, function: str) -> int:
        """Return the address of a function of the kernel or a module, 0 if it is not there."""
        modules = [module.name for module in self.machine.modules.loaded() if not module.livepatch]
        for owner in (None, *modules):
            for symbol in self.machine.kallsyms.find(owner, function):
                return symbol.address
        return 0

    def reply(self, short: str) -> str:
        """Return what the function called ``short`` replies to an ordinary task, or -ENOENT."""
        function = self.full_name(short)
        return self.ask(self._driver, function) if function else error_name(-ENOENT)

    def full_name(self, short: str) -> str:
        """Return the name of the function that a record calls ``short``, "" if it is not there."""
        names = (short, f"vic_{short}", f"late_{short}", f"{short}_proc_show")
        return next((name for name in names if self.find(name)), "")

    def ask(self, caller: Caller, function: str, gate: int = 0) -> str:
        """Have a process call a function, and return its reply."""
        self.begin(caller, function, gate)
        return self.finish(caller)

    def begin(self, caller: Caller, function: str, gate: int, *, interruptible: bool = False) -> None:
        """Have a process call a function; through vic_show, as in the reference, when there is one."""
        address, show = self.find(function), self.find("vic_show")
        caller.function, caller.gate = function, gate
        arguments = _arguments(function, gate, interruptible=interruptible)
        if function.endswith("_proc_show"):
            caller.process.call(address, self.machine.kernel.image.address("call_buffer"))
        elif show:
            caller.process.call(show, address, *arguments)
        else:
            caller.process.call(address, *arguments)

    def finish(self, caller: Caller) -> str:
        """Run until a call of a process has returned, and return its reply; empty if it does not return."""
        waited = 0
        while caller.process.result() is None and waited < _PATIENCE:
            self.shell.settle()
            waited += SETTLING
        result = caller.process.result()
        return "" if result is None else self.spelled(caller.function, result)

    def spelled(self, function: str, result: int) -> str:
        """Return a result as the record has it."""
        return spelled_reply(
            function, result, patch_name=self.machine.livepatch.name_of, argument=_COUNT_ARGUMENT
        )

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
            if self.machine.kernel.task_field(thread.task, "state") == CONSTANTS["TASK_DEAD"]
        ]

    def _replies_to(self, thread: KernelThread) -> list[str]:
        calls = self.machine.trace.calls[thread.since :]
        own = calls[(calls["task"] == thread.task.index) & (calls["site"] == thread.site)]
        replies = (self.spelled(thread.function, int(result)) for result in own["result"])
        return [reply for reply, _ in groupby(replies)]

    # --- gates ----------------------------------------------------------------------------------

    def _gate(self, gate: int) -> int:
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
        load = self.machine.kernel.engine.memory.load
        return {gate for gate in range(GATES) if load(self._gate(gate))}

    def slept_at(self) -> set[int]:
        """Return the gates that a task sleeps at."""
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


def _arguments(function: str, gate: int, *, interruptible: bool) -> tuple[int, ...]:
    if function == "vic_count":
        return (_COUNT_ARGUMENT,)
    return (gate, int(interruptible)) if function in _GATED else ()
