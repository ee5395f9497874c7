"""What a load costs by what it depends on: another load, a store, two stores."""

from __future__ import annotations

import pytest

from emu.timing import NONE, RowTable, load_cpu_model, new_cpu, new_shared, step
from emu.timing.layout import R_LENGTH, R_LOADS, R_STORES, ROW_WORDS

HERE, AREA = 0x1000, 0x8000

CHASE = ("000040f9",)  # ldr x0, [x0]
CHASE_SECOND = ("010040a9",)  # ldp x1, x0, [x0]: base from the second register
CHASE_ADDED = ("000040f9", "00000091")  # and add x0, x0, #0
THROUGH_STORE = ("200000f9", "200040f9")  # str x0, [x1] ; ldr x0, [x1]
THROUGH_RELEASE = ("20fc9fc8", "200040f9")  # stlr x0, [x1] ; ldr x0, [x1]
THROUGH_TWO = ("200000f9", "220400f9", "200840a9")  # str x0, [x1] ; str x2, [x1, #8] ; ldp x0, x2, [x1]
THROUGH_PAIR = ("200800a9", "200840a9")  # stp x0, x2, [x1] ; ldp x0, x2, [x1]
THROUGH_HALF = ("200000b9", "200040f9")  # str w0, [x1] ; ldr x0, [x1]


def cycles(model: str, *codes: str, rounds: int = 60) -> float:
    """Return the cycles of one round of a loop over 64-bit loads and stores, all in one line."""
    rows = RowTable(load_cpu_model(model))
    cpu, shared = new_cpu(rows.model), new_shared(rows.model)
    back = rows.index(bytes.fromhex("00000014"))
    clocks = []
    for _ in range(rounds):
        pc = HERE
        for code in codes:
            row = rows.index(bytes.fromhex(code))
            facts = rows.array[row * ROW_WORDS : (row + 1) * ROW_WORDS]
            stored = AREA + 8 if code == "220400f9" else AREA
            reads, writes = (AREA if facts[R_LOADS] else NONE), (stored if facts[R_STORES] else NONE)
            following = pc + int(facts[R_LENGTH])
            step(cpu, shared, rows.array, row, pc, following, reads, writes, -1)
            pc = following
        clocks.append(step(cpu, shared, rows.array, back, pc, HERE, NONE, NONE, -1))
    return (clocks[-1] - clocks[rounds // 2 - 1]) / (rounds // 2)


class TestALoadWhoseAddressIsALoads:
    """Source: Johnson, applecpu/firestorm.html, Complex Latencies; Chen, Apple M1, load to use latency."""

    def test_it_is_sooner_on_apple_m1(self) -> None:
        assert cycles("apple-m1", *CHASE) == 3
        assert cycles("neoverse-v2", *CHASE) == 4

    def test_but_not_from_the_second_register_of_a_pair(self) -> None:
        assert cycles("apple-m1", *CHASE_SECOND) == 4

    def test_nor_through_an_addition(self) -> None:
        assert cycles("apple-m1", *CHASE_ADDED) == 5


class TestALoadBehindAStoreOfItsAddress:
    """Source: Chen, Apple M1, store to load forwarding: 7.5 cycles; 28 and more where it fails."""

    @pytest.mark.parametrize("codes", [THROUGH_STORE, THROUGH_HALF, THROUGH_RELEASE, THROUGH_PAIR])
    def test_a_store_is_forwarded_on_apple_m1_whole_or_in_part(self, codes: tuple[str, ...]) -> None:
        assert cycles("apple-m1", *codes) == 8

    def test_two_stores_are_waited_for_by_a_pair(self) -> None:
        """Source: Lemire, Careful with Pair-of-Registers instructions on Apple Silicon."""
        assert 24 <= cycles("apple-m1", *THROUGH_TWO) <= 30

    def test_where_the_model_forwards_pairs_they_are_as_any_load_of_several_stores(self) -> None:
        fails = load_cpu_model("neoverse-v2").parameters["forward_fail"]
        assert cycles("neoverse-v2", *THROUGH_TWO) == fails
