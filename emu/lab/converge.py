"""How long a transition takes: one scenario under many seeds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from emu.analysis.names import version_names
from emu.lab.run import run_scenario
from emu.lab.scenario import Scenario, ScenarioError, Step
from emu.trace.run import Run
from emu.trace.schema import EventKind


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Convergence:
    """What a patch took to be enabled.

    Args:
        patch: its name.
        cycles: from ENABLE to SETTLED, shape ``(n,)``, in order of seeds, those that never settled left out.
        never: the seeds of those.
    """

    patch: str
    cycles: NDArray[np.uint64]
    never: tuple[int, ...]

    def percentiles(self, *wanted: float) -> dict[float, int]:
        """Return the cycles within which so many per cent of the settled ones did, by that per cent."""
        found = np.percentile(self.cycles, wanted, method="inverted_cdf") if len(self.cycles) else ()
        return {percent: int(cycles) for percent, cycles in zip(wanted, found, strict=False)}


def converge(scenario: Scenario, seeds: Iterable[int], *, patch: str = "") -> Convergence:
    """Run ``scenario`` under each of ``seeds``, up to where a patch is enabled, and measure that.

    Args:
        scenario: what to run; its own seed does not count.
        seeds: of the runs.
        patch: which enabling; "" = the first.

    Raises:
        ScenarioError: it enables no such patch.
        EmuError: see `run_scenario`.
    """
    name, until = _up_to(scenario, patch)
    cycles, never = [], []
    for seed in seeds:
        took = _time_to_settle(run_scenario(replace(until, seed=seed)).run, name)
        if took is None:
            never.append(seed)
        else:
            cycles.append(took)
    return Convergence(patch=name, cycles=np.array(cycles, np.uint64), never=tuple(never))


def _up_to(scenario: Scenario, patch: str) -> tuple[str, Scenario]:
    """Return the patch and the part of the scenario that ends with its enabling."""
    for at, step in enumerate(scenario.steps):
        if step.action == "enable" and patch in ("", step.subject):
            steps: tuple[Step, ...] = scenario.steps[: at + 1]
            return step.subject, replace(scenario, steps=steps, calls=max(step.after_calls, 1))
    raise ScenarioError(scenario.origin, "steps", f"nothing enables {patch or 'a patch'}")


def _time_to_settle(run: Run, patch: str) -> int | None:
    events, number = run.events, version_names(run.meta).index(patch)
    begun = events[(events["kind"] == EventKind.ENABLE) & (events["a"] == number)]
    settled = events[(events["kind"] == EventKind.SETTLED) & (events["a"] == number)]
    return int(settled["cycle"][0] - begun["cycle"][0]) if len(begun) and len(settled) else None
