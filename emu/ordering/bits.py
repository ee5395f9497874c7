"""Rows of bits in arrays of uint64, and the order relation kept as one row per event.

``before[e]`` is the set of events that come before event ``e``; it is transitively closed
at all times, and an edge that would close a cycle is refused.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emu.compiled import jit

Rows = NDArray[np.uint64]

_ONE = np.uint64(1)
_SIX = np.uint64(6)
_MASK = np.uint64(63)


@jit
def has(row: Rows, bit: int) -> bool:
    """Whether a bit is in a row, shape ``(words,)``."""
    return (row[bit >> 6] >> np.uint64(bit & 63)) & _ONE == _ONE


@jit
def add(row: Rows, bit: int) -> None:
    """Put a bit into a row."""
    row[bit >> 6] |= _ONE << np.uint64(bit & 63)


@jit
def add_edge(before: Rows, count: int, earlier: int, later: int) -> bool:
    """Order two events and everything that follows from it.

    Args:
        before: the relation, shape ``(events, words)``; closed again on return.
        count: how many events there are.
        earlier: comes before ``later``.
        later: comes after ``earlier``.

    Returns:
        False if that makes a cycle; the relation is then of no more use.
    """
    if has(before[later], earlier):
        return True
    if earlier == later or has(before[earlier], later):
        return False
    words = (count + 63) >> 6
    for event in range(count):
        if event == later or has(before[event], later):
            for word in range(words):
                before[event, word] |= before[earlier, word]
            add(before[event], earlier)
    return True
