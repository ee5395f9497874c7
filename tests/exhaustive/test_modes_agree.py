"""Fast mode and exact mode are one semantics: the same schedule gives the same rows, all of them."""

from __future__ import annotations

import numpy as np
import pytest

from emu.lab.machine import Machine
from emu.trace.run import Run
from tests.exhaustive.at_once import switch_at_once
from tests.exhaustive.schemes import SCHEMES, Scheme

pytestmark = pytest.mark.slow

TURNS = (1, 7, 50, 500, 3_000)
CASES = [
    *((scheme, seed, quantum, "random") for seed, quantum in enumerate(TURNS, 1) for scheme in SCHEMES),
    *((scheme, seed, quantum, "stale") for seed, quantum in ((6, 3_000), (7, 20)) for scheme in SCHEMES),
]


def play(
    mode: str, scheme: Scheme, *, seed: int, quantum: int, fetch: str
) -> tuple[Run, list[str], list[str]]:
    """Return the run of a machine that everything is done to, why it stopped each time, and its log."""
    machine = Machine(
        arch=scheme.arch, call_ops=scheme.call_ops, cpus=3, workers=2, users=1, mode=mode, schedule="quantum",
        quantum=quantum, seed=seed, fetch=fetch, ordering="sc",
    )  # fmt: skip
    switch_at_once(machine)
    stops = []

    def run(*, calls: int | None = None, instructions: int | None = None, cycles: int | None = None) -> None:
        report = machine.run(calls=calls, instructions=instructions, cycles=cycles)
        assert report.ok, report.lines()
        stops.append(report.reason.name)

    run(calls=150)
    mini = machine.livepatch.enable("livepatch-mini")
    assert machine.run(until=mini.settled).ok
    run(calls=60)
    assert machine.wait(machine.tracing.add("mini_leaf")) == 0
    run(instructions=5_003)
    assert machine.wait(machine.load("target")) == 0
    run(cycles=2_001)
    target = machine.livepatch.enable("livepatch-target")
    assert machine.run(until=target.settled).ok
    run(calls=60)
    mini.disable()
    assert machine.run(until=mini.settled).ok
    assert machine.wait(machine.tracing.remove("mini_leaf")) == 0
    run(instructions=1_000)
    target.disable()
    assert machine.run(until=target.settled).ok
    assert machine.wait(machine.unload("target")) == 0
    run(calls=40)
    assert (machine.bad_results(), machine.kernel.warnings()) == (0, 0)
    return machine.finish(), stops, machine.log


@pytest.mark.parametrize(("scheme", "seed", "quantum", "fetch"), CASES, ids=str)
def test_both_modes_record_the_same_calls_and_events(
    scheme: Scheme, seed: int, quantum: int, fetch: str
) -> None:
    exact, exact_stops, exact_log = play("exact", scheme, seed=seed, quantum=quantum, fetch=fetch)
    fast, fast_stops, fast_log = play("fast", scheme, seed=seed, quantum=quantum, fetch=fetch)

    assert (fast_stops, fast_log) == (exact_stops, exact_log)
    np.testing.assert_array_equal(np.asarray(fast.events), np.asarray(exact.events))
    np.testing.assert_array_equal(np.asarray(fast.calls), np.asarray(exact.calls))
    assert {int(kind) for kind in exact.calls["patch"]} == {0, 1, 2}
    assert fast.meta["instructions"] == exact.meta["instructions"]
