"""CPUs without a tick, and transitions that take too long."""

from __future__ import annotations

import re

import pytest

from emu.arch import PORTS
from emu.lab.machine import Machine
from emu.machine.state import Stop
from emu.structs import PERCPU

parametrize_arch = pytest.mark.parametrize("arch", PORTS)


def jiffies(machine: Machine, cpu: int) -> int:
    return machine.kernel.engine.memory.load(machine.kernel.percpu[cpu] + PERCPU.offset("jiffies"))


@parametrize_arch
@pytest.mark.parametrize("mode", ["fast", "exact"])
def test_a_cpu_without_a_tick_gets_none_and_the_others_do(arch: str, mode: str) -> None:
    with Machine(arch=arch, cpus=3, tick=500, tickless=[1], mode=mode) as machine:
        assert machine.run(calls=2_000).ok
        assert jiffies(machine, 1) == 0
        assert min(jiffies(machine, 0), jiffies(machine, 2)) > 10


@parametrize_arch
def test_a_task_that_never_enters_the_kernel_holds_no_grace_period_up_there(arch: str) -> None:
    options = {"cpus": 2, "workers": 0, "users": 0, "spare_tasks": 2, "tick": 500, "tickless": [1]}
    with Machine(arch=arch, **options) as machine:  # type: ignore[arg-type]
        task = machine.kernel.spawn("busy", [], cpu=1, entry="user_spin")
        machine.run(cycles=5_000)
        assert machine.kernel.grace_periods.in_user_text(1)
        switches = machine.kernel.task_field(task, "nvcsw")
        guest = machine.kernel.guest

        def wait() -> int:
            guest.synchronize_rcu("rcu")
            guest.synchronize_rcu_tasks("tasks")
            return 0

        assert machine.wait(machine.kernel.installer.submit("wait", wait)) == 0
        assert machine.kernel.task_field(task, "nvcsw") == switches


class TestPatience:
    """Waiting for a transition that gets nowhere ends in a report."""

    def run(self, *, patience: int) -> tuple[Machine, str]:
        machine = Machine(cpus=2, workers=0, users=1, spare_tasks=2, tick=500, patience=patience)
        sleep = machine.kernel.image.address("mini_sleep")
        machine.kernel.spawn("sleeper", [(sleep, (1_000,))], cpu=1)
        assert machine.run(calls=200).ok
        report = machine.run(until=machine.livepatch.enable("livepatch-mini").settled)
        assert report.ok == (report.reason is Stop.BREAK)
        return machine, "\n".join(report.lines())

    def test_it_names_whom_to_wait_for(self) -> None:
        machine, text = self.run(patience=3)
        assert re.match(
            r"'livepatch-mini': patching has not ended within 3 s of the guest's time; the first to wait for "
            r"is on CPU1, task sleeper \(pid \d+\), at \S+schedule",
            text,
        )
        assert "sleeps until jiffies 1_0" in text
        assert "inside mini_sleep, which the patch changes" in text
        assert machine.stopped is not None
        assert machine.stopped.reason is Stop.INSTRUCTIONS

    def test_it_goes_on_as_long_as_it_was_told(self) -> None:
        _, text = self.run(patience=15)
        assert text == "stopped: break"

    def test_runs_with_an_end_of_their_own_do_not_care(self) -> None:
        machine, _ = self.run(patience=1)
        assert machine.run(calls=5_000).ok
        assert machine.run(cycles=500_000).ok
