"""Whole machines under each ordering: reproducible, clean, and seen when they go wrong."""

from __future__ import annotations

import numpy as np
import pytest

from emu.arch import PORTS
from emu.build.memory_map import HEAP
from emu.lab.machine import Machine
from emu.lab.scenario import ScenarioError
from emu.trace.run import Run

CASES = [(arch, ordering) for arch, port in PORTS.items() for ordering in port.memory_order.allowed]


def play(arch: str, ordering: str, mode: str, *, schedule: str | None = None, seed: int = 3) -> Run:
    machine = Machine(
        arch=arch,
        cpus=3,
        workers=2,
        users=1,
        mode=mode,
        schedule=schedule,
        ordering=ordering,
        seed=seed,
        tick=900,
    )
    machine.run(calls=100)
    patch = machine.livepatch.enable("livepatch-sample")
    assert machine.run(until=patch.settled).ok
    patch.disable()
    assert machine.run(until=patch.settled).ok
    assert (machine.bad_results(), machine.kernel.warnings()) == (0, 0)
    return machine.finish()


@pytest.mark.parametrize(("arch", "ordering"), CASES)
class TestRuns:
    """Every ordering of every port."""

    @pytest.mark.parametrize("mode", ["fast", "exact"])
    def test_same_seed_same_digest(self, arch: str, ordering: str, mode: str) -> None:
        first, second = (play(arch, ordering, mode) for _ in range(2))
        assert first.meta["digest"] == second.meta["digest"]
        assert first.meta["ordering"] == ordering

    def test_nothing_is_pending_when_a_run_stops(self, arch: str, ordering: str) -> None:
        machine = Machine(arch=arch, cpus=2, mode="exact", ordering=ordering)
        for calls in range(10, 60, 5):
            machine.run(calls=calls)
            assert [machine.kernel.engine.order.pending(cpu) for cpu in range(2)] == [[], []]


def test_orderings_differ_in_what_happens_but_not_in_who_runs() -> None:
    lengths = {play("arm64", ordering, "exact").meta["digest"] for ordering in ("sc", "tso", "arm64")}
    assert len(lengths) > 1


@pytest.mark.parametrize("ordering", ["tso", "arm64"])
def test_both_modes_give_one_trace_on_arm64(ordering: str) -> None:
    fast, exact = (play("arm64", ordering, mode, schedule="quantum") for mode in ("fast", "exact"))
    np.testing.assert_array_equal(np.asarray(fast.events), np.asarray(exact.events))
    np.testing.assert_array_equal(np.asarray(fast.calls), np.asarray(exact.calls))


@pytest.mark.parametrize(("arch", "mode", "expected"), [
    ("x86_64", "exact", "tso"), ("arm64", "exact", "arm64"), ("x86_64", "fast", "sc"),
    ("arm64", "fast", "sc"),
])  # fmt: skip
def test_exact_mode_has_the_ports_own_ordering_unless_told_otherwise(
    arch: str, mode: str, expected: str
) -> None:
    assert Machine(arch=arch, mode=mode).scenario.memory_ordering == expected


def test_an_ordering_weaker_than_the_hardware_is_refused() -> None:
    with pytest.raises(
        ScenarioError, match=r"^option: ordering: x86_64 is never as weak as 'arm64'; it can have sc, tso$"
    ):
        Machine(arch="x86_64", ordering="arm64")


@pytest.mark.parametrize(("arch", "ordering"), [case for case in CASES if case[1] != "sc"])
class TestPendingStores:
    """What the patching CPU and others have not yet made visible."""

    def test_a_store_that_lands_in_freed_memory_is_reported(self, arch: str, ordering: str) -> None:
        machine = Machine(arch=arch, cpus=2, mode="exact", ordering=ordering)
        machine.run(calls=20)
        engine, heap = machine.kernel.engine, machine.kernel.heap
        address = heap.allocate(64, "klp_ops")
        engine.order.store(1, address + 8, 5, 8)
        heap.free(address)

        report = machine.run(calls=1000)

        assert not report.ok
        assert f"the store to {address + 8:#x} that CPU1 made at" in report.what
        assert any("use after free: klp_ops+0x8" in line for line in report.lines())

    def test_own_stores_are_read_back_and_others_see_them_when_they_land(
        self, arch: str, ordering: str
    ) -> None:
        order = Machine(arch=arch, cpus=2, ordering=ordering).kernel.engine.order
        order.store(0, HEAP.base, 0x1122334455667788, 8)
        order.store(0, HEAP.base, 0xAA, 1)
        assert order.load(0, HEAP.base, 8) == 0x11223344556677AA
        assert order.load(1, HEAP.base, 8) == 0
        assert order.pending(0) == [(HEAP.base, 8, 0x1122334455667788), (HEAP.base, 1, 0xAA)]
        order.settle()
        assert order.load(1, HEAP.base, 8) == 0x11223344556677AA

    def test_memory_that_is_freed_keeps_nothing_of_its_owners_pending_stores(
        self, arch: str, ordering: str
    ) -> None:
        machine = Machine(arch=arch, cpus=2, ordering=ordering)
        address = machine.kernel.heap.allocate(64, "klp_ops")
        machine.kernel.engine.order.store(0, address, 5, 8)
        machine.kernel.heap.free(address)
        assert machine.kernel.engine.order.settle() is None
        assert machine.kernel.engine.memory.load(address) == 0x6B6B6B6B6B6B6B6B
