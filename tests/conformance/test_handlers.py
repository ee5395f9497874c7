"""A trampoline gives a handler what C code may take, and stays for as long as anybody is inside it."""

from __future__ import annotations

import pytest

from emu.machine.state import CPU_INSNS, IRQ_RESCHEDULE
from emu.structs import TASK
from tests.conformance.bench import Bench
from tests.conformance.setups import Setup
from tests.conformance.test_stacking import FUNCTION, layer

GARBAGE = 0xBAD0_BAD0_BAD0_BAD0


def hooked(setup: Setup, kind: str) -> tuple[Bench, str]:
    """Return a machine that calls the function with all its arguments hooked, and the handler's name."""
    bench = Bench(setup, cpus=1, users=0, tick=5_000)
    kernel = bench.machine.kernel
    calls = [call for call in bench.machine.manifest.calls if call.fn == FUNCTION]
    kernel.offer_calls([(call, kernel.image.address(FUNCTION)) for call in calls])
    if kind.startswith("patched"):
        bench.enable(layer(0))
    if kind != "patched":
        assert bench.trace(FUNCTION, save_regs="regs" in kind) == 0
    if kind == "list":
        assert bench.trace(FUNCTION) == 0
    return bench, "klp_ftrace_handler" if kind.startswith("patched") else "ftrace_count_hits"


class TestClobberedRegisters:
    """A handler may leave anything in the registers that a C function may."""

    @pytest.mark.parametrize("kind", ["args", "regs", "list", "patched", "patched-list", "patched-list-regs"])
    def test_arguments_arrive_whatever_the_handler_leaves_in_their_registers(
        self, exact_setup: Setup, kind: str
    ) -> None:
        bench, handler = hooked(exact_setup, kind)
        engine, registers = bench.machine.kernel.engine, bench.port.registers

        def step() -> None:
            engine.run(instructions=engine.instructions() + 1)

        entry, spoilt = bench.machine.kallsyms.address_of(handler), 0
        for _ in range(20):
            while engine.read_register(0, registers.pc) != entry:
                step()
            while bench.where(0) == handler:
                step()
            if not bench.where(0).startswith("vector_"):  # it has returned, and was not interrupted
                for name in {*registers.args, registers.result}:
                    engine.write_register(0, name, GARBAGE)
                spoilt += 1
            bench.assert_results(bench.run(3))
        assert spoilt > 10


class TestPreemptedInside:
    """Whoever was preempted inside a trampoline comes back to it, though its user has gone."""

    @pytest.mark.parametrize("depth", [1, 12, 30])
    def test_tracer_waits_for_a_task_preempted_in_its_trampoline(
        self, exact_setup: Setup, depth: int
    ) -> None:
        bench = Bench(exact_setup, users=0)
        assert bench.trace("mini_leaf") == 0
        engine, pc = bench.machine.kernel.engine, bench.port.registers.pc
        entry = bench.called_from_site("mini_leaf")
        assert entry is not None

        def run_on(instructions: int) -> None:
            """Let CPU 1 run so many instructions, and the other meanwhile."""
            end = engine.blocks[1, CPU_INSNS] + instructions
            while engine.blocks[1, CPU_INSNS] < end:
                engine.run(instructions=engine.instructions() + 1)

        while engine.read_register(1, pc) != entry:
            run_on(1)
        run_on(depth)
        inside = bench.percpu(1, "current_task")
        engine.interrupt(1, IRQ_RESCHEDULE)
        while bench.percpu(1, "current_task") == inside:
            run_on(1)
        before_it = off_the_ring(bench, inside)

        job = bench.machine.tracing.remove("mini_leaf")
        installer = bench.machine.kernel.installer
        bench.run_until(lambda: job.done or installer.waiting_for == "synchronize_rcu_tasks")
        bench.run_cycles(30_000)
        assert not job.done
        assert bench.is_off("mini_leaf"), "nobody new comes in"
        assert bench.machine.kernel.engine.memory.read(entry, len(bench.port.trap)) != bench.port.trap
        back_on_the_ring(bench, inside, before_it)
        assert bench.do(job) == 0
        bench.assert_results(bench.run(100))
        bench.assert_undone()


def off_the_ring(bench: Bench, task: int) -> int:
    """Let the scheduler pass a runnable task over; returns who comes before it."""
    memory, offset = bench.machine.kernel.engine.memory, TASK.offset("rq_next")
    before = next(t.struct for t in bench.machine.kernel.tasks if memory.load(t.struct + offset) == task)
    memory.store(before + offset, memory.load(task + offset))
    return before


def back_on_the_ring(bench: Bench, task: int, before: int) -> None:
    """Undo `off_the_ring`."""
    bench.machine.kernel.engine.memory.store(before + TASK.offset("rq_next"), task)
