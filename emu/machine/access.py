"""What native code does all the time: registers, guest data, text offsets, random numbers, clocks, events."""

from __future__ import annotations

import numpy as np

from emu.compiled import inline_jit, jit, jit_once
from emu.machine.native import Words, call3, words
from emu.machine.state import (
    CPU_CLOCK_OFFSET,
    CPU_INDEX,
    CPU_INSNS,
    CPU_SCRATCH,
    CPU_STOP,
    CPU_TASK,
    CPU_UC,
    CTL_DATA_BASE,
    CTL_DATA_HOST,
    CTL_DATA_SIZE,
    CTL_EVENT_CAPACITY,
    CTL_EVENT_COUNT,
    CTL_EVENT_ROWS,
    CTL_RANDOM,
    CTL_REG_READ,
    CTL_REG_WRITE,
    CTL_SEQUENCE,
    CTL_WARNINGS,
    CTL_WINDOWS,
    EVENT_WORDS,
    Stop,
)  # fmt: skip
from emu.trace.schema import EventKind

_EVENT_WARN, _EVENT_BUG = int(EventKind.WARN), int(EventKind.BUG)
_STOP_FLUSH = int(Stop.FLUSH)
_ROOM = 128  # rows that one landing may add at most before a flush is asked for


@inline_jit
def text_offset(ctl: Words, address: int) -> int:
    """Return the offset of ``address`` in a text array, or -1."""
    for i in range(3):
        delta = address - ctl[CTL_WINDOWS + 3 * i]
        if 0 <= delta < ctl[CTL_WINDOWS + 3 * i + 1]:
            return delta + ctl[CTL_WINDOWS + 3 * i + 2]
    return -1


@inline_jit
def read_register(ctl: Words, cpu: Words, register: int) -> int:
    """Return a 64-bit register of ``cpu``."""
    scratch = cpu.ctypes.data + 8 * CPU_SCRATCH
    cpu[CPU_SCRATCH] = 0
    call3(ctl[CTL_REG_READ], cpu[CPU_UC], register, scratch)
    return cpu[CPU_SCRATCH]


@inline_jit
def write_register(ctl: Words, cpu: Words, register: int, value: int) -> None:
    """Set a 64-bit register of ``cpu``."""
    cpu[CPU_SCRATCH] = value
    call3(ctl[CTL_REG_WRITE], cpu[CPU_UC], register, cpu.ctypes.data + 8 * CPU_SCRATCH)


@inline_jit
def load_word(ctl: Words, address: int) -> int:
    """Return the u64 at a guest data address, 0 outside data."""
    offset = address - ctl[CTL_DATA_BASE]
    if offset < 0 or offset + 8 > ctl[CTL_DATA_SIZE]:
        return 0
    return words(ctl[CTL_DATA_HOST] + offset, 1)[0]


@inline_jit
def store_word(ctl: Words, address: int, value: int) -> bool:
    """Store a u64 at a guest data address; False outside data."""
    offset = address - ctl[CTL_DATA_BASE]
    if offset < 0 or offset + 8 > ctl[CTL_DATA_SIZE]:
        return False
    words(ctl[CTL_DATA_HOST] + offset, 1)[0] = value
    return True


@jit
def random_word(ctl: Words) -> int:
    """Return the next 63 pseudo-random bits (xorshift64*, Vigna 2016)."""
    x = np.uint64(ctl[CTL_RANDOM])
    x ^= x >> np.uint64(12)
    x ^= x << np.uint64(25)
    x ^= x >> np.uint64(27)
    ctl[CTL_RANDOM] = np.int64(x)
    return int((x * np.uint64(0x2545F4914F6CDD1D)) >> np.uint64(1))


@inline_jit
def clock(cpu: Words) -> int:
    """Return a CPU's local clock, cycles."""
    return cpu[CPU_INSNS] + cpu[CPU_CLOCK_OFFSET]


@jit_once("void(int64[::1], int64[::1], int64, int64, int64, int64)")
def record_event(ctl: Words, cpu: Words, kind: int, a: int, b: int, c: int) -> None:
    """Append one EVENTS row; the buffer is emptied by Python before it can be full."""
    if kind in (_EVENT_WARN, _EVENT_BUG):
        ctl[CTL_WARNINGS] += 1
    n = ctl[CTL_EVENT_COUNT]
    if n >= ctl[CTL_EVENT_CAPACITY]:
        return
    row = words(ctl[CTL_EVENT_ROWS] + 8 * EVENT_WORDS * n, EVENT_WORDS)
    row[0] = ctl[CTL_SEQUENCE]
    row[1] = clock(cpu)
    row[2] = cpu[CPU_INDEX]
    row[3] = kind
    row[4] = cpu[CPU_TASK]
    row[5] = a
    row[6] = b
    row[7] = c
    ctl[CTL_SEQUENCE] += 1
    ctl[CTL_EVENT_COUNT] = n + 1
    if n + _ROOM >= ctl[CTL_EVENT_CAPACITY] and cpu[CPU_STOP] == 0:
        cpu[CPU_STOP] = _STOP_FLUSH
