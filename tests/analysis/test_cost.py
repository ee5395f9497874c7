"""What calls cost."""

import tracemalloc
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from emu.analysis import CallCost, cost, cost_stages, summarize
from emu.analysis.operations import STAGES, NoSuchOperationError
from emu.trace import CALLS, EVENTS, CallFlag, EventKind, RunWriter, Symbol
from tests.reference import trace_analysis as slow
from tests.trace import strategies

NO_EVENTS = np.empty(0, EVENTS)


def figures(costs: dict[str, CallCost]) -> slow.Costs:
    return {
        name: {"cycles": astuple(c.cycles), "entry": astuple(c.entry), "insns": astuple(c.insns)}
        for name, c in costs.items()
    }


class TestCost:
    @settings(deadline=None)
    @given(strategies.likely_calls())
    def test_it_agrees_with_the_slow_twin(self, calls: NDArray[np.void]) -> None:
        report, rows = cost(strategies.recorded(calls, NO_EVENTS)), slow.rows(calls)

        assert figures(report.groups) == slow.costs(rows)
        assert report.left_out == sum(not slow.measurable(row) for row in rows)
        for name, costs in report.functions.items():
            site = strategies.SYMBOLS[name].address
            assert figures(costs) == slow.costs([row for row in rows if row["site"] == site])
        counted = sum(c.calls for costs in report.functions.values() for c in costs.values())
        assert counted == sum(c.calls for c in report.groups.values()) == len(rows) - report.left_out

    @settings(deadline=None)
    @given(strategies.any_rows(CALLS))
    def test_no_row_breaks_it(self, calls: NDArray[np.void]) -> None:
        report, rows = cost(strategies.recorded(calls, NO_EVENTS)), slow.rows(calls)

        assert figures(report.groups) == slow.costs(rows)

    @settings(deadline=None)
    @given(st.lists(st.integers(0, 50), min_size=1))
    def test_percentiles_are_numpys_inverted_cdf(self, took: list[int]) -> None:
        calls = strategies.rows_of(CALLS, *({"exit": value} for value in took))

        spread = cost(strategies.recorded(calls, NO_EVENTS)).groups["unpatched"].cycles

        expected = np.percentile(took, [50, 90, 99, 100], method="inverted_cdf")
        assert list(astuple(spread)) == expected.tolist()

    def test_no_calls_cost_nothing(self) -> None:
        report = cost(strategies.recorded(np.empty(0, CALLS), NO_EVENTS))

        assert (report.groups, report.functions, report.left_out) == ({}, {}, 0)

    def test_a_trace_on_disk_is_analysed_in_constant_memory(self, tmp_path: Path) -> None:
        with RunWriter(tmp_path, strategies.meta()) as writer:
            writer.set_symbols({"mini_leaf": Symbol(0x100_0000, 0x20, "function")})
            for start in range(0, 1_000_000, 50_000):
                writer.add_calls(strategies.numbered_calls(start, 50_000))
            run = writer.finish({})
        tracemalloc.start()
        try:
            report, summary = cost(run), summarize(run)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

        assert report.groups["unpatched"].calls == summary.by_function["mini_leaf"]["original"] == 1_000_000
        assert peak < 60_000_000  # bytes; the rows have 88 million, one chunk of them 23


class TestStages:
    """Calls of a patch's functions, by the stage of its life in which they were entered."""

    LEAF, TAIL, LOOP = (strategies.SYMBOLS[name].address for name in ("mini_leaf", "mini_tail", "mini_loop"))
    LIFE = strategies.rows_of(
        EVENTS,
        {"kind": EventKind.ENABLE, "a": 1, "seq": 10, "cycle": 900},
        {"kind": EventKind.SETTLED, "a": 1, "b": 1, "seq": 20, "cycle": 800},
        {"kind": EventKind.DISABLE, "a": 1, "seq": 30, "cycle": 700},
        {"kind": EventKind.SETTLED, "a": 1, "seq": 40, "cycle": 600},
    )

    def counts(self, calls: list[dict[str, int]], events: NDArray[np.void]) -> dict[str, dict[str, int]]:
        rows = strategies.rows_of(CALLS, *({"site": self.LEAF} | call for call in calls))
        stages = cost_stages(strategies.recorded(rows, events), 1)
        return {stage: {name: cost.calls for name, cost in costs.items()} for stage, costs in stages.items()}

    def test_a_call_belongs_where_it_was_entered_whatever_the_clocks_say(self) -> None:
        for stage, edges in zip(STAGES, ((0, 9), (10, 19), (20, 29), (30, 39), (40, 99)), strict=True):
            for seq in edges:
                counts = self.counts([{"seq": seq}], self.LIFE)
                assert counts == {name: {"unpatched": 1} if name == stage else {} for name in STAGES}

    def test_calls_of_functions_that_the_patch_does_not_cover_are_left_out(self) -> None:
        calls = [{"seq": 25, "site": site} for site in (self.LEAF, self.TAIL, self.LOOP, 0x77)]

        assert self.counts(calls, self.LIFE)["enabled"] == {"unpatched": 2}

    def test_groups_are_told_apart(self) -> None:
        on, new = CallFlag.HOOKED, CallFlag.HOOKED | CallFlag.REDIRECTED
        calls = [{"seq": 25, "flags": flags} for flags in (0, on, on, new, new, new, CallFlag.UNFINISHED)]

        assert self.counts(calls, self.LIFE)["enabled"] == {"unpatched": 1, "traced": 2, "patched": 3}

    def test_a_patch_never_disabled_ends_enabled(self) -> None:
        assert self.counts([{"seq": 99}], self.LIFE[:2]) == {
            "before": {}, "enabling": {}, "enabled": {"unpatched": 1},
        }  # fmt: skip

    @pytest.mark.parametrize("patch", [0, 2, 3])
    def test_a_patch_that_was_never_enabled_has_no_stages(self, patch: int) -> None:
        run = strategies.recorded(np.empty(0, CALLS), self.LIFE)
        with pytest.raises(NoSuchOperationError, match=rf"^patch {patch} was never enabled in this run; "):
            cost_stages(run, patch)

    def test_a_function_without_a_symbol_is_left_out(self) -> None:
        meta = strategies.meta()
        meta["patches"][1]["functions"] = {"mini_leaf": "gone", "lost": "lp1_mini_tail"}
        rows = strategies.rows_of(CALLS, {"seq": 25, "site": self.LEAF}, {"seq": 25, "site": self.TAIL})
        stages = cost_stages(strategies.recorded(rows, self.LIFE, patches=meta["patches"]), 1)

        assert stages["enabled"]["unpatched"].calls == 1

    @settings(deadline=None)
    @given(strategies.likely_calls(), strategies.livepatch_events(), st.sampled_from([1, 2]))
    def test_it_agrees_with_the_slow_twin(
        self, calls: NDArray[np.void], events: NDArray[np.void], patch: int
    ) -> None:
        edges = min(len(calls), len(events))
        calls["seq"][:edges] = events["seq"][:edges]
        run = strategies.recorded(calls, events)
        try:
            stages = cost_stages(run, patch)
        except NoSuchOperationError:
            assert not any(e["kind"] == EventKind.ENABLE and e["a"] == patch for e in slow.rows(events))
            return

        assert {stage: figures(costs) for stage, costs in stages.items() if costs} == slow.stage_costs(
            run, patch
        )
        assert list(stages) == [stage for stage in STAGES if stage in stages]
