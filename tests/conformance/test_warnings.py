"""The handler's own checks: constructed in guest memory, each is seen, counted and survived."""

from __future__ import annotations

import pytest

from emu.arch.tracing import Poke
from emu.ftrace.text_poke import TextPoke
from emu.machine.state import Stop
from emu.structs import CONSTANTS, KLP_FUNC, KLP_OPS, TASK
from emu.trace.schema import CallFlag, EventKind
from tests.conformance.bench import Bench, Calls
from tests.conformance.setups import Setup
from tests.conformance.test_stacking import FUNCTION, layer

ALL_BITS = sum(1 << bit for name, bit in CONSTANTS.items() if name.startswith("TRACE_"))
"""Of the livepatch handler; the list function's own are others."""
STACK_NODE = KLP_FUNC.offset("stack_node.next")


class Tampered(Bench):
    """A bench with one function under two patches, whose livepatch graph may be spoilt."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.low, self.high = self.enable(layer(0)), self.enable(layer(1))
        self.run(100)
        memory = self.machine.kernel.engine.memory
        self.memory = memory
        self.ops = memory.load(self.machine.kallsyms.address_of("klp_ops_list"))
        self.head = self.ops + KLP_OPS.offset("func_stack.next")
        self.newest = memory.load(self.head) - STACK_NODE

    def func(self, member: str, value: int) -> None:
        """Set a byte of the newest klp_func."""
        self.memory.store(self.newest + KLP_FUNC.offset(member), value, 1)

    def tasks(self, member: str, value: int) -> None:
        """Set a member of every task."""
        for task in self.machine.kernel.tasks:
            self.memory.store(task.struct + TASK.offset(member), value)

    def rows(self) -> Calls:
        """Run on and return the function's calls that were entered meanwhile; WARNs are allowed."""
        since = self.machine.furthest_clock()
        report = self.machine.run(calls=300)
        assert report.ok, "\n".join(report.lines())
        assert self.machine.bad_results() == 0
        self.assert_stacks_balanced()
        calls = self.machine.trace.calls
        rows = self.of(calls[calls["enter"] > since], FUNCTION)
        assert len(rows)
        return rows

    def assert_warned(self, place: str, rows: Calls) -> None:
        """Every one of ``rows`` has warned, at ``place`` and nowhere else."""
        assert set(self.warned_places()) == {place}
        assert self.machine.kernel.warnings() == len(self.warned_places()) >= len(rows)


@pytest.fixture
def bench(setup: Setup) -> Tampered:
    return Tampered(setup)


class TestImpossibleStates:
    """What must never be: a WARN each, and a call that still comes to something."""

    def test_empty_func_stack_warns_and_runs_the_original(self, bench: Tampered) -> None:
        kept = bench.memory.load(bench.head)
        bench.memory.store(bench.head, bench.head)
        rows = bench.rows()
        assert set(rows["patch"].tolist()) == {0}
        bench.assert_warned("klp_empty_stack", rows)
        bench.memory.store(bench.head, kept)
        bench.rows()
        warned = bench.machine.kernel.warnings()
        assert set(bench.rows()["patch"].tolist()) == {bench.high.id}
        assert bench.machine.kernel.warnings() == warned, "back to normal, it is quiet"

    def test_task_without_state_in_a_transition_warns_and_runs_the_newest(self, bench: Tampered) -> None:
        bench.func("transition", 1)
        rows = bench.rows()
        assert set(rows["patch"].tolist()) == {bench.high.id}
        assert (rows["flags"] & CallFlag.TRANSITION != 0).all()
        bench.assert_warned("klp_idle_state", rows)

    def test_no_free_recursion_bit_warns_and_runs_the_original(self, bench: Tampered) -> None:
        bench.tasks("trace_recursion", ALL_BITS)
        rows = bench.rows()
        assert set(rows["patch"].tolist()) == {0}
        assert (rows["flags"] & CallFlag.RECURSION != 0).all()
        bench.assert_warned("klp_no_recursion_bit", rows)
        for task in bench.machine.kernel.tasks:
            assert bench.machine.kernel.task_field(task, "trace_recursion") & ALL_BITS == ALL_BITS

    def test_the_transition_bit_helps_once(self, bench: Tampered) -> None:
        bench.tasks("trace_recursion", ALL_BITS & ~(1 << CONSTANTS["TRACE_TRANSITION_BIT"]))
        rows = bench.rows()
        assert set(rows["patch"].tolist()) == {bench.high.id}
        assert bench.machine.kernel.warnings() == 0

    def test_recursion_bits_and_preempt_count_are_given_back(self, bench: Tampered) -> None:
        bench.rows()
        resting = [
            task
            for task in bench.machine.kernel.tasks
            if bench.machine.kernel.task_field(task, "state")  # asleep: outside any handler
        ]
        for task in resting:
            assert bench.machine.kernel.task_field(task, "trace_recursion") == 0
        assert resting


