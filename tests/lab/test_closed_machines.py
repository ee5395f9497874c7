"""A machine that was closed takes no memory once nobody holds it."""

from __future__ import annotations

import gc
import weakref

import pytest

from emu.lab.machine import Machine


def _run_until_the_job_waits(machine: Machine) -> None:
    for _ in range(500):
        machine.run(instructions=200)
        if machine.kernel.installer.waiting_for:
            return
    raise AssertionError("the job waits nowhere")


@pytest.mark.parametrize("mode", ["fast", "exact"])
def test_a_machine_closed_in_the_middle_of_a_patch_is_freed(mode: str) -> None:
    with Machine(cpus=2, mode=mode) as machine:
        machine.livepatch.enable("livepatch-mini")
        _run_until_the_job_waits(machine)
    engine = weakref.ref(machine.kernel.engine)
    del machine
    gc.collect()
    assert engine() is None


def test_a_job_that_cleans_up_by_an_operation_is_let_go_of() -> None:
    reached: list[str] = []

    def job() -> None:
        try:
            machine.kernel.guest.synchronize_rcu("here")
        finally:
            reached.append("cleaning")
            machine.kernel.guest.synchronize_rcu("here")
            reached.append("clean")

    with Machine(cpus=2) as machine:
        machine.kernel.installer.submit("job", job)
        _run_until_the_job_waits(machine)
    assert reached == ["cleaning"]
    assert not machine.kernel.installer.in_job
