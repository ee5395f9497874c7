"""Execution ports: each takes one operation per cycle; the first free cycle is taken."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emu.compiled import inline_jit, jit, merged_jit
from emu.timing.layout import PORT_BITS, PORT_TAILS_AT, PORTS_AT, PORTS_WORDS, T_LAST_PORT

Words = NDArray[np.int64]

_MASK = (1 << PORT_BITS) - 1
_FAR = PORTS_WORDS - 64


@inline_jit
def port_number(port: int) -> int:
    """Return a number below 16 of its own for each single bit: a de Bruijn sequence shifted by it."""
    return (port * 0x09AF & 0xFFFF) >> 12


@merged_jit
def take_port(cpu: Words, ports: int, ready: int, busy: int) -> int:
    """Take one of ``ports`` (a mask) from the first cycle on, not before ``ready``; return that cycle.

    The port is kept for ``busy`` cycles. Of several free ones the one with the
    least work in front of it is taken.
    """
    cycle = ready
    while True:
        word = cpu[PORTS_AT + (cycle & (PORTS_WORDS - 1))]
        since = word >> PORT_BITS
        taken = word & _MASK
        if since < cycle:
            taken = 0
        free = ports & ~taken
        if free and since <= cycle:
            break
        cycle += 1
        if cycle > ready + _FAR:  # a ring's length of work in front of it: the model gives up ordering
            return cycle
    port = free & -free
    tail = PORT_TAILS_AT + port_number(port)
    least = cpu[tail]
    free ^= port
    while free:
        other = free & -free
        free ^= other
        at = PORT_TAILS_AT + port_number(other)
        if cpu[at] < least:
            port, tail, least = other, at, cpu[at]
    cpu[T_LAST_PORT] = port
    cpu[PORTS_AT + (cycle & (PORTS_WORDS - 1))] = cycle << PORT_BITS | taken | port
    for ahead in range(1, busy):
        mark_port(cpu, cycle + ahead, port)
    cpu[tail] = max(least, cycle + busy - 1)
    return cycle


@jit
def take_more_ports(cpu: Words, ports: int, ready: int, count: int) -> int:
    """Take one of ``ports`` so many times, each from ``ready`` on; return the last cycle."""
    last = ready
    for _ in range(count):
        last = max(last, take_port(cpu, ports, ready, 1))
    return last


@merged_jit
def mark_port(cpu: Words, cycle: int, port: int) -> None:
    """Take ``port`` in ``cycle``."""
    at = PORTS_AT + (cycle & (PORTS_WORDS - 1))
    word = cpu[at]
    if word >> PORT_BITS == cycle:
        cpu[at] = word | port
    elif word >> PORT_BITS < cycle:
        cpu[at] = cycle << PORT_BITS | port


@merged_jit
def free_port(cpu: Words, cycle: int, port: int) -> None:
    """Give ``port`` in ``cycle`` back."""
    at = PORTS_AT + (cycle & (PORTS_WORDS - 1))
    if cpu[at] >> PORT_BITS == cycle:
        cpu[at] &= ~port
