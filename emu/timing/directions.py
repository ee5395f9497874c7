"""Which way a conditional branch goes: what is predicted, and what is learnt.

Two tables of counters, by address, and by address and the last 12 outcomes, which is believed where it is
certain. Where these fail, entries with tags are made for the address with a longer history: an eighth of what
the model can remember, and all of it. The longest that knows the branch is believed.

Source: Seznec and Michaud, "A case for (partially) TAgged GEometric history length branch prediction", JILP 8
(2006), with two lengths; how long they are is each model's ``history``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emu.compiled import jit, merged_jit
from emu.timing.layout import (
    DIRECTIONS,
    DIRECTIONS_AT,
    HISTORY_AT,
    HISTORY_WORDS,
    P_HISTORY,
    T_BRANCHES,
    T_HISTORY,
    T_LONG_HISTORY_AT,
    TAGGED,
    TAGGED_AT,
)

Words = NDArray[np.int64]

_WIDE, _NARROW = 31, 29  # bits of the two foldings of a history: together they tell 899 ages apart
_OUTCOME = (1 << _NARROW) - 1
_SHORTER = 3  # log2 of by how much the first long history is shorter than the second
_NEUTRAL = 4  # a counter of 0, in the low bits of a tagged entry
_COUNTER_BITS = 3


@jit
def _rotated(value: int, places: int, bits: int) -> int:
    return ((value << places) | (value >> bits - places)) & (1 << bits) - 1


@jit
def _slot(cpu: Words, length: int, pc: int) -> tuple[int, int]:
    """Return where the entry of a branch with its long history number ``length`` is, and its tag."""
    wide, narrow = cpu[T_LONG_HISTORY_AT + 2 * length], cpu[T_LONG_HISTORY_AT + 2 * length + 1]
    mixed = (pc * 0x9E3779B1 ^ wide * 0x85EBCA6B ^ narrow * 0xC2B2AE35) & (1 << 48) - 1
    mixed ^= mixed >> 17
    return TAGGED_AT + length * TAGGED + (mixed & TAGGED - 1), (mixed >> 24) + 1


@jit
def _remember(cpu: Words, pc: int, taken: bool) -> None:
    """Put an outcome into the long histories, and let go of the one that is too old for each."""
    count = cpu[T_BRANCHES]
    new = (pc * 2 + taken) * 0x9E3779B1 & _OUTCOME
    for length in range(2):
        reach = cpu[P_HISTORY] >> _SHORTER * (1 - length)
        old = cpu[HISTORY_AT + (count - reach & HISTORY_WORDS - 1)] if count >= reach else 0
        for folding in range(2):
            bits = _NARROW if folding else _WIDE
            at = T_LONG_HISTORY_AT + 2 * length + folding
            cpu[at] = _rotated(cpu[at], 1, bits) ^ new ^ _rotated(old, reach % bits, bits)
    cpu[HISTORY_AT + (count & HISTORY_WORDS - 1)] = new
    cpu[T_BRANCHES] = count + 1


@jit
def _predict_far(cpu: Words, pc: int, taken: bool, predicted: bool) -> bool:
    """Return what the longest history that knows the branch says, else ``predicted``; learn ``taken``."""
    step = 1 if taken else -1
    known = -1
    for length in range(2):
        slot, tag = _slot(cpu, length, pc)
        if cpu[slot] >> _COUNTER_BITS == tag:
            known = length
    if known >= 0:
        slot, tag = _slot(cpu, known, pc)
        certainty = (cpu[slot] & (1 << _COUNTER_BITS) - 1) - _NEUTRAL
        predicted = certainty > 0
        certainty = max(min(certainty + step, 2), -2)
        cpu[slot] = tag << _COUNTER_BITS | certainty + _NEUTRAL
    if predicted != taken:
        for length in range(known + 1, 2):
            slot, tag = _slot(cpu, length, pc)
            cpu[slot] = tag << _COUNTER_BITS | step + _NEUTRAL
    _remember(cpu, pc, taken)
    return predicted


@merged_jit
def counter(cpu: Words, number: int) -> int:
    """Return a counter of directions, -2 to 2: above 0 a branch is expected to be taken."""
    return (cpu[DIRECTIONS_AT + (number >> 3)] >> 8 * (number & 7) & 0xFF ^ 0x80) - 0x80


@merged_jit
def set_counter(cpu: Words, number: int, value: int) -> None:
    """Set a counter of directions."""
    at, shift = DIRECTIONS_AT + (number >> 3), 8 * (number & 7)
    cpu[at] = cpu[at] & ~(0xFF << shift) | (value & 0xFF) << shift


@merged_jit
def predict_direction(cpu: Words, pc: int, taken: bool) -> bool:
    """Predict a conditional branch, learn that it was ``taken``, and say whether the prediction was right."""
    plain = (pc ^ pc >> 12) & (DIRECTIONS - 1)
    history = cpu[T_HISTORY]
    mixed = DIRECTIONS + ((pc ^ history * 0x9E5) & (DIRECTIONS - 1))
    a, b = counter(cpu, plain), counter(cpu, mixed)
    predicted = (b if abs(b) == 2 else a) > 0
    step = 1 if taken else -1
    set_counter(cpu, plain, max(min(a + step, 2), -2))
    set_counter(cpu, mixed, max(min(b + step, 2), -2))
    cpu[T_HISTORY] = (history << 1 | taken) & 0xFFF
    if cpu[P_HISTORY] > 0:
        predicted = _predict_far(cpu, pc, taken, predicted)
    return predicted == taken
