"""What exploring a scenario gave."""

from __future__ import annotations

from dataclasses import dataclass, field

from emu.lab.explorer.timeline import Line

SCHEMA = "klpemu.explore/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """One way in which everything can end.

    Args:
        cpus: per CPU from 0 what it did, in a line.
        executions: how many executions end so.
    """

    cpus: tuple[str, ...]
    executions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """Something that must not be, and an execution in which it is.

    Args:
        what: it is.
        executions: how many executions have it.
        schedule: one of them.
    """

    what: str
    executions: int
    schedule: tuple[Line, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All outcomes of a scenario under a model, or a counterexample.

    Args:
        scenario, arch, model: what was explored.
        cpus: dispatching CPUs.
        dropped: what was left out.
        programs: what each dispatching CPU does.
        executions: how many there are.
        steps: decisions tried.
        outcomes: most frequent first.
        violations: shortest first.
        complete: whether nothing is missing.
        stopped_by: why not: ``time``, ``executions``, ``memory`` or ``paths``.
        seconds: it took.
    """

    scenario: str
    arch: str
    model: str
    cpus: int
    dropped: tuple[str, ...]
    programs: str
    executions: int
    steps: int
    outcomes: tuple[Ending, ...]
    violations: tuple[Violation, ...]
    complete: bool
    stopped_by: str
    seconds: float = field(compare=False)

    @property
    def holds(self) -> bool:
        """Whether everything has been looked at and nothing is wrong."""
        return self.complete and not self.violations

    def to_json(self) -> dict[str, object]:
        """Return the JSON document of the command line."""
        return {
            "schema": SCHEMA,
            "scenario": self.scenario,
            "arch": self.arch,
            "model": self.model,
            "cpus": self.cpus,
            "dropped": list(self.dropped),
            "programs": self.programs,
            "executions": self.executions,
            "steps": self.steps,
            "outcomes": [
                {
                    "cpus": {f"CPU{cpu}": text for cpu, text in enumerate(one.cpus)},
                    "executions": one.executions,
                }
                for one in self.outcomes
            ],
            "violations": [
                {
                    "what": one.what,
                    "executions": one.executions,
                    "schedule": [line.to_json() for line in one.schedule],
                }
                for one in self.violations
            ],
            "complete": self.complete,
            "stopped_by": self.stopped_by,
            "holds": self.holds,
            "seconds": round(self.seconds, 3),
        }
