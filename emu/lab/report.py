"""What a stopped guest did, in words: where, on which CPU and task, and the likely cause."""

from __future__ import annotations

from dataclasses import dataclass, field

from emu.errors import EmuError
from emu.kernel.installer import PATCHING_CPU
from emu.kernel.kernel import Kernel
from emu.lab.faults import Faults
from emu.lab.stuck import Stuck
from emu.lab.whereabouts import Whereabouts
from emu.machine.memory import GuestAddressError
from emu.machine.state import Stop
from emu.units import counted, unsigned64

NORMAL = frozenset({Stop.CALLS, Stop.BREAK, Stop.SCRIPT})
"""Stops that are what the caller asked for; everything else is reported."""

_CPUS_SHOWN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class StopReport:
    """Why the machine stopped.

    Args:
        reason: the machine's word for it.
        ok: whether that is what was asked for.
        cpu: number, -1 when it concerns none.
        pc: guest address, 0 when it concerns none.
        where: symbol, file and line of it.
        task: name and pid of the current task.
        what: one sentence.
        details: further lines: the likely cause, what was under way, registers.
    """

    reason: Stop
    ok: bool
    cpu: int = -1
    pc: int = 0
    where: str = ""
    task: str = ""
    what: str = ""
    details: tuple[str, ...] = field(default_factory=tuple)

    def lines(self) -> list[str]:
        """Return the report as text."""
        if self.ok:
            return [f"stopped: {self.reason.name.lower()}"]
        place = f" on CPU{self.cpu}, task {self.task}, at {self.where}" if self.cpu >= 0 else ""
        return [f"{self.what}{place}", *(f"  {line}" for line in self.details)]


def stuck_report(stuck: Stuck, *, seconds: int) -> StopReport:
    """Return the report of a transition that has taken so many seconds of the guest and more."""
    what = f"'{stuck.patch}': {stuck.direction} has not ended within {seconds} s of the guest's time"
    if not stuck.stragglers:
        return StopReport(reason=Stop.INSTRUCTIONS, ok=False, what=what, details=tuple(stuck.lines()))
    first = stuck.stragglers[0]
    return StopReport(
        reason=Stop.INSTRUCTIONS,
        ok=False,
        cpu=first.cpu,
        where=first.stack[0] if first.stack else "user text",
        task=first.name,
        what=f"{what}; the first to wait for is",
        details=tuple(stuck.lines()),
    )


class GuestStoppedError(EmuError):
    """The guest stopped before what was waited for."""

    def __init__(self, what: str, report: StopReport) -> None:
        super().__init__(f"{what} did not finish: {'; '.join(report.lines())}")
        self.report = report


class Reporter:
    """Explains stops of one machine.

    Args:
        kernel: the machine.
        whereabouts: names places on it.
        faults: explains faults on it.
    """

    def __init__(self, kernel: Kernel, whereabouts: Whereabouts, faults: Faults) -> None:
        self._kernel, self._whereabouts, self._faults = kernel, whereabouts, faults

    def report(self, reason: Stop, *, nowhere_for: int = 0) -> StopReport:
        """Return the report of a stop that has just happened.

        Args:
            reason: the machine's word for it.
            nowhere_for: instructions since the guest last got anywhere, of ``Stop.INSTRUCTIONS``.
        """
        if reason is Stop.INSTRUCTIONS:
            return self._hang(nowhere_for)
        cpu = self._kernel.engine.stopped_cpu
        if cpu < 0:
            what, causes = self._faults.explain(reason, cpu, 0)
            details = (*causes, *self._waits(), *self._all_cpus())
            return StopReport(reason=reason, ok=reason in NORMAL, what=what, details=details)
        what, causes = self._faults.explain(reason, cpu, self._whereabouts.pc(cpu))
        return self._at(reason, cpu, what, [*causes, *self._waits()])

    def broken_structure(self, error: GuestAddressError) -> StopReport:
        """Return the report of an installation that was led out of memory, so can't go on."""
        address = unsigned64(error.address)
        what = f"'{self._kernel.installer.current}' followed a pointer to {address:#x}, where nothing is"
        cause = "a kernel structure that it walks has been overwritten"
        return self._at(Stop.FAULT, PATCHING_CPU, what, [cause, *self._all_cpus()])

    def _at(self, reason: Stop, cpu: int, what: str, causes: list[str]) -> StopReport:
        whereabouts = self._whereabouts
        pc = whereabouts.pc(cpu)
        return StopReport(
            reason=reason,
            ok=False,
            cpu=cpu,
            pc=pc,
            where=whereabouts.place(pc),
            task=whereabouts.task_name(cpu),
            what=what,
            details=(*causes, *whereabouts.under_way(cpu), *whereabouts.registers(cpu)),
        )

    # --- guests that get nowhere ------------------------------------------------------------------

    def _hang(self, instructions: int) -> StopReport:
        installer, time = self._kernel.installer, f"for {instructions:_} instructions"
        if installer.waiting_for:
            what = f"the installation has waited in '{installer.waiting_for}' {time}"
        elif not installer.idle:
            what = f"the installation has not come to its end {time}"
        else:
            what = f"no traced call has returned {time}: the guest may loop for ever"
        return self._at(Stop.INSTRUCTIONS, self._culprit(), what, [*self._waits(), *self._all_cpus()])

    def _culprit(self) -> int:
        """Return the CPU that the installation waits for, else one that is at work."""
        unmet, whereabouts = self._kernel.installer.unmet(), self._whereabouts
        for cpu in range(self._kernel.cpus):
            if f"CPU{cpu}" in unmet or whereabouts.task_name(cpu) in unmet:
                return cpu
        stopped = self._kernel.engine.stopped_cpu
        busy = [cpu for cpu in range(self._kernel.cpus) if whereabouts.is_at_work(cpu)]
        return stopped if stopped in busy or not busy else busy[0]

    def _all_cpus(self) -> list[str]:
        cpus = range(self._kernel.cpus)
        more = [f"and {counted(len(cpus) - _CPUS_SHOWN, 'more CPU')}"] if len(cpus) > _CPUS_SHOWN else []
        return [self._whereabouts.of_cpu(cpu) for cpu in cpus[:_CPUS_SHOWN]] + more

    def _waits(self) -> list[str]:
        installer = self._kernel.installer
        if not installer.waiting_for:
            return []
        blockers = ", ".join(installer.unmet()) or "nobody"
        return [f"the installation waits in '{installer.waiting_for}' for {blockers}"]
