"""Generators of traces, and a small run to start from."""

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from numpy.typing import NDArray

from emu.trace import CALLS, EVENTS, CodeBlock, EventKind, MemoryRecorder, Meta, Run, Symbol

SYMBOLS = {
    "mini_leaf": Symbol(0x100_0000, 0x20, "function"),
    "mini_tail": Symbol(0x100_0040, 0x20, "function"),
    "mini_loop": Symbol(0x100_0080, 0x20, "function"),
    "lp1_mini_leaf": Symbol(0x10A_0000, 0x20, "function"),
    "lp1_mini_tail": Symbol(0x10A_0040, 0x20, "function"),
    "lp2_mini_leaf": Symbol(0x10A_0080, 0x20, "function"),
}

BLOCK = CodeBlock(
    kind="patch",
    name="p1",
    seq=3,
    address=0x10A_0000,
    code=bytes(range(0x60)),
    symbols={name: SYMBOLS[name][:2] for name in ("lp1_mini_leaf", "lp1_mini_tail")},
    sites={"lp1_mini_leaf": 0x10A_0000},
    traps={0x10A_0004: "WARN here"},
    lines={0x10A_0000: "leaf.s:1", 0x10A_0004: "leaf.s:2"},
)


def meta(**changes: Any) -> Meta:
    """Return the meta data of a small run, with some of its fields changed."""
    value: Meta = {
        "schema": "klpemu.run/1",
        "arch": "x86_64",
        "image": "mini",
        "cpus": 2,
        "seed": 1,
        "mode": "exact",
        "timing": "off",
        "ordering": "sc",
        "schedule": "clock",
        "fetch": "modelled",
        "calls": 0,
        "instructions": 0,
        "cycles": 0,
        "tasks": [{"index": 0, "pid": 1, "comm": "worker/0", "cpu": 0}],
        "patches": [
            {"index": 0, "name": "original", "functions": {}},
            {
                "index": 1,
                "name": "p1",
                "functions": {"mini_leaf": "lp1_mini_leaf", "mini_tail": "lp1_mini_tail"},
            },
            {"index": 2, "name": "p2", "functions": {"mini_leaf": "lp2_mini_leaf", "mini_tail": "mini_tail"}},
        ],
        "versions": {"klpemu": "0", "python": "3", "unicorn": "2", "numpy": "2", "numba": "0"},
        "warnings": 0,
        "digest": "",
        "complete": False,
    }
    value.update(changes)  # type: ignore[typeddict-item]
    return value


def recorded(calls: NDArray[np.void], events: NDArray[np.void], **changes: Any) -> Run:
    """Return a finished run of these rows, in memory."""
    recorder = MemoryRecorder(meta(**changes))
    recorder.set_symbols(SYMBOLS)
    recorder.add_calls(calls)
    recorder.add_events(events)
    return recorder.finish({})


def rows_of(dtype: np.dtype[np.void], *rows: dict[str, int]) -> NDArray[np.void]:
    """Return a table with the named values, every other column 0."""
    table = np.zeros(len(rows), dtype)
    for index, row in enumerate(rows):
        for name, value in row.items():
            table[name][index] = value
    return table


def numbered_calls(start: int, count: int) -> NDArray[np.void]:
    """Return calls whose columns follow from their number, so that any row can be told from any other."""
    calls = np.zeros(count, CALLS)
    calls["seq"] = calls["dispatch_seq"] = np.arange(start, start + count)
    calls["cpu"] = calls["seq"] % 4
    calls["site"] = 0x100_0000
    calls["enter"] = calls["seq"] * 10
    calls["exit"] = calls["enter"] + calls["seq"] % 97
    calls["dispatched"] = calls["enter"]
    calls["target"] = calls["site"]
    return calls


def any_rows(dtype: np.dtype[np.void], *, max_size: int = 20) -> st.SearchStrategy[NDArray[np.void]]:
    """Tables of any values at all."""
    size = st.integers(0, max_size)
    return size.flatmap(lambda n: st.binary(min_size=n * dtype.itemsize, max_size=n * dtype.itemsize)).map(
        lambda data: np.frombuffer(data, dtype)
    )


def words(columns: int) -> st.SearchStrategy[NDArray[np.uint64]]:
    """Word buffers with values that fit every column but the signed one."""
    return nps.arrays(
        np.uint64, st.tuples(st.integers(0, 20), st.just(columns)), elements=st.integers(0, 127)
    )


@st.composite
def likely_calls(draw: st.DrawFn, max_size: int = 25) -> NDArray[np.void]:
    """Calls of the functions of `SYMBOLS`, early in a run, with any version, state, flags and cycles."""
    addresses = [symbol.address for symbol in SYMBOLS.values()]
    rows = []
    for _ in range(draw(st.integers(0, max_size))):
        seq = draw(st.integers(0, 120))
        enter = draw(st.integers(0, 120))
        dispatched = enter + draw(st.integers(0, 30))
        row = {
            "seq": seq,
            "dispatch_seq": seq + draw(st.sampled_from([0, 0, 1, 9, 30])),
            "site": draw(st.sampled_from(addresses[:3])),
            "target": draw(st.sampled_from([*addresses, 0])),
            "patch": draw(st.sampled_from([0, 1, 2, 2, 9])),
            "patch_state": draw(st.integers(-2, 1)),
            "cpu": draw(st.integers(0, 3)),
            "flags": draw(st.integers(0, 0x1FF)),
            "enter": enter,
            "dispatched": dispatched,
            "exit": max(0, dispatched + draw(st.integers(-5, 60))),
            "insns": draw(st.integers(0, 9)),
        }
        if draw(st.booleans()):  # a row that tells one story
            row["target"] = draw(st.sampled_from([row["site"], *addresses[3:]]))
            redirected = row["target"] != row["site"]
            row["patch"] = (0, 0, 0, 1, 1, 2)[addresses.index(row["target"])] if redirected else 0
            row["flags"] = 0x80 | 0x40 * redirected | draw(st.sampled_from([0, 1]))
        rows.append(row)
    return rows_of(CALLS, *rows)


@st.composite
def livepatch_events(draw: st.DrawFn, max_size: int = 12) -> NDArray[np.void]:
    """Livepatch events in any order, likely and unlikely, at any cycles."""
    enable, settled, sync = EventKind.ENABLE, EventKind.SETTLED, EventKind.SYNC
    likely = [enable, enable, settled, settled, sync, sync]
    kinds = [*likely, EventKind.DISABLE, EventKind.TEXT_POKE, EventKind.SWITCH]
    seq, rows = -1, []
    for _ in range(draw(st.integers(0, max_size))):
        seq += draw(st.integers(1, 20))
        rows.append(
            {
                "seq": seq,
                "cycle": draw(st.integers(0, 200)),
                "kind": draw(st.sampled_from(kinds)),
                "a": draw(st.sampled_from([1, 1, 1, 2, 2, 0, 5])),
                "b": draw(st.sampled_from([1, 1, 0])),
            }
        )
    return rows_of(EVENTS, *rows)
