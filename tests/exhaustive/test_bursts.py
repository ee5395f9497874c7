"""Bursts of random length on all other CPUs between any two operations of an installation."""

from __future__ import annotations

import numpy as np
import pytest

from emu.analysis.audit import audit
from emu.lab.machine import Machine
from emu.machine.state import Schedule, Stop
from tests.exhaustive.at_once import switch_at_once
from tests.exhaustive.schemes import SCHEMES, Scheme

pytestmark = pytest.mark.slow

CPUS = 3
POLICIES = ("random", "stale", "tail")


class Bursts:
    """A machine whose patching CPU plays single operations, and the others bursts of instructions between."""

    def __init__(self, scheme: Scheme, *, seed: int) -> None:
        self.machine = Machine(
            arch=scheme.arch, call_ops=scheme.call_ops, cpus=CPUS, workers=2, users=1, seed=seed,
            mode="exact", schedule="random", fetch=POLICIES[seed % len(POLICIES)], tick=1_200,
        )  # fmt: skip
        switch_at_once(self.machine)
        assert self.machine.run(calls=100).ok
        self.engine, self._random = self.machine.kernel.engine, np.random.default_rng(seed)
        self.engine.set_schedule(Schedule.SCRIPT)

    def run_until_idle(self) -> int:
        """Play every job that was asked for; return the number of operations."""
        installer, operations = self.machine.kernel.installer, 0
        for _ in range(100_000):
            if self.machine.livepatch.is_quiet():
                return operations
            others = 1 + self._random.permutation(CPUS - 1)
            turns = [(0, 400), *((int(cpu), int(self._random.integers(0, 250))) for cpu in others)]
            self.engine.script(turns)
            reason = self.engine.run()
            if reason is Stop.STEP:
                installer.step()
                operations += 1
                self.engine.script(turns[1:])
                reason = self.engine.run()
            assert reason is Stop.SCRIPT, self.machine.runner.explain(reason).lines()
        raise AssertionError(f"waits in {installer.waiting_for!r} for {installer.unmet()} for ever")

    def settle(self) -> None:
        """Let all go on by themselves for a while."""
        self.engine.set_schedule(Schedule.RANDOM)
        assert self.machine.run(calls=100).ok
        self.engine.set_schedule(Schedule.SCRIPT)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_no_call_runs_what_it_must_not(scheme: Scheme, seed: int) -> None:
    bursts = Bursts(scheme, seed=seed)
    machine = bursts.machine
    mini = machine.livepatch.enable("livepatch-mini")
    assert bursts.run_until_idle() > 1_000
    machine.load("target")
    machine.tracing.add("mini_leaf")
    both = machine.livepatch.enable("livepatch-both")
    bursts.run_until_idle()
    bursts.settle()
    for step in (mini.disable, lambda: machine.tracing.remove("mini_leaf"), both.disable):
        step()
        bursts.run_until_idle()
    bursts.settle()
    machine.unload("target")
    bursts.run_until_idle()

    assert (mini.result, both.result) == (0, 0)
    assert (machine.bad_results(), machine.kernel.warnings()) == (0, 0)
    found = audit(machine.finish())
    # tasks were switched wherever they stood, also between a look at their state and what came of it
    wrong = [finding for finding in found.findings if finding.rule != "state"]
    assert not wrong, wrong[:3]
    assert found.checked > 1_000
