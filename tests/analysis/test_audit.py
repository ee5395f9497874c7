"""The consistency audit finds what is wrong, and nothing else."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from emu.analysis import Audit, Phase, audit, chunks, phases
from emu.analysis.phases import NEVER
from emu.trace import CALLS, EVENTS, CallFlag, EventKind, MemoryRecorder
from tests.reference import trace_analysis as slow
from tests.trace import strategies

LEAF, TAIL, LOOP, LP1_LEAF, LP1_TAIL, LP2_LEAF = (s.address for s in strategies.SYMBOLS.values())
ON, NEW = CallFlag.HOOKED, CallFlag.HOOKED | CallFlag.REDIRECTED
STATE = CallFlag.TRANSITION


def event(seq: int, kind: EventKind, patch: int = 0, flag: int = 0) -> dict[str, int]:
    """An event on a CPU whose clock tells nothing: it says 90_000 cycles less its number."""
    return {"seq": seq, "kind": kind, "a": patch, "b": flag, "cycle": 90_000 - seq}


# p1 is enabled from 100 on, its sites are on from 120, it is complete at 200; disabled from 300 to 400.
TIMELINE = (
    event(100, EventKind.ENABLE, 1),
    event(105, EventKind.TEXT_POKE),
    event(110, EventKind.SYNC),
    event(115, EventKind.TEXT_POKE),
    event(120, EventKind.SYNC),
    event(150, EventKind.SYNC),
    event(200, EventKind.SETTLED, 1, 1),
    event(300, EventKind.DISABLE, 1),
    event(380, EventKind.TEXT_POKE),
    event(390, EventKind.SYNC),
    event(400, EventKind.SETTLED, 1),
)


def call(seq: int, target: int, flags: int, *, site: int = LEAF, **more: int) -> dict[str, int]:
    """A call on a CPU whose clock has gone further than that of the events."""
    patch = {LP1_LEAF: 1, LP1_TAIL: 1, LP2_LEAF: 2}.get(target, 0)
    row = {"seq": seq, "dispatch_seq": seq, "site": site, "target": target, "flags": flags, "patch": patch}
    return row | {"patch_state": -2, "enter": 100_000 + seq, "dispatched": 100_001 + seq} | more


def audit_of(*calls: dict[str, int], events: tuple[dict[str, int], ...] = TIMELINE) -> Audit:
    run = strategies.recorded(strategies.rows_of(CALLS, *calls), strategies.rows_of(EVENTS, *events))
    return audit(run)


def rules_of(*calls: dict[str, int], events: tuple[dict[str, int], ...] = TIMELINE) -> list[str]:
    return [finding.rule for finding in audit_of(*calls, events=events).findings]


class TestVersion:
    def test_every_registered_version_passes(self) -> None:
        result = audit_of(
            call(99, LEAF, 0),
            call(101, LEAF, 0),
            call(130, LEAF, ON | STATE, patch_state=0),
            call(130, LP1_LEAF, NEW | STATE, patch_state=1),
            call(201, LP1_LEAF, NEW),
            call(299, LP1_TAIL, NEW, site=TAIL),
            call(301, LEAF, ON | STATE, patch_state=0),
            call(399, LP1_LEAF, NEW | STATE, patch_state=1),
            call(401, LEAF, 0),
            call(250, LOOP, 0, site=LOOP),
        )

        assert result.passed
        assert (result.checked, result.findings, result.notes) == (10, (), ())

    @pytest.mark.parametrize(
        ("enter", "target", "flags"),
        [(99, LP1_LEAF, NEW), (201, LEAF, ON), (201, LEAF, 0), (401, LP1_LEAF, NEW), (250, LP2_LEAF, NEW)],
    )
    def test_a_version_that_was_not_registered_is_found(self, enter: int, target: int, flags: int) -> None:
        assert rules_of(call(enter, target, flags)) == ["version"]

    def test_a_call_may_take_what_was_registered_between_entry_and_dispatch(self) -> None:
        assert rules_of(call(99, LP1_LEAF, NEW, dispatch_seq=101)) == []
        assert rules_of(call(399, LP1_LEAF, NEW, dispatch_seq=450)) == []
        assert rules_of(call(99, LP1_LEAF, NEW, dispatch_seq=500)) == []
        assert rules_of(call(90, LP1_LEAF, NEW, dispatch_seq=99)) == ["version"]
        assert rules_of(call(401, LP1_LEAF, NEW, dispatch_seq=450)) == ["version"]

    def test_what_came_first_is_told_by_numbers_whatever_the_clocks_say(self) -> None:
        for clock in (0, 89_800, 200_000):
            early = call(199, LEAF, ON, enter=clock, dispatched=clock)
            late = call(201, LEAF, ON, enter=clock, dispatched=clock)
            assert rules_of(early) == []
            assert rules_of(late) == ["version"]

    def test_a_finding_tells_where_and_what(self) -> None:
        result = audit_of(call(1, LEAF, 0), call(250, LEAF, 0, cpu=1, enter=7))

        (finding,) = result.findings
        assert (finding.row, finding.seq, finding.cpu, finding.cycle) == (1, 250, 1, 7)
        assert finding.what == (
            "mini_leaf ran the original; registered at its entry was lp1_mini_leaf, "
            "since event 200 (cycle 89_800)"
        )
        assert result.counts == {"version": 1, "site": 0, "state": 0, "columns": 0}
        assert not result.passed

    def test_before_the_first_operation_there_is_no_event_to_name(self) -> None:
        (finding,) = audit_of(call(50, LP1_LEAF, NEW)).findings
        assert finding.what.endswith("registered at its entry was the original, since the start")

    def test_a_call_that_the_run_ended_in_before_its_dispatch_is_not_checked(self) -> None:
        result = audit_of(
            call(250, LEAF, CallFlag.UNFINISHED),
            call(250, LEAF, CallFlag.UNFINISHED | ON),
            call(251, LEAF, CallFlag.UNFINISHED | ON, dispatch_seq=252, patch_state=-1),
            call(251, LEAF, CallFlag.UNFINISHED | ON, dispatch_seq=252),  # in the trampoline, after one before it
            call(253, LEAF, CallFlag.UNFINISHED, dispatch_seq=254),  # of the interrupt that it came back from
        )
        assert (result.counts["version"], result.checked, result.unchecked) == (1, 1, 4)

    def test_a_missing_recursion_bit_is_told(self) -> None:
        result = audit_of(call(250, LEAF, ON | CallFlag.RECURSION))
        assert result.findings[0].what.endswith("since event 200 (cycle 89_800); no recursion bit was free")


class TestStack:
    STACKED = (
        *TIMELINE[:7],
        event(210, EventKind.ENABLE, 2),
        event(220, EventKind.SETTLED, 2, 1),
        event(230, EventKind.DISABLE, 2),
        event(240, EventKind.SETTLED, 2),
    )

    def test_the_newest_enabled_patch_is_the_registered_one(self) -> None:
        assert rules_of(
            call(205, LP1_LEAF, NEW), call(215, LP1_LEAF, NEW | STATE, patch_state=0),
            call(215, LP2_LEAF, NEW | STATE, patch_state=1), call(225, LP2_LEAF, NEW),
            call(225, TAIL, ON | CallFlag.NOP, site=TAIL), call(245, LP1_LEAF, NEW),
            events=self.STACKED,
        ) == []  # fmt: skip
        assert rules_of(call(225, LP1_LEAF, NEW), call(225, LEAF, ON), events=self.STACKED) == ["version"] * 2

    def test_between_two_patches_the_original_never_runs(self) -> None:
        assert rules_of(call(215, LEAF, ON), events=self.STACKED) == ["version"]

    def test_an_atomic_replace_leaves_only_itself(self) -> None:
        events = (
            *TIMELINE[:7],
            event(210, EventKind.ENABLE, 2, 1),
            event(220, EventKind.SETTLED, 2, 1),
        )
        assert rules_of(call(215, LP1_LEAF, NEW), call(225, LP2_LEAF, NEW), events=events) == []
        assert rules_of(call(225, LP1_LEAF, NEW), events=events) == ["version"]

    def test_a_reversed_enabling_leaves_what_was(self) -> None:
        events = (*TIMELINE[:5], event(160, EventKind.DISABLE, 1), event(180, EventKind.SETTLED, 1))
        assert (
            rules_of(call(170, LP1_LEAF, NEW), call(170, LEAF, ON), call(181, LEAF, 0), events=events) == []
        )
        assert rules_of(call(170, LEAF, 0), events=events) == []  # its site may be off again
        assert rules_of(call(181, LP1_LEAF, NEW), events=events) == ["version"]


class TestSite:
    def test_a_site_may_be_off_until_the_last_pokes_sync(self) -> None:
        assert rules_of(call(111, LEAF, 0), call(119, LEAF, 0), call(301, LEAF, 0)) == []

    def test_a_call_past_a_site_that_is_on_is_found(self) -> None:
        result = audit_of(call(121, LEAF, 0, cpu=3))
        assert result.findings[0].what == (
            "mini_leaf was entered on CPU 3 past its site, which is on since event 120 (cycle 89_880)"
        )
        assert result.counts["site"] == 1

    def test_a_site_may_be_off_that_was_off_at_some_moment_before_the_dispatch(self) -> None:
        again = (
            *TIMELINE[:8],
            event(310, EventKind.ENABLE, 1),
            event(320, EventKind.TEXT_POKE),
            event(330, EventKind.SYNC),
        )
        assert rules_of(call(130, LEAF, 0, dispatch_seq=140), events=again) == ["site"]
        assert rules_of(call(299, LEAF, 0, dispatch_seq=305), events=again) == []
        assert rules_of(call(299, LEAF, 0, dispatch_seq=340), events=again) == []
        assert rules_of(call(331, LEAF, 0, dispatch_seq=340), events=again) == ["site"]

    def test_other_functions_sites_stay_as_they_are(self) -> None:
        assert rules_of(call(130, LOOP, 0, site=LOOP), call(130, LOOP, ON, site=LOOP)) == []


class TestState:
    @pytest.mark.parametrize(("state", "target", "flags"), [(0, LP1_LEAF, NEW), (1, LEAF, ON)])
    @pytest.mark.parametrize("enter", [130, 350])
    def test_a_task_that_gets_the_other_version_is_found(
        self, enter: int, state: int, target: int, flags: int
    ) -> None:
        result = audit_of(call(enter, target, flags | STATE, patch_state=state))
        assert [finding.rule for finding in result.findings] == ["state"]
        assert f"for a task in state {state}; that is " in result.findings[0].what

    def test_a_call_that_spans_two_transitions_is_not_judged_by_the_first(self) -> None:
        events = (
            *TestStack.STACKED[:9],
            event(230, EventKind.DISABLE, 1),
        )
        long = call(130, LP2_LEAF, NEW | STATE, patch_state=1, dispatch_seq=235)
        assert rules_of(long, events=events) == []


class TestColumns:
    @pytest.mark.parametrize(
        "row",
        [
            call(250, LP1_LEAF, NEW, patch=2),
            call(250, LP1_LEAF, NEW, patch=0),
            call(250, LP1_LEAF, NEW, patch=9),
            call(250, LP1_LEAF, ON),
            call(50, LEAF, NEW),
            call(50, LEAF, 0, patch=1),
        ],
    )
    def test_a_row_that_contradicts_itself_is_found(self, row: dict[str, int]) -> None:
        assert rules_of(row) == ["columns"]


class TestAnyRun:
    @settings(deadline=None)
    @given(strategies.likely_calls(), strategies.livepatch_events())
    def test_it_agrees_with_the_slow_twin(self, calls: NDArray[np.void], events: NDArray[np.void]) -> None:
        run = strategies.recorded(calls, events)
        result = audit(run)

        assert [(f.rule, f.row) for f in result.findings] == slow.broken_rules(run)

    @settings(deadline=None)
    @given(strategies.likely_calls(), strategies.livepatch_events(), st.data())
    def test_no_clock_changes_its_answer(
        self, calls: NDArray[np.void], events: NDArray[np.void], data: st.DataObject
    ) -> None:
        before = audit(strategies.recorded(calls, events))
        for table, columns in ((calls, ("enter", "dispatched", "exit")), (events, ("cycle",))):
            for column in columns:
                table[column] = [data.draw(st.integers(0, 2**64 - 1)) for _ in table]

        after = audit(strategies.recorded(calls, events))

        assert (after.checked, after.counts) == (before.checked, before.counts)
        assert [(f.rule, f.row) for f in after.findings] == [(f.rule, f.row) for f in before.findings]

    @settings(deadline=None)
    @given(strategies.any_rows(CALLS), strategies.any_rows(EVENTS))
    def test_no_row_breaks_it(self, calls: NDArray[np.void], events: NDArray[np.void]) -> None:
        audit(strategies.recorded(calls, events))

    @settings(deadline=None)
    @given(strategies.livepatch_events())
    def test_phases_have_no_gap(self, events: NDArray[np.void]) -> None:
        spans: list[Phase] = phases(events, strategies.meta())

        assert (spans[0].begin, spans[-1].end) == (0, NEVER)
        assert all(one.end == other.begin for one, other in pairwise(spans))
        assert all(span.begin < span.end for span in spans[1:])

    def test_all_findings_are_counted_and_the_first_described(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(chunks.chunks, "__defaults__", (4,))
        rows = strategies.rows_of(CALLS, *[call(250, LEAF, 0)] * 10)
        result = audit(strategies.recorded(rows, strategies.rows_of(EVENTS, *TIMELINE)), limit=6)

        assert [finding.row for finding in result.findings] == [0, 1, 2, 3, 4, 5]
        assert result.counts["version"] == 10

    def test_past_the_events_of_a_killed_run_nothing_is_judged(self) -> None:
        rows = (
            call(201, LEAF, 0),
            call(199, LP1_LEAF, NEW, dispatch_seq=201),
            call(198, LP1_LEAF, NEW, dispatch_seq=199),
        )
        recorder = MemoryRecorder(strategies.meta())
        recorder.set_symbols(strategies.SYMBOLS)
        recorder.add_events(strategies.rows_of(EVENTS, *TIMELINE[:7]))
        recorder.add_calls(strategies.rows_of(CALLS, *rows))
        result = audit(recorder.run())

        assert (result.passed, result.checked, result.unchecked) == (True, 1, 2)
        assert result.notes == (
            "calls past number 200, the last event, are not checked: later events may be missing",
        )

    def test_a_name_without_a_symbol_is_noted_and_accepted(self) -> None:
        meta = strategies.meta()
        meta["patches"][1]["functions"] = {"mini_leaf": "gone", "lost": "lp1_mini_tail"}
        rows = strategies.rows_of(
            CALLS,
            call(250, 0x77, NEW, patch=1),
            call(250, LP1_TAIL, NEW, site=0x88),  # that may be "lost"
            call(250, LP2_LEAF, NEW, site=0x88),  # no function of p2 is missing
            call(250, LP1_TAIL, NEW, site=0x88, patch=9),
        )
        run = strategies.recorded(rows, strategies.rows_of(EVENTS, *TIMELINE), patches=meta["patches"])
        result = audit(run)

        assert [finding.row for finding in result.findings] == [2, 3]
        assert (result.checked, result.unchecked) == (3, 1)
        assert [note.split()[0] for note in result.notes] == ["'gone'", "'lost'"]
