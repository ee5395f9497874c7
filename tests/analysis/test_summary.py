"""Counts of a run."""

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray

from emu.analysis import chunks, function_name, summarize, version_names
from emu.analysis.chunks import Sites, Tally
from emu.trace import CALLS, EVENTS
from tests.reference import trace_analysis as slow
from tests.trace import strategies

LEAF, TAIL = strategies.SYMBOLS["mini_leaf"].address, strategies.SYMBOLS["mini_tail"].address


@settings(deadline=None)
@given(strategies.likely_calls())
def test_counts_agree_with_the_slow_twin(calls: NDArray[np.void]) -> None:
    run = strategies.recorded(calls, np.empty(0, EVENTS))
    summary, rows = summarize(run), slow.rows(calls)

    assert +slow.version_counts(run) == {k: v for k, v in summary.by_version.items() if v}
    assert +slow.flag_counts(run) == summary.by_flag
    assert sum(sum(counts.values()) for counts in summary.by_function.values()) == summary.calls == len(rows)
    assert sum(summary.by_patch_state.values()) == len(rows)
    for cpu, counts in summary.by_cpu.items():
        mine = strategies.recorded(calls[calls["cpu"] == cpu], np.empty(0, EVENTS))
        assert counts == slow.version_counts(mine)
    assert set(summary.by_cpu) == {row["cpu"] for row in rows}


def test_every_column_is_named() -> None:
    calls = strategies.rows_of(
        CALLS,
        {"site": LEAF, "patch": 1, "cpu": 3, "patch_state": 1, "flags": 0xC0},
        {"site": LEAF, "patch": 0, "cpu": 0, "patch_state": -2},
        {"site": TAIL, "patch": 0x107, "cpu": 0, "patch_state": -1, "flags": 0x20},
        {"site": 0x999, "patch": 0, "cpu": 0, "patch_state": 9},
        {"site": LEAF, "patch": 1, "cpu": 0, "patch_state": 0},
    )
    events = strategies.rows_of(EVENTS, {"kind": 6}, {"kind": 10}, {"kind": 6}, {"kind": 999})

    summary = summarize(strategies.recorded(calls, events))

    assert summary.by_version == {"original": 2, "p1": 2, "p2": 0, "patch 263": 1}
    assert summary.by_function == {
        "mini_leaf": {"original": 1, "p1": 2},
        "0x999": {"original": 1},
        "mini_tail": {"patch 263": 1},
    }
    assert summary.by_cpu == {0: {"original": 2, "p1": 1, "patch 263": 1}, 3: {"p1": 1}}
    assert summary.by_patch_state == {
        "unpatched": 1, "patched": 1, "state 9": 1, "not dispatched": 1, "idle": 1,
    }  # fmt: skip
    assert summary.by_flag == {"UNFINISHED": 1, "REDIRECTED": 1, "HOOKED": 1}
    assert summary.by_event == {"SYNC": 2, "ENABLE": 1, "kind 999": 1}


def test_patches_of_one_name_are_told_apart() -> None:
    meta = strategies.meta()
    meta["patches"][2]["name"] = "p1"

    assert version_names(meta) == ["original", "p1#1", "p1#2"]


def test_a_function_goes_by_its_shortest_name() -> None:
    symbols = dict(strategies.SYMBOLS)
    symbols["leaf"] = symbols["mini_leaf"]
    symbols["a"] = symbols["mini_leaf"]._replace(kind="object")

    assert function_name(symbols, LEAF) == "leaf"
    assert function_name(symbols, 0x5) == "0x5"


class TestChunks:
    @pytest.mark.parametrize("rows", [1, 3, 7, 100])
    def test_results_do_not_depend_on_their_size(self, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
        calls = strategies.numbered_calls(0, 20)
        calls["site"] = [LEAF, TAIL] * 10
        run = strategies.recorded(calls, np.empty(0, EVENTS))
        whole = summarize(run)
        monkeypatch.setattr(chunks.chunks, "__defaults__", (rows,))

        assert summarize(run) == whole

    def test_tallies_add_up_over_chunks(self) -> None:
        tally = Tally()
        for part in ([3, 1, 3], [], [2**64 - 1, 1]):
            tally.add(np.array(part, np.uint64))

        assert tally.keys.tolist() == [1, 3, 2**64 - 1]
        assert tally.counts.tolist() == [2, 2, 1]

    def test_a_site_keeps_its_number(self) -> None:
        sites = Sites()
        first = sites.numbers(np.array([50, 20, 50], np.uint64)).tolist()
        again = sites.numbers(np.array([10, 50, 20], np.uint64)).tolist()

        assert first[0] == first[2] == again[1]
        assert first[1] == again[2]
        assert sites.addresses[[first[0], first[1], again[0]]].tolist() == [50, 20, 10]
