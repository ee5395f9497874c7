"""The published arm64 curve: what of it is other tasks' turns, and a run in which there is such a task."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.arm64_published import CALLS, TICK, TOTALS, Key, line_without_turns, overhead, walked
from benchmarks.arm64_turns import run_beside_another

keys = st.sampled_from([key for key in TOTALS if walked(key)])


class TestTheAnalysis:
    @given(
        first=st.floats(10, 25), each=st.floats(6, 14),
        lost=st.dictionaries(keys, st.integers(0, 3)), noise=st.floats(-0.002, 0.002),
    )  # fmt: skip
    def test_it_finds_the_ticks_that_were_added(
        self, first: float, each: float, lost: dict[Key, int], noise: float
    ) -> None:
        lost[False, 1, 0] = 0  # the shortest run is the line's beginning
        totals = {
            key: round(
                CALLS * (first + (walked(key) - 1) * each) * (1 + noise * (walked(key) % 2))
                + TICK * lost.get(key, 0)
            )
            for key in TOTALS
            if walked(key)
        }
        line = line_without_turns(totals)
        short = [key for key in totals if walked(key) < 50]  # a tick is 4 % of the long ones
        assert math.isclose(line.each, each, rel_tol=0.01)
        assert [line.turns[key] for key in short] == [lost.get(key, 0) for key in short]


class TestWhatWasPublished:
    def test_without_whole_ticks_every_run_lies_on_one_line(self) -> None:
        line = line_without_turns(TOTALS)
        assert len(line.errors) == 11
        assert max(map(abs, line.errors.values())) < 0.015

    def test_with_them_no_line_fits(self) -> None:
        line = line_without_turns(TOTALS, tick=10**12)
        assert max(map(abs, line.errors.values())) > 0.3

    def test_two_runs_of_the_same_walk_differ_by_one_tick(self) -> None:
        with_call_ops, without = (True, 10, 0), (False, 10, 0)
        assert math.isclose(TOTALS[without] - TOTALS[with_call_ops], TICK, rel_tol=0.01)

    def test_a_run_lost_as_many_ticks_as_it_met_or_none(self) -> None:
        line = line_without_turns(TOTALS)
        for key, lost in line.turns.items():
            alone = (TOTALS[key] - lost * TICK) / TICK
            assert lost == 0 or math.floor(alone) <= lost <= math.ceil(alone), key

    def test_direct_calls_lost_none(self) -> None:
        assert round(overhead((True, 1, 0)), 2) == 1.86
        assert walked((True, 1, 100)) == 0


@pytest.mark.slow
class TestARunBesideAnotherTask:
    """Cycles per call as in docs/performance.md; 100,000 calls of 90 cycles are 2.81 ms at 3.2 GHz."""

    def test_longer_than_half_a_tick_it_loses_the_next_one(self) -> None:
        run = run_beside_another((False, 1, 1), 90, model="apple-m1")
        assert run.lost == 1
        assert math.isclose(run.total, 2_812_500 + TICK, rel_tol=0.02)

    def test_shorter_it_loses_nothing(self) -> None:
        run = run_beside_another((True, 1, 1), 9, model="apple-m1")
        assert run.lost == 0
        assert math.isclose(run.total, 281_000, rel_tol=0.05)
