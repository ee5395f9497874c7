"""A recorded instruction stream through the pipeline."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emu.compiled import jit
from emu.timing.layout import T_MISPREDICTS, V_FETCH
from emu.timing.step import step

Words = NDArray[np.int64]

VIEW_WORDS = 9
"""Fetch, dispatch, ready, issue, complete, retire, two kinds of `Wait` (dispatch, issue), mispredicted."""


@jit
def replay(
    cpu: Words,
    shared: Words,
    rows: NDArray[np.int32],
    stream: NDArray[np.int64],
    numbers: NDArray[np.int32],
    base: int,
    end: int,
    clocks: Words,
    mispredicts: Words,
    views: NDArray[np.int64],
    view_from: int,
) -> None:
    """Step through a stream.

    Args:
        cpu: of `new_cpu`.
        shared: of `new_shared`.
        rows: ``RowTable.array``.
        stream: shape ``(n, 4)``: pc, first read, first write, detail; -1 = none.
        numbers: row number of the instruction at ``base`` plus the index.
        base: address of the first byte of code.
        end: address that is executed after the last instruction.
        clocks: out, shape ``(n,)``: the clock after each instruction.
        mispredicts: out, shape ``(n,)``: mispredictions so far.
        views: out, shape ``(m, VIEW_WORDS)``: of the instructions from ``view_from`` on.
        view_from: index in ``stream``.
    """
    count = len(stream)
    for at in range(count):
        pc = stream[at, 0]
        follower = stream[at + 1, 0] if at + 1 < count else end
        clocks[at] = step(
            cpu, shared, rows, numbers[pc - base], pc, follower, stream[at, 1], stream[at, 2], stream[at, 3]
        )
        mispredicts[at] = cpu[T_MISPREDICTS]
        seen = at - view_from
        if 0 <= seen < len(views):
            for word in range(VIEW_WORDS):
                views[seen, word] = cpu[V_FETCH + word]
