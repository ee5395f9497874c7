"""The compiled kernel does what its plain twin does; clocks never go back; the same again is the same."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emu.timing import NONE, RowTable, UncoveredInstructionError, load_cpu_model, new_cpu, new_shared, step
from emu.timing.layout import R_BRANCH, R_LENGTH, R_LOADS, R_STORES, ROW_WORDS, T_CLOCK, T_MISPREDICTS, Branch
from tests.reference.cycle_model import PlainCpu

X86 = [
    "4883c001",
    "4801d8",
    "31c0",
    "48ffc8",
    "75fa",
    "74f0",
    "7212",
    "4889d8",
    "8b07",
    "488b07",
    "488b448f08",
    "488907",
    "894708",
    "8807",
    "668907",
    "480107",
    "f0480107",
    "f0480fb10f",
    "480fc107",
    "488707",
    "50",
    "58",
    "51",
    "59",
    "9c",
    "9d",
    "e800000000",
    "ff17",
    "ffd0",
    "c3",
    "eb10",
    "ffe0",
    "90",
    "0f1f440000",
    "f30f1efa",
    "480fafc3",
    "48f7e1",
    "48f7f1",
    "48c1e003",
    "48d3e0",
    "4811d8",
    "480f44c3",
    "0f94c0",
    "4c8d1c8b",
    "488d440b08",
    "480fa3c8",
    "0faee8",
    "0faef0",
    "0faef8",
    "f390",
    "0f31",
    "f348a5",
    "f3aa",
    "48a5",
    "0f1007",
    "0f1107",
    "660fefc0",
    "660ffec1",
    "c9",
    "4883ec20",
    "488b442408",
    "f0480fc107",
    "0fa2",
    "fc",
    "c20800",
    "f20f58c1",
    "488d4c8b08",
    "668d0418",
    "48b8efcdab8967452301",
    "4899",
    "f9",
    "8a07",
    "480fa5d8",
    "48ac",
    "480307",
    "f04883430805",
]
ARM = [
    "0000018b",
    "21040091",
    "20000",
    "3f0001eb",
    "20050054",
    "c0035fd6",
    "00001fd6",
    "20003fd6",
    "ff030094",
    "00000014",
    "200040f9",
    "200000f9",
    "e00741a9",
    "fd7bbfa9",
    "fd7bc1a8",
    "20fc5fc8",
    "20fc02c8",
    "2000e0b8",
    "bf3b03d5",
    "9f3f03d5",
    "df3f03d5",
    "1f2003d5",
    "e00301aa",
    "007c019b",
    "0008c19a",
    "2000e1b4",
    "4000803d",
    "3f2303d5",
    "20084039",
    "2078617c",
    "41fc9f88",
    "41fcdf88",
    "210040f9",
    "000040f9",
]
ADDRESSES = [0x5000 + 8 * n for n in range(24)] + [0x5004, 0x503C, 0x503F, 0x9000, 0x40000, 0x41000]
PLACES = [0x1000 + 16 * n for n in range(40)] + [0x4000, 0x103D, 0x103F]


@cache
def table(name: str) -> tuple[RowTable, tuple[int, ...]]:
    """Return a table with the rows of what the model's port can decode."""
    rows = RowTable(load_cpu_model(name))
    codes = X86 if rows.model.arch == "x86_64" else ARM
    return rows, tuple(
        rows.index(bytes.fromhex(code)) for code in codes if len(code) % 2 == 0 and _decodes(rows, code)
    )


def _decodes(rows: RowTable, code: str) -> bool:
    try:
        rows.index(bytes.fromhex(code))
    except UncoveredInstructionError as error:
        if "decoded" not in str(error):  # all that is an instruction is covered
            raise
        return False
    return True


Stream = list[tuple[int, int, int, int, int, int]]
"""Row, pc, next pc, load, store, detail."""


Pick = tuple[int, int, int, int, int, bool]


def stream_of(name: str, choices: tuple[list[Pick], int]) -> Stream:
    """Make a stream out of free choices: each follows where the one before led, the last leads back."""
    once = _once(name, choices[0])
    rows, _ = table(name)
    back = rows.index(bytes.fromhex("eb10" if rows.model.arch == "x86_64" else "00000014"))
    return [*once, (back, once[-1][2], PLACES[0], NONE, NONE, -1)] * choices[1]


def _once(name: str, picks: Sequence[Pick]) -> Stream:
    rows, known = table(name)
    stream: Stream = []
    pc = PLACES[0]
    for pick, place, load, store, detail, taken in picks:
        row = known[pick % len(known)]
        facts = rows.array[row * ROW_WORDS : (row + 1) * ROW_WORDS]
        target = pc + int(facts[R_LENGTH])
        kind = facts[R_BRANCH]
        if kind and (taken or kind not in (Branch.CONDITIONAL, Branch.CALL)):
            target = PLACES[place % len(PLACES)]
        reads = ADDRESSES[load % len(ADDRESSES)] if facts[R_LOADS] else NONE
        writes = ADDRESSES[store % len(ADDRESSES)] if facts[R_STORES] else NONE
        stream.append((row, pc, target, reads, writes, detail))
        pc = target
    return stream


def _picks(instructions: int, addresses: int, longest: int) -> st.SearchStrategy[list[Pick]]:
    address = st.integers(0, addresses)
    return st.lists(
        st.tuples(st.integers(0, instructions), st.integers(0, 42), address, address,
                  st.integers(-1, 64), st.booleans()),
        min_size=1, max_size=longest,
    )  # fmt: skip


loops = st.tuples(
    st.one_of(_picks(99, 29, 150), _picks(24, 3, 30), _picks(20, 3, 60)), st.integers(1, 40)
).map(lambda pair: (pair[0], min(pair[1], 1200 // len(pair[0]) + 1)))
"""Some picks and how often they are repeated: anything, or tight loops of what does not drain."""
MODELS = ["zen4", "golden-cove", "neoverse-n1", "neoverse-v2", "cortex-a76", "apple-m1"]


def compiled(name: str, stream: Stream) -> tuple[list[int], int]:
    rows, _ = table(name)
    cpu, shared = new_cpu(rows.model), new_shared(rows.model)
    clocks = [
        step(cpu, shared, rows.array, row, pc, target, load, store, detail)
        for row, pc, target, load, store, detail in stream
    ]
    assert cpu[T_CLOCK] == clocks[-1]
    return clocks, int(cpu[T_MISPREDICTS])


def plain(name: str, stream: Stream) -> tuple[list[int], int]:
    rows, _ = table(name)
    cpu = PlainCpu(dict(rows.model.parameters))
    table_rows = rows.array.reshape(-1, ROW_WORDS)
    clocks = [
        cpu.step(table_rows[row].tolist(), pc, target, load, store, detail)
        for row, pc, target, load, store, detail in stream
    ]
    return clocks, cpu.mispredicts


@pytest.mark.parametrize("name", MODELS)
class TestStep:
    @settings(max_examples=60, deadline=None)
    @given(choices=loops)
    def test_it_does_what_its_plain_twin_does(self, name: str, choices: tuple[list[Pick], int]) -> None:
        stream = stream_of(name, choices)
        assert compiled(name, stream) == plain(name, stream)

    @settings(max_examples=30, deadline=None)
    @given(choices=loops)
    def test_clocks_never_go_back_and_are_the_same_again(
        self, name: str, choices: tuple[list[Pick], int]
    ) -> None:
        stream = stream_of(name, choices)
        clocks, mispredicts = compiled(name, stream)
        assert bool(np.all(np.diff(clocks) >= 0))
        assert compiled(name, stream) == (clocks, mispredicts)
