"""Patches at random for a million calls: each call right, everything back at the end, the same every time."""

from __future__ import annotations

import numpy as np
import pytest

from emu import Machine
from emu.analysis import audit
from emu.arch import PORTS
from emu.build.memory_map import KERNEL_TEXT
from emu.lab.stress import Stress
from emu.trace.schema import CallFlag

CPUS, WORKERS, USERS = 8, 4, 4
TICK = 500
"""Cycles; a second of the guest is short then, and with it the time between two tries to complete."""


def stressed(arch: str, *, seed: int, calls: int) -> Machine:
    """Return a machine behind a stress run, and check what must hold after any."""
    machine = Machine(arch=arch, cpus=CPUS, workers=WORKERS, users=USERS, seed=seed, tick=TICK)
    memory, live = machine.kernel.engine.memory, machine.kernel.heap.live()
    text = memory.read(KERNEL_TEXT.base, KERNEL_TEXT.size)
    done = Stress(machine, seed=seed).run(calls)
    assert min(done.actions.values()) > 0, "every kind of action was done"
    assert done.settled >= done.actions["enable"]
    assert machine.bad_results() == 0
    assert machine.kernel.warnings() == 0
    assert machine.kernel.heap.live() == live
    assert memory.read(KERNEL_TEXT.base, KERNEL_TEXT.size) == text
    assert all(machine.kernel.task_field(task, "patch_state") >> 63 for task in machine.kernel.tasks)
    return machine


@pytest.mark.parametrize("arch", PORTS)
def test_a_million_calls_run_one_consistent_version_each(arch: str) -> None:
    machine = stressed(arch, seed=1, calls=1_000_000)
    found = audit(machine.trace)
    assert found.passed, found.findings[:3]
    assert found.checked >= 1_000_000
    in_transition = machine.trace.calls["flags"] & CallFlag.TRANSITION != 0
    states = machine.trace.calls["patch_state"][in_transition]
    assert {0, 1} <= set(states.tolist()), "tasks of both sides made calls"


@pytest.mark.parametrize("arch", PORTS)
def test_the_same_seed_gives_the_same_run(arch: str) -> None:
    first, second = (stressed(arch, seed=5, calls=100_000) for _ in range(2))
    assert np.array_equal(first.trace.calls, second.trace.calls)
    assert first.log == second.log
