"""Execution ports: each takes one operation per cycle; the first free cycle is taken."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emu.compiled import jit
from emu.timing.layout import PORT_BITS, PORTS_AT, PORTS_WORDS, T_LAST_PORT, T_ROTATION

Words = NDArray[np.int64]

_MASK = (1 << PORT_BITS) - 1
_FAR = PORTS_WORDS - 64


@jit
def taken_ports(cpu: Words, cycle: int) -> int:
    """Return the ports that are taken in ``cycle``, a bit mask."""
    word = cpu[PORTS_AT + (cycle & (PORTS_WORDS - 1))]
    if word >> PORT_BITS == cycle:
        return word & _MASK
    return _MASK if word >> PORT_BITS > cycle else 0


@jit
def take_port(cpu: Words, ports: int, ready: int, busy: int) -> int:
    """Take one of ``ports`` (a mask) from the first cycle on, not before ``ready``; return that cycle.

    The port is kept for ``busy`` cycles. Among several free ones the choice rotates.
    """
    cycle = ready
    while True:
        free = ports & ~taken_ports(cpu, cycle)
        if free:
            break
        cycle += 1
        if cycle > ready + _FAR:  # a ring's length of work in front of it: the model gives up ordering
            return cycle
    rotation = cpu[T_ROTATION]
    cpu[T_ROTATION] = rotation + 1
    above = free & (_MASK << (rotation & 3))
    if above:
        free = above
    port = free & -free
    cpu[T_LAST_PORT] = port
    for ahead in range(busy):
        mark_port(cpu, cycle + ahead, port)
    return cycle


@jit
def mark_port(cpu: Words, cycle: int, port: int) -> None:
    """Take ``port`` in ``cycle``."""
    at = PORTS_AT + (cycle & (PORTS_WORDS - 1))
    word = cpu[at]
    if word >> PORT_BITS == cycle:
        cpu[at] = word | port
    elif word >> PORT_BITS < cycle:
        cpu[at] = cycle << PORT_BITS | port


@jit
def free_port(cpu: Words, cycle: int, port: int) -> None:
    """Give ``port`` in ``cycle`` back."""
    at = PORTS_AT + (cycle & (PORTS_WORDS - 1))
    if cpu[at] >> PORT_BITS == cycle:
        cpu[at] &= ~port
