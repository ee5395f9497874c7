"""What is needed for what: every step and barrier of scenarios is left out, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from emu.errors import UnknownNameError
from emu.lab.explorer.report import Report, Violation
from emu.lab.explorer.run import Laboratory, explore_scenario
from emu.ordering.budget import Budget
from emu.ordering.memory_use import NO_LIMIT, MemoryLimit
from emu.ordering.models import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """One step, left out on one port.

    Args:
        step: its name.
        arch: port.
        needed: whether something goes wrong without it; None: a budget ran out before that was known.
        scenario: in which something does, "" if in none.
        violation: what.
        executions: of all scenarios explored without it.
    """

    step: str
    arch: str
    needed: bool | None
    scenario: str
    violation: Violation | None
    executions: int

    def to_json(self) -> dict[str, object]:
        """Return it for JSON."""
        return {
            "step": self.step,
            "arch": self.arch,
            "needed": self.needed,
            "scenario": self.scenario,
            "what": "" if self.violation is None else self.violation.what,
            "schedule": []
            if self.violation is None
            else [line.to_json() for line in self.violation.schedule],
            "executions": self.executions,
            "complete": self.needed is not None,
        }


def check_steps(laboratory: Laboratory, steps: Sequence[str]) -> None:
    """Raise `UnknownNameError` if a scenario has no step of one of these names."""
    known = laboratory.steps()
    for step in steps:
        if step not in known:
            raise UnknownNameError(f"step of {laboratory.name} on {laboratory.arch}", step, known)


def mutate(
    laboratories: Sequence[Laboratory],
    model: Model,
    *,
    cpus: int = 1,
    seconds: float | None = None,
    memory: MemoryLimit = NO_LIMIT,
    tell: Callable[[str], None] = lambda _line: None,
) -> Iterator[Mutation]:
    """Yield every step of the scenarios with whether it is needed, all scenarios of one port.

    Args:
        laboratories: the scenarios.
        model: of memory.
        cpus: dispatching CPUs.
        seconds: what each exploration may take.
        memory: limit to what the process has in use.
        tell: is told what is explored now.
    """
    steps = dict.fromkeys(step for laboratory in laboratories for step in laboratory.steps())
    for step in steps:
        executions, decided, found = 0, True, None
        for laboratory in laboratories:
            if step not in laboratory.steps():
                continue
            tell(f"{laboratory.arch}: {laboratory.name} without {step}")
            budget = Budget(seconds=seconds, memory=memory)
            report = explore_scenario(laboratory, model, cpus=cpus, dropped=(step,), budget=budget)
            executions += report.executions
            decided = decided and (report.complete or bool(report.violations))
            if report.violations:
                found = report
                break
        yield _mutation(step, laboratories[0].arch, executions, decided, found)


def _mutation(step: str, arch: str, executions: int, decided: bool, found: Report | None) -> Mutation:
    needed = True if found is not None else False if decided else None
    return Mutation(
        step=step,
        arch=arch,
        needed=needed,
        scenario="" if found is None else found.scenario,
        violation=None if found is None else found.violations[0],
        executions=executions,
    )
