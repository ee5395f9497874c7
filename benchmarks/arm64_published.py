"""The curve published for arm64 hardware, and what of it is not the tracers' but other tasks' turns.

Source: Linux commit baaf553d3bc3 ("arm64: Implement HAVE_DYNAMIC_FTRACE_WITH_CALL_OPS"), measured with
samples/ftrace/ftrace-ops.c in a VM on an Apple M1: total time of 100,000 calls, once for each row. Nothing in
the sample keeps other tasks away, and an arm64 kernel has a tick every 4 ms unless it is told otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Key = tuple[bool, int, int]
"""Kernel with CALL_OPS, tracers of the function called (relevant), tracers of another (irrelevant)."""

TOTALS: dict[Key, int] = {  # ns
    (False, 1, 0): 1_431_875,
    (False, 1, 1): 6_467_833,
    (False, 1, 2): 7_509_708,
    (False, 1, 10): 23_786_792,
    (False, 1, 100): 106_432_500,
    (False, 2, 0): 6_456_334,
    (False, 10, 0): 22_717_000,
    (False, 100, 0): 103_293_667,
    (True, 1, 0): 280_959,
    (True, 1, 1): 281_000,
    (True, 1, 100): 281_250,
    (True, 2, 0): 6_502_708,
    (True, 10, 0): 18_681_209,
    (True, 100, 0): 103_550_458,
}
UNTRACED = {False: 94_583, True: 94_541}  # ns, no tracers at all
CALLS = 100_000
TICK = 4_000_000  # ns. Source: kernel/Kconfig.hz, HZ_250 is the default; arm64's defconfig sets no other
GHZ = 3.2  # of an M1's performance cores. Source: AnandTech, The 2020 Mac Mini Unleashed
_SLOPES = np.arange(5.0, 15.0, 0.01)  # ns for each tracer: wider than any that fits


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What the walks of the list cost, if some runs lost whole ticks to other tasks.

    Args:
        first, each: ns per call of a walk of one tracer, and of each further one.
        turns: ticks that a run lost.
        errors: of a run's total without them, as a share of the line's.
    """

    first: float
    each: float
    turns: dict[Key, int]
    errors: dict[Key, float]


def overhead(key: Key, lost: int = 0) -> float:
    """Return ns per call that the tracers of a row cost, of a run that lost so many ticks."""
    return (TOTALS[key] - UNTRACED[key[0]] - lost * TICK) / CALLS


def walked(key: Key) -> int:
    """Return how many tracers a call goes through in the list; 0 if its only one is called directly."""
    call_ops, relevant, irrelevant = key
    if call_ops:
        return relevant if relevant > 1 else 0
    return relevant + irrelevant


def line_without_turns(totals: dict[Key, int], tick: int = TICK) -> Line:
    """Return the line through the walks that leaves the least error once whole ticks are taken off each.

    It begins at the run of one tracer, which is shorter than a tick. Nothing but ``totals`` goes into it.
    """
    keys = [key for key in totals if walked(key)]
    numbers, times = (
        np.array(column, float) for column in ([walked(k) for k in keys], [totals[k] for k in keys])
    )
    first = float(times[numbers == 1][0])
    best: tuple[float, float] = (np.inf, 0.0)
    for each in _SLOPES:
        line = first + (numbers - 1) * each * CALLS
        error = (times - np.maximum(np.round((times - line) / tick), 0) * tick) / line - 1
        best = min(best, (float(np.sum(error**2)), float(each)))
    line = first + (numbers - 1) * best[1] * CALLS
    turns = np.maximum(np.round((times - line) / tick), 0)
    errors = (times - turns * tick) / line - 1
    return Line(
        first=first / CALLS, each=best[1],
        turns=dict.fromkeys(totals, 0) | {key: int(n) for key, n in zip(keys, turns, strict=True)},
        errors={key: float(error) for key, error in zip(keys, errors, strict=True)},
    )  # fmt: skip
