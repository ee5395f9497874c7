"""A kernel of any number of CPUs boots, and its tasks run on each."""

from __future__ import annotations

import pytest

from emu.arch import Port
from emu.trace.schema import EventKind
from tests.conformance.bench import Bench
from tests.conformance.setups import Setup


@pytest.fixture(params=[(1, "fast"), (1, "exact"), (2, "exact"), (4, "fast"), (64, "fast")], ids=str)
def booted(port: Port, request: pytest.FixtureRequest) -> Bench:
    """A machine that has run for a while."""
    cpus, mode = request.param
    bench = Bench(Setup(port=port, mode=mode), cpus=cpus, tick=2_000)
    bench.run(40 * cpus)
    return bench


class TestBoot:
    """Every CPU comes up, runs its tasks, and idles when there is nothing to run."""

    def test_every_cpu_is_up_and_everybody_works(self, booted: Bench) -> None:
        kernel = booted.machine.kernel
        booted.run_cycles(20_000)
        trace = booted.machine.trace
        for cpu in range(kernel.cpus):
            assert booted.percpu(cpu, "online") == 1
            assert booted.percpu(cpu, "cpu_number") == cpu
            assert booted.percpu(cpu, "self") == kernel.percpu[cpu]
            assert booted.percpu(cpu, "jiffies") > 0
            assert booted.percpu(cpu, "sched_count") > 0
            assert booted.percpu(cpu, "rcu_qs") > 0
        callers = {task.index for task in kernel.tasks if task.comm.startswith(("worker/", "user/"))}
        assert set(trace.calls["task"].tolist()) == callers
        for task in kernel.tasks:
            if task.index in callers:
                assert set(trace.calls["cpu"][trace.calls["task"] == task.index].tolist()) == {task.cpu}
                assert kernel.task_field(task, "calls_done") > 0
        booted.assert_results(trace.calls)

    def test_cpus_without_work_are_idle_and_wake_up_again(self, port: Port) -> None:
        bench = Bench(Setup(port=port, mode="fast"), cpus=4, workers=1, users=0, tick=3_000)
        bench.run(400)
        events = bench.machine.trace.events
        switched_to = events[events["kind"] == EventKind.SWITCH]["task"]
        # while a CPU's only worker sleeps, its idle task runs: rows 0 to 3
        assert {0, 1, 2, 3} <= set(switched_to.tolist())
        assert len(bench.run(400)), "and the worker goes on"

    def test_a_machine_without_tick_still_makes_calls(self, setup: Setup) -> None:
        bench = Bench(setup, cpus=1, tick=0, users=0)
        bench.machine.kernel.offer_calls([
            (call, bench.machine.kernel.image.address(call.fn))
            for call in bench.machine.manifest.calls
            if call.fn != "mini_sleep"
        ])  # fmt: skip
        bench.assert_results(bench.run(50))

    def test_same_seed_same_trace(self, setup: Setup) -> None:
        digests = []
        for seed in (7, 7, 8):
            bench = Bench(setup, seed=seed)
            bench.run(100)
            handle = bench.enable("livepatch-sample")
            bench.run(100)
            bench.disable(handle)
            digests.append(bench.machine.finish().meta["digest"])
        assert digests[0] == digests[1] != digests[2]
