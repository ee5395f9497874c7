"""What happens to a CPU besides its instructions: exceptions, IPIs, waiting, context switches, text pokes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emu.compiled import jit
from emu.timing.caches import LINE_BITS
from emu.timing.fetch import fetch_later
from emu.timing.layout import (
    NONE,
    P_BREAKPOINT,
    P_FAULT,
    P_INTERRUPT,
    P_IPI_DELIVER,
    P_IPI_SEND,
    P_POKE,
    P_SERIALISE,
    P_SWITCH,
    P_SWITCH_CLEARS_RETURNS,
    P_SYSCALL,
    RETURNS_AT,
    RETURNS_WORDS,
    SH_POKED,
    SH_POKED_AT,
    SH_POKES,
    T_ALL_DONE,
    T_BLOCK,
    T_BLOCK_REASON,
    T_CLOCK,
    T_FETCH_LINE,
    T_HEAD_END,
    T_RETIRE,
    T_RETIRED,
    Event,
    Wait,
)

Words = NDArray[np.int64]

_BREAKPOINT, _INTERRUPT, _SYSCALL = int(Event.BREAKPOINT), int(Event.INTERRUPT), int(Event.SYSCALL)
_DRAIN = int(Wait.DRAIN)


@jit
def _stand_until(cpu: Words, cycle: int) -> int:
    """Let nothing be fetched, dispatched or retired before ``cycle``; return the clock."""
    if cycle > cpu[T_BLOCK]:
        cpu[T_BLOCK], cpu[T_BLOCK_REASON] = cycle, _DRAIN
    fetch_later(cpu, cycle, _DRAIN)
    if cycle > cpu[T_RETIRE]:
        cpu[T_RETIRE], cpu[T_RETIRED] = cycle, 0
        cpu[T_CLOCK] = cycle
    cpu[T_HEAD_END] = NONE
    cpu[T_FETCH_LINE] = NONE
    return cpu[T_CLOCK]


@jit
def drain(cpu: Words) -> int:
    """Serialise: fetch starts again when all is complete."""
    return _stand_until(cpu, max(cpu[T_ALL_DONE], cpu[T_CLOCK]) + cpu[P_SERIALISE])


@jit
def enter_exception(cpu: Words, shared: Words, event: int) -> int:
    """Enter a handler: all before it completes, the hardware saves its frame, fetch starts at the vector."""
    if event == _BREAKPOINT:
        cost = cpu[P_BREAKPOINT]
    elif event == _INTERRUPT:
        cost = cpu[P_INTERRUPT]
    elif event == _SYSCALL:
        cost = cpu[P_SYSCALL]
    else:
        cost = cpu[P_FAULT]
    return _stand_until(cpu, max(cpu[T_ALL_DONE], cpu[T_CLOCK]) + cost)


@jit
def send_ipi(cpu: Words) -> int:
    """Send an interrupt to another CPU; return the clock at which it arrives there."""
    _stand_until(cpu, cpu[T_CLOCK] + cpu[P_IPI_SEND])
    return cpu[T_CLOCK] + cpu[P_IPI_DELIVER]


@jit
def wait_until(cpu: Words, clock: int) -> int:
    """Stand still until ``clock``; nothing happens if that has passed."""
    return _stand_until(cpu, clock) if clock > cpu[T_CLOCK] else cpu[T_CLOCK]


@jit
def switch_context(cpu: Words) -> int:
    """Go on with another task: what its stack predicts is not there."""
    if cpu[P_SWITCH_CLEARS_RETURNS]:
        for entry in range(RETURNS_WORDS):
            cpu[RETURNS_AT + entry] = 0
    return _stand_until(cpu, cpu[T_CLOCK] + cpu[P_SWITCH])


@jit
def poke_text(cpu: Words, shared: Words, address: int, size: int) -> int:
    """Write text: the lines at ``address`` leave every CPU's first code cache before their next fetch."""
    for line in range(address >> LINE_BITS, (address + max(size, 1) - 1 >> LINE_BITS) + 1):
        shared[SH_POKED_AT + shared[SH_POKES] % SH_POKED] = line
        shared[SH_POKES] += 1
    return _stand_until(cpu, cpu[T_CLOCK] + cpu[P_POKE])
