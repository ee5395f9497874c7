"""The front end's clock: lines of code, taken branches, mispredictions, microcode."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emu.compiled import jit, merged_jit
from emu.timing.caches import LINE_BITS, beyond_first, forget, touch
from emu.timing.directions import predict_direction
from emu.timing.layout import (
    BTB,
    BTB_AT,
    FIRST_AT,
    FIRSTS,
    INDIRECT_AT,
    INDIRECTS,
    P_BTB_MISS,
    P_CALL,
    P_CALL_SHADOW,
    P_DECODE_MISS,
    P_FETCH_AHEAD,
    P_FETCH_WIDTH,
    P_FIRST_WINDOW,
    P_L1I_SETS,
    P_L1I_WAYS,
    P_LATE_WINDOW,
    P_LOOP_EXIT,
    P_MICROCODE_ENTRY,
    P_NEXT_WINDOW,
    P_OTHER_TARGET,
    P_RETURN,
    P_RETURN_SHADOW,
    P_RETURN_STACK,
    P_TAKEN,
    P_TAKEN_ENDS_DELIVERY,
    RETURNS_AT,
    SH_POKED,
    SH_POKED_AT,
    SH_POKES,
    T_DELIVERY,
    T_DISPATCH,
    T_EXITED,
    T_FETCH,
    T_FETCH_LINE,
    T_FETCH_REASON,
    T_FETCH_SHADOW,
    T_FETCH_SLOTS,
    T_L1I_AT,
    T_L1I_MISSES,
    T_PATH,
    T_POKES_SEEN,
    T_PREDICTED,
    T_RETURNS,
    T_RETURNS_KNOWN,
    T_WINDOW_END,
    T_WINDOW_START,
    Branch,
    Wait,
)

Words = NDArray[np.int64]

_CONDITIONAL, _JUMP, _INDIRECT = int(Branch.CONDITIONAL), int(Branch.JUMP), int(Branch.INDIRECT)
_CALL, _INDIRECT_CALL, _RETURN = int(Branch.CALL), int(Branch.INDIRECT_CALL), int(Branch.RETURN)
_FETCH, _CODE, _MICROCODE = int(Wait.FETCH), int(Wait.CODE), int(Wait.MICROCODE)
_PATH_BITS = (1 << 20) - 1
_PATH_FOLD = 10
_RUN = 2
"""A conditional branch that was taken so often in a row is first thought to be taken again."""


@merged_jit
def fetch_later(cpu: Words, cycle: int, reason: int) -> None:
    """Let fetch go on in ``cycle``, if that is later than now."""
    if cycle > cpu[T_FETCH]:
        cpu[T_FETCH] = cpu[T_PREDICTED] = cycle
        cpu[T_FETCH_REASON] = reason


@jit
def absorb_pokes(cpu: Words, shared: Words) -> None:
    """Drop the lines of code that were poked since the last fetch."""
    newest = shared[SH_POKES]
    first = max(cpu[T_POKES_SEEN], newest - SH_POKED)
    for poke in range(first, newest):
        line = shared[SH_POKED_AT + poke % SH_POKED]
        forget(cpu, cpu[T_L1I_AT], cpu[P_L1I_SETS], cpu[P_L1I_WAYS], line)
    cpu[T_POKES_SEEN] = newest


@merged_jit
def fetch_line(cpu: Words, shared: Words, line: int) -> None:
    """Begin with a line of code that fetch was not in; one that is not in the first cache has to come."""
    if shared[SH_POKES] != cpu[T_POKES_SEEN]:
        absorb_pokes(cpu, shared)
    cpu[T_FETCH_LINE] = line
    if not touch(cpu, cpu[T_L1I_AT], cpu[P_L1I_SETS], cpu[P_L1I_WAYS], line):
        cpu[T_L1I_MISSES] += 1
        wait = beyond_first(cpu, shared, line) + cpu[P_DECODE_MISS]
        fetch_later(cpu, cpu[T_FETCH] + wait, _CODE)


@merged_jit
def open_window(cpu: Words, target: int) -> None:
    """Begin a window of prediction where a branch leads: a shorter one if that is late in its line."""
    start = target >> LINE_BITS << LINE_BITS
    late = target - start >= (1 << LINE_BITS) // 2
    cpu[T_WINDOW_END] = start + (cpu[P_LATE_WINDOW] if late else cpu[P_FIRST_WINDOW])


@merged_jit
def fetch(cpu: Words, shared: Words, pc: int, length: int, slots: int, microcoded: bool) -> int:
    """Fetch one instruction; return the cycle in which it can be dispatched at the earliest.

    Prediction runs ahead of delivery, one window of code per cycle. Delivery takes so many slots per cycle,
    and a pause before microcode.
    """
    behind = cpu[T_DISPATCH] - cpu[P_FETCH_AHEAD]
    cpu[T_FETCH] = max(cpu[T_FETCH], behind)
    delivery, used = max(cpu[T_DELIVERY], behind), cpu[T_FETCH_SLOTS]
    end = pc + length
    line = (end - 1) >> LINE_BITS
    if line != cpu[T_FETCH_LINE]:
        if cpu[T_FETCH_LINE] < 0:  # fetch was set here without a branch
            open_window(cpu, pc)
            if pc >> LINE_BITS != line:
                fetch_line(cpu, shared, pc >> LINE_BITS)
        fetch_line(cpu, shared, line)
    while end > cpu[T_WINDOW_END]:
        cpu[T_PREDICTED] += 1
        cpu[T_FETCH] = max(cpu[T_FETCH] + 1, cpu[T_PREDICTED])
        cpu[T_FETCH_REASON], cpu[T_FETCH_SHADOW] = _FETCH, 1
        cpu[T_WINDOW_END] += cpu[P_NEXT_WINDOW]
        cpu[T_EXITED] = 0
    if cpu[T_FETCH] > delivery:
        delivery, used = cpu[T_FETCH], 0
    if microcoded:
        delivery += cpu[P_MICROCODE_ENTRY]
        used = 0
        cpu[T_FETCH_REASON] = _MICROCODE
    width = cpu[P_FETCH_WIDTH]
    if used > 0 and used + slots > width:
        delivery += 1
        used = 0
    begun = delivery
    used += slots
    while used > width:
        delivery += 1
        used -= width
    cpu[T_DELIVERY], cpu[T_FETCH_SLOTS] = delivery, used
    return begun


@merged_jit
def second_thought(cpu: Words, kind: int, pc: int, next_pc: int, taken: bool, right: bool) -> int:
    """Return the cycles by which what is predicted first is corrected by what is predicted better.

    A window has one target for each of its indirect branches; another one comes later. After a run of taken
    outcomes a branch is first thought to be taken: where it is not, the window ends there, and what is behind
    takes a further cycle if a direct branch of the same line ends it.
    """
    slot = FIRST_AT + ((pc ^ cpu[T_WINDOW_START] * 5) & (FIRSTS - 1))
    first = cpu[slot]
    if kind != _CONDITIONAL:
        if right:
            return cpu[P_OTHER_TARGET] if first != next_pc else 0
        cpu[slot] = next_pc
    elif taken:
        cpu[slot] = min(first + 1, _RUN)
    else:
        cpu[slot] = 0
        cpu[T_EXITED] = 1 if right and first >= _RUN else 0
    return 0


@merged_jit
def follow(cpu: Words, shared: Words, kind: int, pc: int, next_pc: int, taken: bool, right: bool) -> None:
    """Move fetch to where a branch leads; a prediction that fails moves it again when it is found out.

    Prediction takes a cycle per branch and runs ahead of fetch, which takes two for a call and for a return:
    then one of two direct branches, but for those that end a loop, is fetched with what is before it, until
    prediction is caught up with. What is behind a branch is delivered in another cycle, if the model says so.
    """
    extra = 0
    if kind in (_CONDITIONAL, _INDIRECT, _INDIRECT_CALL):
        extra = second_thought(cpu, kind, pc, next_pc, taken, right)
    if not taken:
        return
    cost = cpu[P_TAKEN]
    if kind in (_CALL, _INDIRECT_CALL):
        cost = cpu[P_CALL]
        cpu[T_FETCH_SHADOW] = cpu[P_CALL_SHADOW]
    elif kind == _RETURN:
        cost = cpu[P_RETURN]
        cpu[T_FETCH_SHADOW] = cpu[P_RETURN_SHADOW]
    elif kind != _INDIRECT:
        if cpu[T_EXITED]:
            extra += cpu[P_LOOP_EXIT]
        if (kind == _JUMP or next_pc > pc) and cpu[P_RETURN_SHADOW]:
            if cpu[T_FETCH_SHADOW]:
                cost = 0
            cpu[T_FETCH_SHADOW] = 1 - cpu[T_FETCH_SHADOW]
    cpu[T_EXITED] = 0
    predicted = max(cpu[T_PREDICTED], cpu[T_DISPATCH] - cpu[P_FETCH_AHEAD]) + cpu[P_TAKEN] + extra
    cpu[T_FETCH] = max(cpu[T_FETCH] + cost + extra, predicted)
    cpu[T_PREDICTED], cpu[T_FETCH_REASON], cpu[T_WINDOW_START] = predicted, _FETCH, next_pc
    if cpu[P_TAKEN_ENDS_DELIVERY]:
        cpu[T_FETCH_SLOTS] = cpu[P_FETCH_WIDTH]
    slot = BTB_AT + ((pc ^ pc >> 12) & (BTB - 1))
    if cpu[slot] != pc:
        cpu[slot] = pc
        if right and (kind in (_CALL, _JUMP, _CONDITIONAL)):
            fetch_later(cpu, cpu[T_FETCH] + cpu[P_BTB_MISS], _FETCH)
    open_window(cpu, next_pc)
    if next_pc >> LINE_BITS != cpu[T_FETCH_LINE]:
        fetch_line(cpu, shared, next_pc >> LINE_BITS)


@merged_jit
def predict(cpu: Words, kind: int, pc: int, length: int, next_pc: int) -> bool:
    """Predict a branch, learn how it went, and say whether the prediction was right.

    Directions: see `emu.timing.directions`. Indirect branches: by address and the last taken branches, of
    which two bits of the address of their last byte are known, and where indirect jumps went. Returns: a
    stack.
    """
    taken = next_pc != pc + length
    right = True
    if kind == _CONDITIONAL:
        right = predict_direction(cpu, pc, taken)
    elif kind in (_INDIRECT, _INDIRECT_CALL):
        path = cpu[T_PATH]
        slot = INDIRECT_AT + 2 * ((pc ^ path ^ path >> _PATH_FOLD) & (INDIRECTS - 1))
        right = cpu[slot] == pc and cpu[slot + 1] == next_pc
        cpu[slot], cpu[slot + 1] = pc, next_pc
    if taken:
        came = next_pc if kind == _INDIRECT else 0
        cpu[T_PATH] = (cpu[T_PATH] << 2 ^ (pc + length - 1 >> 2 & 3) ^ came ^ came >> 4) & _PATH_BITS
    if kind in (_CALL, _INDIRECT_CALL):
        if next_pc != pc + length:  # a call of the next address is no call to a return predictor
            top = cpu[T_RETURNS]
            cpu[np.uint64(RETURNS_AT + top)] = pc + length
            cpu[T_RETURNS] = top + 1 if top + 1 < cpu[P_RETURN_STACK] else 0
            cpu[T_RETURNS_KNOWN] = min(cpu[T_RETURNS_KNOWN] + 1, cpu[P_RETURN_STACK])
    elif kind == _RETURN:
        top = cpu[T_RETURNS] - 1
        if top < 0:
            top += cpu[P_RETURN_STACK]
        cpu[T_RETURNS] = top
        known = cpu[T_RETURNS_KNOWN]
        right = known > 0 and cpu[np.uint64(RETURNS_AT + top)] == next_pc
        cpu[T_RETURNS_KNOWN] = max(known - 1, 0)
    return right
