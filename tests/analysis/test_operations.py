"""When patches were enabled and disabled, and the stages of their lives."""

import numpy as np
import pytest

from emu.analysis import Bounds, bounds_of, life_of
from emu.analysis.operations import STAGES, NoSuchOperationError
from emu.trace import CALLS, EVENTS, EventKind, Run
from tests.trace import strategies


class TestBounds:
    EVENTS = strategies.rows_of(
        EVENTS,
        {"kind": EventKind.ENABLE, "a": 2, "seq": 5, "cycle": 900},
        {"kind": EventKind.SETTLED, "a": 2, "b": 1, "seq": 8, "cycle": 950},
        {"kind": EventKind.ENABLE, "a": 1, "seq": 40, "cycle": 30},
        {"kind": EventKind.SETTLED, "a": 1, "b": 1, "seq": 80, "cycle": 35},
        {"kind": EventKind.DISABLE, "a": 1, "seq": 100, "cycle": 31},
        {"kind": EventKind.SETTLED, "a": 1, "seq": 110, "cycle": 32},
        {"kind": EventKind.DISABLE, "a": 2, "seq": 120, "cycle": 10},
    )

    def test_bounds_are_those_of_the_events(self) -> None:
        run = strategies.recorded(np.empty(0, CALLS), self.EVENTS)

        assert bounds_of(run, 1) == Bounds(begin=40, end=80, begin_cycle=30, end_cycle=35)
        assert bounds_of(run, 1, kind=EventKind.DISABLE) == Bounds(
            begin=100, end=110, begin_cycle=31, end_cycle=32
        )

    def test_an_enabling_that_was_reversed_is_none(self) -> None:
        reversed_one = strategies.rows_of(
            EVENTS,
            {"kind": EventKind.SETTLED, "a": 1, "seq": 1},
            {"kind": EventKind.ENABLE, "a": 1, "seq": 2},
            {"kind": EventKind.DISABLE, "a": 1, "seq": 3},
            {"kind": EventKind.SETTLED, "a": 1, "seq": 4},
        )
        with pytest.raises(NoSuchOperationError, match=r"^patch 1 was never settled in this run; "):
            bounds_of(strategies.recorded(np.empty(0, CALLS), reversed_one), 1)
        back = bounds_of(strategies.recorded(np.empty(0, CALLS), reversed_one), 1, kind=EventKind.DISABLE)
        assert (back.begin, back.end) == (3, 4)

        second = strategies.rows_of(
            EVENTS,
            {"kind": EventKind.ENABLE, "a": 1, "seq": 7},
            {"kind": EventKind.SETTLED, "a": 1, "b": 1, "seq": 9},
        )
        both = strategies.recorded(np.empty(0, CALLS), np.concatenate((reversed_one, second)))
        assert (bounds_of(both, 1).begin, bounds_of(both, 1).end) == (7, 9)

    @pytest.mark.parametrize(
        ("patch", "kind", "what"),
        [
            (3, EventKind.ENABLE, "enabled"),
            (0, EventKind.DISABLE, "disabled"),
            (2, EventKind.DISABLE, "settled"),
        ],
    )
    def test_an_operation_that_was_not_is_named(self, patch: int, kind: EventKind, what: str) -> None:
        run = strategies.recorded(np.empty(0, CALLS), self.EVENTS)
        with pytest.raises(NoSuchOperationError, match=rf"^patch {patch} was never {what} in this run; "):
            bounds_of(run, patch, kind=kind)


ENABLE, DISABLE, SETTLED = EventKind.ENABLE, EventKind.DISABLE, EventKind.SETTLED


def run_of(*events: tuple[int, EventKind, int, int]) -> Run:
    rows = [dict(zip(("seq", "kind", "a", "b"), event, strict=True)) for event in events]
    return strategies.recorded(np.empty(0, CALLS), strategies.rows_of(EVENTS, *rows))


class TestLife:
    """Each stage ends where the next begins."""

    BEGINS = ((10, ENABLE, 1, 0), (20, SETTLED, 1, 1))

    def test_of_operations_that_settled_stages_are_their_bounds(self) -> None:
        run = run_of(*self.BEGINS, (25, EventKind.SYNC, 1, 1), (30, DISABLE, 1, 0), (40, SETTLED, 1, 0))

        enabling, disabling = bounds_of(run, 1), bounds_of(run, 1, kind=DISABLE)
        begins = (0, enabling.begin, enabling.end, disabling.begin, disabling.end)
        assert life_of(run, 1) == list(zip(begins, STAGES, strict=True))

    def test_what_has_begun_is_a_stage_though_the_run_ended_in_it(self) -> None:
        assert life_of(run_of(*self.BEGINS[:1]), 1) == [(0, "before"), (10, "enabling")]
        assert life_of(run_of(*self.BEGINS, (30, DISABLE, 1, 0)), 1)[-1] == (30, "disabling")

    def test_an_enabling_that_fails_has_no_enabled_stage(self) -> None:
        run = run_of((10, ENABLE, 1, 0), (20, SETTLED, 1, 0))

        assert life_of(run, 1) == [(0, "before"), (10, "enabling"), (20, "after")]

    def test_an_operation_reversed_gives_way_to_the_other(self) -> None:
        run = run_of((10, ENABLE, 1, 0), (20, DISABLE, 1, 0), (30, SETTLED, 1, 0))

        assert life_of(run, 1) == [(0, "before"), (10, "enabling"), (20, "disabling"), (30, "after")]

    def test_being_replaced_is_being_disabled(self) -> None:
        run = run_of(*self.BEGINS, (30, ENABLE, 2, 1), (40, SETTLED, 2, 1), (50, DISABLE, 2, 0))

        assert life_of(run, 1)[2:] == [(20, "enabled"), (30, "disabling"), (40, "after")]
        assert life_of(run, 2)[1:] == [(30, "enabling"), (40, "enabled"), (50, "disabling")]

    def test_a_replacement_that_fails_leaves_it_enabled(self) -> None:
        run = run_of(*self.BEGINS, (30, ENABLE, 2, 1), (40, SETTLED, 2, 0))

        assert life_of(run, 1)[2:] == [(20, "enabled"), (30, "disabling"), (40, "enabled")]

    def test_disabled_by_itself_meanwhile_it_is_not_being_replaced_any_more(self) -> None:
        run = run_of(*self.BEGINS, (30, ENABLE, 2, 1), (35, DISABLE, 1, 0), (40, SETTLED, 2, 0))

        assert life_of(run, 1)[2:] == [(20, "enabled"), (30, "disabling")]

    def test_a_patch_on_top_changes_nothing(self) -> None:
        on_top = (30, ENABLE, 2, 0), (40, SETTLED, 2, 1), (50, DISABLE, 2, 0), (60, SETTLED, 2, 0)

        assert life_of(run_of(*self.BEGINS, *on_top), 1)[-1] == (20, "enabled")
