"""Whom the list function calls: each ops by its flags and its two hashes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from emu.ftrace import FtraceOps, OpsFlags
from emu.machine.memory import Memory
from tests.conformance.bench import Bench
from tests.conformance.setups import Setup

HASH, FLAGS = "local_hash.filter_hash", "flags"


def of_all(bench: Bench, ops: FtraceOps, memory: Memory) -> None:
    """Let it want none of what it wants."""
    memory.store(ops.view.at("local_hash.notrace_hash"), memory.load(ops.view.at(HASH)))


def of_none(bench: Bench, ops: FtraceOps, memory: Memory) -> None:
    memory.store(ops.view.at(HASH), 0)


def stub(bench: Bench, ops: FtraceOps, memory: Memory) -> None:
    memory.store(ops.view.at(FLAGS), memory.load(ops.view.at(FLAGS)) | OpsFlags.STUB)


def rcu(bench: Bench, ops: FtraceOps, memory: Memory) -> None:
    """RCU watches wherever calls are made here."""
    memory.store(ops.view.at(FLAGS), memory.load(ops.view.at(FLAGS)) | OpsFlags.RCU)


def other_notrace(bench: Bench, ops: FtraceOps, memory: Memory) -> None:
    """Let its notrace hash hold what nobody calls: a copy of the filter without its entries' addresses."""
    copies = []

    def body() -> int:
        copies.append(bench.machine.ftrace.hashes.create(range(0x1000, 0x1100, 8)))
        return 0

    bench.submit(body)
    memory.store(ops.view.at("local_hash.notrace_hash"), copies[0])


class TestWhoIsCalled:
    """The list function looks at every ops for itself."""

    @pytest.mark.parametrize(
        ("change", "called"),
        [(of_all, False), (of_none, False), (stub, False), (rcu, True), (other_notrace, True)],
    )
    def test_one_of_two(
        self, setup: Setup, change: Callable[[Bench, FtraceOps, Memory], None], called: bool
    ) -> None:
        bench = Bench(setup)
        changed, left = bench.trace_all(), bench.trace_all()
        bench.run(100)
        change(bench, changed, bench.machine.kernel.engine.memory)
        bench.run(10)  # who was on the list meanwhile
        before = bench.hits(changed), bench.hits(left)
        bench.run(200)
        assert bench.hits(left) > before[1] + 150  # calls that complete need not have begun meanwhile
        if called:
            assert bench.hits(changed) > before[0] + 150
        else:
            assert bench.hits(changed) == before[0]

    def test_one_without_a_handler_is_told(self, setup: Setup) -> None:
        bench = Bench(setup)
        ops, _ = bench.trace_all(), bench.trace_all()
        bench.machine.kernel.engine.memory.store(ops.view.at("func"), 0)
        assert bench.machine.run(calls=100).ok
        assert set(bench.warned_places()) == {"ftrace_ops_without_func"}
