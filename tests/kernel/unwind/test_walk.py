"""A walk believes nothing that can't be: it stays in the stack, goes up, and ends at the top."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from emu.build.memory_map import USER_TEXT
from emu.kernel.unwind import MAX_STACK_ENTRIES, Walk
from emu.kernel.unwind.row import Row
from emu.kernel.unwind.state import PC, Kind
from emu.kernel.unwind.walk import Goes, Stack

LOW, HIGH = 0x1000, 0x2000
FUNCTION, CALLER, BOTTOM = 1, 2, 3


def way(kind: Kind = Kind.CALL, base: str = "sp", offset: int = 0x10, **places: int | str) -> Row:
    """Return a row; the return address is the frame's last word unless said otherwise."""
    return Row(kind=kind, base=base, offset=offset, places={PC: -8, **places})


FIRST = way(Kind.FIRST, offset=0)


def walk(
    rows: Mapping[int, Row],
    words: Mapping[int, int],
    *,
    sp: int = HIGH - 0x20,
    goes: Callable[[int, Goes], None] = lambda _at, _goes: None,
    **registers: int,
) -> Walk:
    """Walk a stack that holds ``words``; any other one in it is 0, and none outside may be looked at."""

    def load(address: int) -> int:
        assert LOW <= address <= HIGH - 8, f"{address:#x} is outside"
        return words.get(address, 0)

    def row(address: int, found: Goes) -> Row | None:
        goes(address, found)
        return rows.get(address)

    stack = Stack(sp="sp", low=LOW, high=HIGH, load=load, row=row, place=hex)
    return stack.walk({PC: FUNCTION, "sp": sp, **registers}, Goes.ON)


class TestWalk:
    """Frame by frame, as the rows say."""

    def test_a_function_its_caller_and_the_first(self) -> None:
        how = list[tuple[int, Goes]]()
        found = walk(
            {FUNCTION: way(), CALLER: way(), BOTTOM: FIRST}, {HIGH - 0x18: CALLER, HIGH - 8: BOTTOM},
            goes=lambda at, goes: how.append((at, goes)),
        )  # fmt: skip
        assert found == Walk(entries=(FUNCTION, CALLER, BOTTOM), sp=HIGH, problem="")
        assert how == [(FUNCTION, Goes.ON), (CALLER, Goes.BACK), (BOTTOM, Goes.BACK)]

    @pytest.mark.parametrize(
        ("kind", "goes"),
        [(Kind.SITE, Goes.ON), (Kind.EXCEPTION, Goes.ON), (Kind.SWITCHED, Goes.SWITCHED)],
    )
    def test_how_an_address_is_looked_up(self, kind: Kind, goes: Goes) -> None:
        how = dict[int, Goes]()
        walk({FUNCTION: way(kind)}, {HIGH - 0x18: CALLER}, goes=how.__setitem__)
        assert how[CALLER] is goes

    def test_a_caller_whose_frame_pointer_comes_from_its_callee(self) -> None:
        rows = {FUNCTION: way(fp=-0x10), CALLER: way(base="fp", offset=0x10), BOTTOM: FIRST}
        words = {HIGH - 0x20: HIGH - 0x10, HIGH - 0x18: CALLER, HIGH - 8: BOTTOM}
        assert walk(rows, words).entries == (FUNCTION, CALLER, BOTTOM)

    def test_a_return_address_in_a_register(self) -> None:
        rows = {FUNCTION: Row(kind=Kind.CALL, base="sp", offset=0x20, places={PC: "lr"}), BOTTOM: FIRST}
        assert walk(rows, {}, lr=BOTTOM).entries == (FUNCTION, BOTTOM)
        assert "a return address that is not known" in walk(rows, {}).problem

    def test_user_text_ends_a_stack_at_its_top(self) -> None:
        rows = {FUNCTION: way(Kind.EXCEPTION, offset=0x20, sp=-0x10)}
        words = {HIGH - 8: USER_TEXT.base, HIGH - 0x10: 0x7000}
        assert walk(rows, words) == Walk(entries=(FUNCTION,), sp=HIGH, problem="")
        lower = {at - 0x10: word for at, word in words.items()}
        assert "user text" in walk(rows, lower, sp=HIGH - 0x30).problem


class TestProblems:
    """What can't be is told, and nothing outside the stack is looked at."""

    def test_no_row(self) -> None:
        assert walk({}, {}) == Walk(entries=(FUNCTION,), sp=HIGH - 0x20, problem="no frame is known at 0x1")

    @pytest.mark.parametrize("sp", [LOW - 8, HIGH - 8, HIGH + 8, 1 << 63])
    def test_a_frame_that_leaves_the_stack(self, sp: int) -> None:
        assert "outside the stack" in walk({FUNCTION: way()}, {}, sp=sp).problem

    @pytest.mark.parametrize("fp", [0, LOW, HIGH - 0x28, HIGH, 1 << 40])
    def test_a_frame_pointer_that_does_not_point_up_into_the_stack(self, fp: int) -> None:
        assert (
            "outside the stack" in walk({FUNCTION: way(base="fp", offset=0)}, {}, fp=fp).problem or fp == HIGH
        )

    def test_a_base_that_nobody_knows(self) -> None:
        assert "outside the stack" in walk({FUNCTION: way(base="fp")}, {}).problem

    @pytest.mark.parametrize("at", [0, -0x28])
    def test_a_word_above_the_stack_or_below_the_stack_pointer(self, at: int) -> None:
        row = Row(kind=Kind.CALL, base="sp", offset=0x20, places={PC: at})
        assert "not known" in walk({FUNCTION: row}, {HIGH + at: CALLER} if at else {}).problem

    @pytest.mark.parametrize("sp", [0, LOW, HIGH - 0x28, HIGH + 8, 1 << 63])
    def test_a_caller_further_down_or_elsewhere(self, sp: int) -> None:
        rows = {FUNCTION: way(Kind.EXCEPTION, sp=-0x10), BOTTOM: FIRST}
        found = walk(rows, {HIGH - 0x18: BOTTOM, HIGH - 0x20: sp})
        assert "a caller's stack pointer" in found.problem

    def test_a_first_frame_below_the_top(self) -> None:
        found = walk({FUNCTION: way(), BOTTOM: FIRST}, {HIGH - 0x18: BOTTOM})
        assert found.problem == "a first frame 0x10 bytes below the top at 0x3"

    def test_frames_without_end(self) -> None:
        rows = {FUNCTION: Row(kind=Kind.SITE, base="sp", offset=0, places={PC: "lr", "lr": "lr"})}
        found = walk(rows, {}, lr=FUNCTION)
        assert len(found.entries) == MAX_STACK_ENTRIES
        assert "too many" in found.problem
