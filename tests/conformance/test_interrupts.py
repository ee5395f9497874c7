"""Interrupts and preemption may come at any instruction of an entry site, a trampoline or a handler."""

from __future__ import annotations

import pytest

from emu.machine.state import IRQ_RESCHEDULE, IRQ_TIMER
from tests.conformance.bench import PATCHES, Bench
from tests.conformance.setups import Setup

BOUNDARIES = 800
"""More instructions than lie between a call and the function that it runs, the list function included."""


def only_calls(bench: Bench, function: str) -> None:
    """Let every task call nothing but ``function``."""
    kernel = bench.machine.kernel
    kernel.offer_calls([
        (call, kernel.image.address(call.fn)) for call in bench.machine.manifest.calls if call.fn == function
    ])  # fmt: skip


class TestEveryBoundary:
    """One interrupt, at each instruction boundary from a function's first to its replacement's first."""

    @pytest.mark.parametrize("traced", [False, True], ids=["patched", "patched-and-traced"])
    def test_preempted_at_every_instruction_of_the_way(self, exact_setup: Setup, traced: bool) -> None:
        bench = Bench(exact_setup, cpus=1, users=0, tick=5_000)
        engine, registers = bench.machine.kernel.engine, bench.port.registers
        only_calls(bench, "mini_leaf")
        handle = bench.enable("livepatch-mini")
        if traced:
            bench.trace("mini_leaf", save_regs=True)
        bench.run(20)
        old = bench.machine.kallsyms.address_of("mini_leaf")
        new = bench.machine.kallsyms.find("livepatch-mini", "lp_mini_leaf")[0].address

        def step_to(address: int, limit: int) -> int:
            for taken in range(limit):
                if engine.read_register(0, registers.pc) == address:
                    return taken
                engine.run(instructions=engine.instructions() + 1)
            raise AssertionError(f"{limit} instructions did not lead to {address:#x}")

        step_to(old, 2_000)
        way = step_to(new, BOUNDARIES)
        done = len(bench.machine.trace.calls)
        assert way > 20, "the way is that of a trampoline and a handler"
        for boundary in range(way + 1):
            step_to(old, 2_000)
            engine.run(instructions=engine.instructions() + boundary)
            switches = bench.percpu(0, "sched_count")
            engine.interrupt(0, IRQ_TIMER if boundary % 2 else IRQ_RESCHEDULE)
            report = bench.machine.run(calls=4)
            assert report.ok, f"after {boundary} instructions: " + "\n".join(report.lines())
            assert bench.machine.bad_results() == 0, f"after {boundary} instructions"
            assert bench.percpu(0, "sched_count") > switches
        bench.assert_sound()
        rows = bench.machine.trace.calls[done:]
        bench.assert_results(rows)
        assert set(rows["patch"].tolist()) == {handle.id}


class TestStorm:
    """Ticks so dense that every call is interrupted, while patches and handlers come and go."""

    def test_results_stay_right(self, setup: Setup) -> None:
        bench = Bench(setup, cpus=2, tick=701)
        rows = bench.run(200)
        ops = bench.trace_all()
        handles = [bench.enable(name) for name in PATCHES[1:]]
        rows = bench.run(200)
        for handle in handles:
            bench.disable(handle)
        bench.untrace_all(ops)
        bench.assert_results(rows)
        bench.assert_results(bench.machine.trace.calls)
        kernel = bench.machine.kernel
        preempted = [task for task in kernel.tasks if kernel.task_field(task, "nivcsw")]
        assert preempted, "some task was preempted inside kernel text"

    @pytest.mark.parametrize("fetch", ["stale", "eager", "head", "tail"])
    def test_whenever_a_text_poke_reaches_the_others(self, exact_setup: Setup, fetch: str) -> None:
        bench = Bench(exact_setup, cpus=3, workers=1, fetch=fetch, tick=1_009)
        handle = bench.enable("livepatch-sample")
        bench.assert_results(bench.run(60))
        bench.disable(handle)
        bench.assert_results(bench.run(60))

    @pytest.mark.parametrize("schedule", ["round-robin", "least-clock"])
    def test_whichever_cpu_runs_next(self, exact_setup: Setup, schedule: str) -> None:
        bench = Bench(exact_setup, cpus=3, workers=1, schedule=schedule)
        handle = bench.enable("livepatch-sample")
        bench.assert_results(bench.run(60))
        bench.disable(handle)
        bench.assert_results(bench.run(60))


class TestUserTasks:
    """User tasks come by system calls and find the same versions."""

    def test_user_tasks_alone(self, setup: Setup) -> None:
        bench = Bench(setup, workers=0, users=2, tick=997)
        handle = bench.enable("livepatch-mini")
        rows = bench.run(400)
        bench.assert_results(rows)
        users = {task.index for task in bench.machine.kernel.tasks if task.kind == "user"}
        assert set(rows["task"].tolist()) == users
        assert handle.id in rows["patch"]
        bench.disable(handle)
        after = bench.run(300)
        assert set(after["patch"].tolist()) == {0}

    def test_interrupts_in_user_text_come_back_there(self, setup: Setup) -> None:
        bench = Bench(setup, cpus=1, workers=0, users=2, tick=409)
        bench.assert_results(bench.run(150))
        assert bench.percpu(0, "jiffies") > 20
