"""What goes in program order: into the back end, and out of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emu.compiled import merged_jit
from emu.timing.layout import (
    LOADS_AT,
    LOADS_WORDS,
    P_DISPATCHES_PAIRS,
    P_LOAD_QUEUE,
    P_RETIRE_WIDTH,
    P_ROB,
    P_STORE_WIDTH,
    P_WIDTH,
    ROB_AT,
    ROB_WORDS,
    T_BLOCK,
    T_BLOCK_REASON,
    T_CLOCK,
    T_DISPATCH,
    T_FETCH_REASON,
    T_LOAD_COUNT,
    T_RETIRE,
    T_RETIRED,
    T_ROB_COUNT,
    T_SLOTS,
    T_STORES_IN,
    V_DISPATCH,
    V_DISPATCH_WAIT,
    V_RETIRE,
    Wait,
)
from emu.timing.stores import queue_free

Words = NDArray[np.int64]

_NOTHING, _WIDTH, _ROB, _QUEUE = int(Wait.NOTHING), int(Wait.WIDTH), int(Wait.ROB), int(Wait.QUEUE)


@merged_jit
def dispatch(cpu: Words, fetched: int, slots: int, loads: int, stores: int) -> int:
    """Return the cycle in which an instruction enters the back end, in order, a few per cycle."""
    before, width = cpu[T_DISPATCH], cpu[P_WIDTH]
    cycle, reason = before, _WIDTH
    if fetched > cycle:
        cycle, reason = fetched, cpu[T_FETCH_REASON]
    if cpu[T_BLOCK] > cycle:
        cycle, reason = cpu[T_BLOCK], cpu[T_BLOCK_REASON]
    count = cpu[T_ROB_COUNT] + slots
    room = cpu[ROB_AT + ((count - cpu[P_ROB]) & (ROB_WORDS - 1))]
    if room > cycle:
        cycle, reason = room, _ROB
    if stores and queue_free(cpu) > cycle:
        cycle, reason = queue_free(cpu), _QUEUE
    if loads:
        room = cpu[LOADS_AT + ((cpu[T_LOAD_COUNT] + 1 - cpu[P_LOAD_QUEUE]) & (LOADS_WORDS - 1))]
        if room > cycle:
            cycle, reason = room, _QUEUE
    used = cpu[T_SLOTS]
    if cycle > before:
        used = 0
    elif used + slots <= width:
        reason = _NOTHING
    if cycle > before:
        cpu[T_STORES_IN] = 0
    full = stores and cpu[P_STORE_WIDTH] and cpu[T_STORES_IN] >= cpu[P_STORE_WIDTH]
    if full or (slots and used + (2 if slots > 1 and cpu[P_DISPATCHES_PAIRS] else 1) > width):
        cycle += 1
        used = 0
        cpu[T_STORES_IN] = 0
    if stores:
        cpu[T_STORES_IN] += 1
    used += slots
    last = cycle
    while used > width:
        last += 1
        used -= width
    cpu[T_DISPATCH], cpu[T_SLOTS] = last, used
    cpu[V_DISPATCH], cpu[V_DISPATCH_WAIT] = cycle, reason
    return cycle


@merged_jit
def block(cpu: Words, cycle: int, reason: int) -> None:
    """Dispatch nothing more before ``cycle``."""
    if cycle > cpu[T_BLOCK]:
        cpu[T_BLOCK], cpu[T_BLOCK_REASON] = cycle, reason


@merged_jit
def retire(cpu: Words, complete: int, slots: int) -> int:
    """Retire in order, a few per cycle; return the cycle."""
    cycle, retired = cpu[T_RETIRE], cpu[T_RETIRED]
    if complete > cycle:
        cycle, retired = complete, 0
    elif retired >= cpu[P_RETIRE_WIDTH]:
        cycle, retired = cycle + 1, 0
    cpu[T_RETIRED] = retired + slots
    cpu[T_RETIRE] = cycle
    count = cpu[T_ROB_COUNT]
    for entry in range(count + 1, count + slots + 1):
        cpu[ROB_AT + (entry & (ROB_WORDS - 1))] = cycle
    cpu[T_ROB_COUNT] = count + slots
    cpu[T_CLOCK] = cycle
    cpu[V_RETIRE] = cycle
    return cycle
