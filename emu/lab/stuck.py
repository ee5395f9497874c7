"""Why a transition does not end: who has not switched, where each stands, and what would release it."""

from __future__ import annotations

from dataclasses import dataclass

from emu.kernel.kallsyms import Kallsyms
from emu.kernel.kernel import Kernel
from emu.kernel.sched import HZ, Sched
from emu.kernel.tasks import ON_GATE, Task
from emu.lab.forks import Fork, Forks
from emu.livepatch import Livepatch, PatchState, klp_check_stack
from emu.structs import CONSTANTS

_PENDING = CONSTANTS["TIF_PATCH_PENDING"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Straggler:
    """A task that holds a transition up.

    Args:
        comm, pid, cpu: which one it is.
        doing: what it does: runs, sleeps, or waits for its turn.
        stack: where it stands, newest first; a line that begins with ``?`` is not sure.
        function: the function that it must leave first, "" if there is none, or nobody can tell.
        remedy: what would release it.
        pending: whether it has TIF_PATCH_PENDING, and so knows that it should switch.
        fork: how it was made, if another task forked it.
    """

    comm: str
    pid: int
    cpu: int
    doing: str
    stack: tuple[str, ...]
    function: str
    remedy: str
    pending: bool = True
    fork: Fork | None = None

    @property
    def name(self) -> str:
        """Its name and pid."""
        return f"{self.comm} (pid {self.pid})"

    def lines(self) -> list[str]:
        """Return this for people."""
        head = f"{self.name} on CPU{self.cpu} {self.doing}"
        if self.function:
            head += f", inside {self.function}, which the patch changes"
        unasked = [] if self.pending else ["  TIF_PATCH_PENDING is clear: nothing asks it to switch"]
        made = [] if self.fork is None else [f"  {line}" for line in self.fork.lines()]
        stack = [f"    {place}" for place in self.stack]
        return [head, *stack, *unasked, *made, f"  released by: {self.remedy}"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck:
    """A transition that has not ended.

    Args:
        patch: its name.
        direction: "patching" or "unpatching".
        tasks: how many there are, idle ones among them.
        stragglers: who has not switched.
    """

    patch: str
    direction: str
    tasks: int
    stragglers: tuple[Straggler, ...]

    def lines(self) -> list[str]:
        """Return this for people."""
        count = len(self.stragglers)
        head = f"'{self.patch}': {self.direction} waits for {count} of {self.tasks} tasks"
        return [head, *(f"  {line}" for straggler in self.stragglers for line in straggler.lines())]


class WhyStuck:
    """Answers that question on one machine.

    Args:
        kernel, sched, klp, kallsyms, forks: of the machine.
    """

    def __init__(
        self, kernel: Kernel, sched: Sched, klp: Livepatch, kallsyms: Kallsyms, forks: Forks
    ) -> None:
        self._kernel, self._sched, self._klp, self._kallsyms = kernel, sched, klp, kallsyms
        self._forks = forks

    def ask(self) -> Stuck | None:
        """Return what the transition under way waits for now; None if there is none."""
        transition = self._klp.transition
        if transition.patch is None:
            return None
        everybody = [*self._sched.processes(), *self._sched.idle_tasks()]
        return Stuck(
            patch=self._klp.name_of(transition.patch),
            direction="patching" if transition.target is PatchState.PATCHED else "unpatching",
            tasks=len(everybody),
            stragglers=tuple(self._straggler(task) for task in transition.stragglers()),
        )

    def _straggler(self, task: Task) -> Straggler:
        running = self._sched.is_running(task)
        function = self._function_to_leave(task, running=running)
        reliable = running or not isinstance(self._sched.stack(task), int)
        return Straggler(
            comm=task.comm, pid=task.pid, cpu=task.cpu, doing=self._doing(task, running=running),
            stack=self._stack(task, running=running), function=function,
            remedy=self._remedy(task, running=running, reliable=reliable, function=function),
            pending=bool(self._kernel.task_field(task, "flags") >> _PENDING & 1), fork=self._forks.of(task),
        )  # fmt: skip

    def _function_to_leave(self, task: Task, *, running: bool) -> str:
        """Return the function that a task is inside of; where it runs, livepatch itself could not tell."""
        transition = self._klp.transition
        stack: list[int] | int
        if running:
            stack = list(self._kernel.unwinder.walk(task, self._registers(task)).entries)
        else:
            stack = self._sched.stack(task)
        if isinstance(stack, int) or transition.patch is None:
            return ""
        return klp_check_stack(
            self._kernel.guest, self._klp.patcher, transition.patch, stack,
            unpatching=transition.target is PatchState.UNPATCHED,
        )  # fmt: skip

    def _stack(self, task: Task, *, running: bool) -> tuple[str, ...]:
        registers = self._registers(task) if running else None
        return tuple(str(frame) for frame in self._kernel.unwinder.trace(task, registers))

    def _registers(self, task: Task) -> dict[str, int]:
        return self._kernel.registers_on_cpu(task)

    def _doing(self, task: Task, *, running: bool) -> str:
        if running:
            return "runs"
        state = self._kernel.task_field(task, "state")
        if state in ON_GATE:
            gate = self._kallsyms.with_offset(self._kernel.task_field(task, "gate"))
            how = "interruptibly " if state == CONSTANTS["TASK_ON_GATE_INTR"] else ""
            return f"sleeps {how}until {gate} is set"
        if state == CONSTANTS["TASK_TIMED"]:
            return f"sleeps until jiffies {self._kernel.task_field(task, 'wake_at'):_}"
        return "was preempted"

    def _remedy(self, task: Task, *, running: bool, reliable: bool, function: str) -> str:
        outside = "sleep or preemption outside of what the patch changes"
        way_out = "the end of its system call" if task.kind == "user" else outside
        if task.kind == "idle":
            return "a round of its idle loop: wake the CPU"
        if function and not running:
            asleep = self._kernel.task_field(task, "state") != CONSTANTS["TASK_RUNNING"]
            return f"its return from {function}" + ("; wake it if it sleeps for good" if asleep else "")
        if running:
            first = f"its return from {function}, then " if function else ""
            return (
                f"{first}{way_out}; klpemu's livepatch looks at it about every {HZ} ticks, "
                "and can only switch it while it does not run"
            )
        if not reliable:
            return f"a stack that can be read: it stands where frames can't be told; {way_out}"
        return "the next look at it, about a second after the last"
