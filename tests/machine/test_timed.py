"""Runs with a cycle model: clocks, their order, what contention and calls cost."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from emu.arch import port_named
from emu.lab.machine import Machine
from emu.machine import state as s
from emu.timing import load_cpu_model
from emu.trace.run import Run
from emu.trace.schema import PARTS, CallFlag, EventKind
from tests.machine.timed_threads import LINE, SHARED, clocks_of

MODELS = {"x86_64": "golden-cove", "arm64": "cortex-a76"}
"""One model of each port that has one."""

# 1000 times: add 1 to the word that the second argument points at, atomically
HAMMER = {
    "x86_64": bytes.fromhex("b9e8030000f048ff06ffc975f8"),  # mov ecx, 1000; lock inc [rsi]; dec ecx; jnz
    "arm64": b"".join(
        word.to_bytes(4, "little")
        for word in (0xD2807D02, 0xC85F7C23, 0x91000463, 0xC8047C23, 0x35FFFFA4, 0xF1000442, 0x54FFFF61)
    ),  # mov x2, 1000; ldxr x3, [x1]; add x3, x3, 1; stxr w4, x3, [x1]; cbnz w4, -12; subs x2; b.ne -20
}
POINTER = {"x86_64": "rsi", "arm64": "x1"}


@cache
def patched_run(arch: str, cpus: int, seed: int) -> Run:
    """A run in which a patch is enabled, a function traced, and the patch disabled."""
    machine = Machine(arch=arch, cpus=cpus, seed=seed, timing=MODELS[arch], tick=1_500)
    machine.run(calls=100)
    patch = machine.livepatch.enable("livepatch-mini")
    machine.run(until=patch.settled)
    assert machine.wait(machine.tracing.add("mini_leaf")) == 0
    machine.run(calls=300)
    patch.disable()
    machine.run(until=patch.settled)
    assert machine.stopped is not None
    assert machine.stopped.ok, machine.stopped.lines()
    return machine.finish()


@pytest.fixture(params=[(arch, cpus, seed) for arch in MODELS for cpus, seed in ((1, 1), (3, 2))], ids=str)
def run(request: pytest.FixtureRequest) -> Run:
    return patched_run(*request.param)


def completed(run: Run) -> NDArray[np.void]:
    rows: NDArray[np.void] = run.calls[(run.calls["flags"] & np.uint16(CallFlag.UNFINISHED)) == 0]
    return rows


def named_parts(calls: NDArray[np.void]) -> NDArray[np.uint64]:
    total = np.zeros(len(calls), np.uint64)
    for name in PARTS[:-1]:
        total += calls[name]
    return total


@pytest.mark.slow
class TestClocks:
    """Every CPU's clock is its cycle model's."""

    def test_cycles_never_decrease_on_a_cpu(self, run: Run) -> None:
        for cpu in range(run.meta["cpus"]):
            calls, events = run.calls[run.calls["cpu"] == cpu], run.events[run.events["cpu"] == cpu]
            numbers = np.concatenate([calls["seq"], calls["dispatch_seq"], events["seq"]])
            cycles = np.concatenate([calls["enter"], calls["dispatched"], events["cycle"]])
            same = calls["seq"] == calls["dispatch_seq"]  # dispatched is its entry then
            keep = np.concatenate([np.ones(len(calls), bool), ~same, np.ones(len(events), bool)])
            hooked = (calls["flags"] & np.uint16(CallFlag.HOOKED)) != 0
            keep[len(calls) : 2 * len(calls)] &= hooked
            order = np.argsort(numbers[keep])
            assert (np.diff(cycles[keep][order].astype(np.int64)) >= 0).all()

    def test_instructions_do_not_take_one_cycle_each(self, run: Run) -> None:
        calls = completed(run)
        took = calls["exit"] - calls["enter"]
        assert (took < calls["insns"]).any()
        assert (took > calls["insns"]).any()

    def test_an_ipi_takes_its_time_to_arrive(self, run: Run) -> None:
        syncs = run.events[run.events["kind"] == EventKind.SYNC]
        parameters = load_cpu_model(run.meta["timing"]).parameters
        least = parameters["ipi_deliver"] if run.meta["cpus"] > 1 else 0
        assert len(syncs)
        assert ((syncs["cycle"] - syncs["a"]) >= least).all()

    def test_the_same_seed_gives_the_same_cycles(self) -> None:
        first, again = (patched_run.__wrapped__("x86_64", 3, 2) for _ in range(2))
        other = patched_run("x86_64", 3, 3)
        assert first.meta["digest"] == again.meta["digest"]
        assert first.meta["cycles"] == again.meta["cycles"]
        assert first.meta["digest"] != other.meta["digest"]

    def test_cpus_stay_within_a_lead_of_each_other(self) -> None:
        machine = Machine(cpus=4, timing="zen4", tick=0, users=0)
        machine.run(calls=200)
        seen = []
        for _ in range(200):
            machine.run(instructions=1)
            blocks = machine.kernel.engine.blocks
            awake = [machine.kernel.engine.clock(cpu) for cpu in range(4) if not blocks[cpu, s.CPU_HALTED]]
            seen.append(max(awake) - min(awake))
        lead = load_cpu_model("zen4").parameters["line_transfer"]
        assert max(seen) > 0
        # an instruction that misses every cache takes it further by as much as that
        assert max(seen) <= lead + 1_000


@pytest.mark.slow
class TestParts:
    """The cycles of a call are told by part, and by no other's."""

    def test_their_sum_is_the_whole(self, run: Run) -> None:
        calls = completed(run)
        assert (named_parts(calls) + calls["other_cycles"] == calls["exit"] - calls["enter"]).all()

    def test_only_an_interrupt_comes_between_the_parts_of_a_leaf(self, run: Run) -> None:
        calls = completed(run)
        mine = calls[calls["site"] == run.symbols["mini_leaf"].address]
        rest = mine["other_cycles"]
        assert (rest == 0).mean() > 0.6  # a tick comes every few calls
        assert (rest[rest > 0] >= load_cpu_model(run.meta["timing"]).parameters["interrupt"]).all()

    def test_what_callees_take_is_no_part(self, run: Run) -> None:
        calls = np.sort(completed(run), order="seq")
        rows = {int(row["seq"]): row for row in calls}
        inside: dict[int, int] = {}
        nested = 0
        for task in np.unique(calls["task"]):
            stack: list[np.void] = []
            for row in calls[calls["task"] == task]:
                while stack and stack[-1]["depth"] >= row["depth"]:
                    stack.pop()
                if stack and stack[-1]["depth"] == row["depth"] - 1 and row["exit"] <= stack[-1]["exit"]:
                    outer = int(stack[-1]["seq"])
                    inside[outer] = inside.get(outer, 0) + int(row["exit"] - row["enter"])
                    nested += 1
                stack.append(row)
        assert nested > 10
        for outer, cycles in inside.items():
            assert int(rows[outer]["other_cycles"]) >= cycles

    def test_a_site_that_is_off_costs_a_site_and_a_body_alone(self, run: Run) -> None:
        calls = completed(run)
        plain = calls[(calls["flags"] & np.uint16(CallFlag.HOOKED)) == 0]
        for name in ("save_cycles", "handler_cycles", "walk_cycles", "restore_cycles"):
            assert not plain[name].any()
        assert plain["body_cycles"].any()

    def test_a_patched_call_passes_through_every_part(self, run: Run) -> None:
        calls = completed(run)
        patched = calls[(calls["flags"] & np.uint16(CallFlag.REDIRECTED)) != 0]
        assert len(patched) > 20
        for name in ("save_cycles", "handler_cycles", "restore_cycles", "body_cycles"):
            assert np.median(patched[name]) > 0, name

    def test_a_site_with_two_users_walks_the_list(self, run: Run) -> None:
        calls = completed(run)
        walked = calls[calls["walk_cycles"] > 0]
        sites = set(walked["site"].tolist())
        assert run.symbols["mini_leaf"].address in sites
        if port_named(run.meta["arch"]).tracing.copy_trampoline is not None:  # others have no use for it
            assert len(sites) == 1


@pytest.mark.parametrize("arch", MODELS)
class TestContention:
    """What CPUs do to each other's lines shows in their clocks."""

    def test_two_cpus_that_hammer_one_line_take_longer_than_one_alone(self, arch: str) -> None:
        code, pointer, model = HAMMER[arch], POINTER[arch], MODELS[arch]
        (alone,) = clocks_of(model, [(code, {pointer: SHARED})])
        shared = clocks_of(model, [(code, {pointer: SHARED})] * 2)
        apart = clocks_of(model, [(code, {pointer: SHARED + 4 * LINE * at}) for at in range(2)])
        transfer = load_cpu_model(model).parameters["line_transfer"]

        assert min(shared) > alone + 50 * transfer
        assert max(apart) < alone + 5 * transfer + 2_000  # each misses once

    def test_false_sharing_costs_as_much(self, arch: str) -> None:
        code, pointer, model = HAMMER[arch], POINTER[arch], MODELS[arch]
        one_word = clocks_of(model, [(code, {pointer: SHARED})] * 2)
        one_line = clocks_of(model, [(code, {pointer: SHARED + 8 * at}) for at in range(2)])

        assert max(one_line) > max(one_word) * 0.8
