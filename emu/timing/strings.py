"""Repeated string instructions: microcode that moves blocks, in steps of one repetition each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emu.compiled import jit
from emu.timing.caches import reach
from emu.timing.dispatch import block, retire
from emu.timing.layout import (
    NONE,
    P_REP_BYTES_PER_CYCLE,
    P_REP_LONG,
    P_REP_SHORT_BYTES,
    T_ALL_DONE,
    T_CLOCK,
    T_REPEAT_BYTES,
    T_REPEAT_PC,
    T_REPEAT_START,
    Wait,
)

Words = NDArray[np.int64]

_MICROCODE = int(Wait.MICROCODE)


@jit
def begin_repeat(cpu: Words, pc: int, entered: int, start: int) -> None:
    """Note that a repeated string instruction has begun: its first repetition is a step as any other."""
    cpu[T_REPEAT_PC], cpu[T_REPEAT_BYTES], cpu[T_REPEAT_START] = pc, 0, entered + start


@jit
def repeat(cpu: Words, shared: Words, load: int, store: int, size: int, more: bool) -> int:
    """Take a further repetition of a string instruction; return the clock.

    Microcode moves blocks: up to some bytes cost nothing more, then there is a longer start and a rate.
    Several of one line are one access of the cache.
    """
    if load != NONE or store != NONE:
        cpu[T_REPEAT_BYTES] += size
        if load != NONE and load & 63 < size:
            cpu[T_REPEAT_START] += reach(cpu, shared, load, False)
        if store != NONE and store & 63 < size:
            cpu[T_REPEAT_START] += reach(cpu, shared, store, True)
    done = cpu[T_REPEAT_START]
    if cpu[T_REPEAT_BYTES] > cpu[P_REP_SHORT_BYTES]:
        done += cpu[P_REP_LONG] + cpu[T_REPEAT_BYTES] // cpu[P_REP_BYTES_PER_CYCLE]
    block(cpu, done, _MICROCODE)
    cpu[T_ALL_DONE] = max(cpu[T_ALL_DONE], done)
    if not more:
        cpu[T_REPEAT_PC] = NONE
        return retire(cpu, done, 0)
    return cpu[T_CLOCK]
