"""The facts that `klpemu run` and `klpemu analyze` print."""

import json

import numpy as np
from hypothesis import given, settings
from numpy.typing import NDArray

from emu.analysis import audit, cost, report_of, summarize
from emu.trace import CALLS, EVENTS, CallFlag, EventKind, Run
from tests.reference import trace_analysis as slow
from tests.trace import strategies

LEAF, TAIL, _, LP1_LEAF, _, LP2_LEAF = (s.address for s in strategies.SYMBOLS.values())
ON, NEW = CallFlag.HOOKED, CallFlag.HOOKED | CallFlag.REDIRECTED


def call(seq: int, target: int, flags: int, took: int, **more: int) -> dict[str, int]:
    patch = {LP1_LEAF: 1, LP2_LEAF: 2}.get(target, 0)
    row = {"seq": seq, "dispatch_seq": seq, "site": LEAF, "target": target, "patch": patch, "flags": flags}
    return row | {"patch_state": -1 if flags else -2, "exit": took, "insns": took // 2} | more


def patched_run() -> Run:
    """p1 is enabled from 10 to 20 and disabled from 30 to 40; p2 is enabled from 50 on, and never settles."""
    return strategies.recorded(
        strategies.rows_of(
            CALLS,
            call(5, LEAF, 0, 100),
            call(25, LP1_LEAF, NEW, 300, cpu=10),
            call(15, LP1_LEAF, NEW, 500, cpu=2),
            call(26, LP1_LEAF, NEW, 400),
            call(45, TAIL, 0, 60, site=TAIL, cpu=10),
            call(46, LP1_LEAF, NEW, 320, cpu=2, enter=20, dispatched=20),
        ),
        strategies.rows_of(
            EVENTS,
            {"seq": 10, "kind": EventKind.ENABLE, "a": 1},
            {"seq": 20, "kind": EventKind.SETTLED, "a": 1, "b": 1},
            {"seq": 30, "kind": EventKind.DISABLE, "a": 1},
            {"seq": 40, "kind": EventKind.SETTLED, "a": 1, "cycle": 1_234},
            {"seq": 50, "kind": EventKind.ENABLE, "a": 2},
        ),
    )


def facts(calls: int, median: int, p90: int, insns: tuple[int, int]) -> dict[str, int]:
    cycles = {"median": median, "p90": p90, "p99": p90, "max": p90}
    return {"calls": calls, **cycles, "insns_median": insns[0], "insns_p99": insns[1]}


class TestReport:
    def test_it_says_who_ran_what(self) -> None:
        report = report_of(patched_run())

        assert report["by_version"] == {"original": 2, "p1": 4, "p2": 0}
        assert report["by_cpu"] == {
            "0": {"original": 1, "p1": 1},
            "2": {"p1": 2},
            "10": {"original": 1, "p1": 1},
        }
        assert list(report["by_cpu"]) == ["0", "2", "10"]
        assert report["by_function"] == {"mini_leaf": {"original": 1, "p1": 4}, "mini_tail": {"original": 1}}
        assert report["by_patch_state"] == {"idle": 4, "not dispatched": 2}

    def test_it_says_what_calls_cost(self) -> None:
        assert report_of(patched_run())["cost"] == {
            "unpatched": facts(2, 60, 100, (30, 50)),
            "patched": facts(4, 300, 500, (160, 250)),
        }

    def test_it_says_what_calls_cost_in_each_stage_of_a_patch(self) -> None:
        assert report_of(patched_run())["stages"] == {
            "p1": {
                "before": {"unpatched": facts(1, 100, 100, (50, 50))},
                "enabling": {"patched": facts(1, 500, 500, (250, 250))},
                "enabled": {"patched": facts(2, 300, 400, (150, 200))},
                "disabling": {},
                "after": {"unpatched": facts(1, 60, 60, (30, 30)), "patched": facts(1, 300, 300, (160, 160))},
            },
            "p2": {
                "before": {
                    "unpatched": facts(2, 60, 100, (30, 50)), "patched": facts(4, 300, 500, (160, 250)),
                },
                "enabling": {},
            },
        }  # fmt: skip

    def test_versions_are_in_order_of_their_index(self) -> None:
        meta = strategies.meta()
        meta["patches"][1]["name"], meta["patches"][2]["name"] = "z", "a"
        report = report_of(
            strategies.recorded(patched_run().calls, patched_run().events, patches=meta["patches"])
        )

        assert list(report["by_version"]) == ["original", "z", "a"]
        assert list(report["stages"]) == ["z", "a"]
        assert list(report["by_function"]["mini_leaf"]) == list(report["by_cpu"]["0"]) == ["original", "z"]

    def test_it_says_whether_the_run_was_consistent(self) -> None:
        assert report_of(patched_run())["audit"] == {
            "passed": False,
            "checked": 6,
            "unchecked": 0,
            "counts": {"version": 1, "site": 0, "state": 0, "columns": 0},
            "findings": [
                "version: mini_leaf ran lp1_mini_leaf; registered at its entry was the original, "
                "since event 40 (cycle 1_234) (call 46, CPU 2, cycle 20)"
            ],
            "notes": [],
        }

    def test_only_the_first_findings_are_told(self) -> None:
        rows = strategies.rows_of(CALLS, *[call(seq, LP1_LEAF, NEW, 5) for seq in range(30)])
        result = report_of(strategies.recorded(rows, np.empty(0, EVENTS)))["audit"]

        assert (result["counts"]["version"], len(result["findings"])) == (30, 10)

    def test_patches_of_one_name_are_told_apart(self) -> None:
        meta = strategies.meta()
        meta["patches"][2]["name"] = "p1"
        report = report_of(
            strategies.recorded(patched_run().calls, patched_run().events, patches=meta["patches"])
        )

        assert list(report["stages"]) == ["p1#1", "p1#2"]
        assert list(report["by_version"]) == ["original", "p1#1", "p1#2"]

    def test_an_empty_run_has_a_report(self) -> None:
        report = report_of(strategies.recorded(np.empty(0, CALLS), np.empty(0, EVENTS)))

        assert report["by_version"] == {"original": 0, "p1": 0, "p2": 0}
        assert (report["by_cpu"], report["cost"], report["stages"]) == ({}, {}, {})
        assert report["audit"]["passed"]


class TestAnyRun:
    @settings(deadline=None)
    @given(strategies.likely_calls(), strategies.livepatch_events())
    def test_it_is_json_and_in_order_and_agrees_with_its_parts(
        self, calls: NDArray[np.void], events: NDArray[np.void]
    ) -> None:
        run = strategies.recorded(calls, events)
        report = report_of(run)

        assert json.loads(json.dumps(report)) == report
        for name in ("by_function", "by_patch_state"):
            assert list(report[name]) == sorted(report[name])
        names = ["original", "p1", "p2", "patch 9"]  # by index
        assert list(report["stages"]) == [name for name in names if name in report["stages"]]
        for nested in (report["by_version"], *report["by_cpu"].values(), *report["by_function"].values()):
            assert list(nested) == [name for name in names if name in nested]
        assert [int(cpu) for cpu in report["by_cpu"]] == sorted({row["cpu"] for row in slow.rows(calls)})
        assert report["by_version"] == summarize(run).by_version
        assert list(report["cost"]) == list(cost(run).groups)
        assert report["audit"]["counts"] == audit(run).counts

    @settings(deadline=None)
    @given(strategies.any_rows(CALLS), strategies.any_rows(EVENTS))
    def test_no_row_breaks_it(self, calls: NDArray[np.void], events: NDArray[np.void]) -> None:
        report = report_of(strategies.recorded(calls, events))

        assert json.loads(json.dumps(report)) == report
