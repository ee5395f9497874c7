"""Runs scenarios through the explorer, the short programs before the long ones."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

from emu.lab.explorer.judge import Found
from emu.lab.explorer.report import Report, Violation
from emu.ordering.budget import Budget
from emu.ordering.models import Model

_ENDLESS = Violation(what="no execution comes to an end: a CPU waits for ever", executions=0, schedule=())
"""Without it, nothing would be wrong in any of no executions."""


class Laboratory(Protocol):
    """A scenario on a machine, to be explored; see `LivepatchLaboratory` and `PokeLaboratory`."""

    @property
    def name(self) -> str:
        """Of the scenario."""

    @property
    def arch(self) -> str:
        """Port."""

    def programs(self, cpus: int) -> Sequence[Sequence[Sequence[str]]]:
        """Return what the dispatching CPUs do, the whole of it last, parts of that before."""

    def steps(self) -> list[str]:
        """Return what can be left out, by name."""

    def explore(
        self,
        model: Model,
        items: Sequence[Sequence[str]],
        *,
        dropped: frozenset[str] = frozenset(),
        budget: Budget,
    ) -> Found:
        """Return every outcome of programs."""


def explore_scenario(
    laboratory: Laboratory,
    model: Model,
    *,
    cpus: int = 1,
    dropped: Sequence[str] = (),
    budget: Budget | None = None,
) -> Report:
    """Return every outcome of a scenario, or the first violation met: in the shortest programs that have one.

    Args:
        laboratory: the scenario.
        model: of memory.
        cpus: dispatching CPUs.
        dropped: steps and barriers that are left out.
        budget: what it may take: executions for each program, all else together; None: what it needs.
    """
    budget = Budget() if budget is None else budget
    started = time.monotonic()
    report: Report | None = None
    for programs in laboratory.programs(cpus):
        found = laboratory.explore(model, programs, dropped=frozenset(dropped), budget=budget)
        exploration = found.exploration
        violations = found.violations()
        if exploration.complete and not exploration.executions:
            violations = (_ENDLESS,)
        report = Report(
            scenario=laboratory.name,
            arch=laboratory.arch,
            model=model.value,
            cpus=cpus,
            dropped=tuple(dropped),
            programs=" | ".join(", ".join(names) for names in programs),
            executions=exploration.executions,
            steps=exploration.steps,
            outcomes=found.endings(),
            violations=violations,
            complete=exploration.complete,
            stopped_by=exploration.stopped_by,
            seconds=time.monotonic() - started,
        )
        if report.violations or not report.complete:
            break
    assert report is not None, "every scenario has a program"
    return report