class TestDecisions:
    """What the handler decides from ``transition``, ``patch_state`` and ``nop``."""

    @pytest.mark.parametrize("state", [0, 1], ids=["unpatched", "patched"])
    def test_in_a_transition_the_task_decides(self, bench: Tampered, state: int) -> None:
        bench.tasks("patch_state", state)
        bench.func("transition", 1)
        rows = bench.rows()
        assert set(rows["patch"].tolist()) == {bench.high.id if state else bench.low.id}
        assert set(rows["patch_state"].tolist()) == {state}
        assert (rows["flags"] & CallFlag.TRANSITION != 0).all()
        assert bench.machine.kernel.warnings() == 0

    def test_unpatched_task_at_the_bottom_of_the_stack_runs_the_original(self, bench: Tampered) -> None:
        bench.disable(bench.high)
        bench.newest = bench.memory.load(bench.head) - STACK_NODE
        bench.tasks("patch_state", 0)
        bench.func("transition", 1)
        rows = bench.rows()
        assert set(rows["patch"].tolist()) == {0}
        assert (rows["flags"] & CallFlag.TRANSITION != 0).all()
        assert bench.machine.kernel.warnings() == 0

    def test_outside_a_transition_nobody_is_asked(self, bench: Tampered) -> None:
        bench.tasks("patch_state", 0)
        assert set(bench.rows()["patch"].tolist()) == {bench.high.id}

    def test_a_nop_func_runs_the_original(self, bench: Tampered) -> None:
        bench.func("nop", 1)
        rows = bench.rows()
        assert set(rows["patch"].tolist()) == {0}
        assert (rows["flags"] & CallFlag.NOP != 0).all()
        assert bench.machine.kernel.warnings() == 0


def trap_at(bench: Bench, function: str) -> int:
    """Write the port's trap over the first instruction of ``function``, for every CPU to see."""
    address = bench.machine.kallsyms.address_of(function)
    guest = bench.machine.kernel.guest
    TextPoke(guest, bench.machine.kallsyms).early([Poke(address=address, data=bench.port.trap)])
    return address


class TestUnexpectedTraps:
    """A breakpoint that nobody expects ends the run, with a report of where and who."""

    @pytest.fixture
    def stopped(self, setup: Setup) -> Bench:
        bench = Bench(setup)
        bench.run(50)
        trap_at(bench, "mini_nested")
        return bench

    def test_reported_with_place_and_task(self, stopped: Bench) -> None:
        report = stopped.machine.run(calls=500)
        assert not report.ok
        text = "\n".join(report.lines())
        assert "mini_nested" in text
        assert report.task.startswith(("worker/", "user/"))
        assert report.reason in (Stop.BUG, Stop.EXCEPTION)
        last = stopped.machine.trace.events[-1]
        assert EventKind(int(last["kind"])) in (EventKind.BUG, EventKind.FAULT)
        assert stopped.machine.stopped == report

    def test_counted_as_a_bug_of_the_guest(self, stopped: Bench) -> None:
        report = stopped.machine.run(calls=500)
        assert report.reason is Stop.BUG
        assert report.what.startswith("BUG: unexpected_")
        assert stopped.machine.kernel.warnings() == 1
