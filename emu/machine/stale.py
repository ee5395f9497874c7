"""When a CPU fetches the text that others have stored; the rules are in ``fetch``."""

from __future__ import annotations

from emu.compiled import jit
from emu.machine.access import random_word, record_event
from emu.machine.native import Words, call4, halves, octets, words
from emu.machine.order_call import order
from emu.machine.state import (
    CPU_REENTER,
    CPU_ROWS_AT,
    CPU_STALE,
    CPU_STALE_RANGES,
    CPU_TEXT_HOST,
    CPU_UC,
    CPU_VIEWS,
    CTL_FETCH,
    CTL_PORT,
    CTL_TEXT_HOST,
    CTL_UC_CTL,
    CTL_WINDOWS,
    PORT_X86_64,
    STAGE_READY,
    STALE_OFFSET,
    STALE_SIZE,
    STALE_STAGE,
    STALE_WORDS,
    Fetch,
    Order,
)  # fmt: skip
from emu.trace.schema import EventKind

_EVENT_REFRESH = int(EventKind.REFRESH)
_FETCH_RANDOM = int(Fetch.RANDOM)
_REACH = 14  # an instruction that begins so many bytes earlier may include a byte
_CATCH_UP = int(Order.CATCH_UP)
_REMOVE_CACHE = (1 << 30) | (2 << 26) | 9  # UC_CTL_WRITE(UC_CTL_TB_REMOVE_CACHE, 2)


@jit
def refresh_range(ctl: Words, cpu: Words, offset: int, size: int) -> int:
    """Let a CPU fetch what text memory holds in a range of text offsets; return its guest address."""
    private = octets(cpu[CPU_TEXT_HOST] + offset, size)
    coherent = octets(ctl[CTL_TEXT_HOST] + offset, size)
    for i in range(size):
        private[i] = coherent[i]
    if cpu[CPU_ROWS_AT]:
        first = max(offset - _REACH, 0)
        rows = halves(cpu[CPU_ROWS_AT] + 4 * first, offset + size - first)
        for i in range(offset + size - first):
            rows[i] = 0
    address = offset
    for i in range(3):
        delta = offset - ctl[CTL_WINDOWS + 3 * i + 2]
        if 0 <= delta < ctl[CTL_WINDOWS + 3 * i + 1]:
            address = delta + ctl[CTL_WINDOWS + 3 * i]
    call4(ctl[CTL_UC_CTL], cpu[CPU_UC], _REMOVE_CACHE, address, address + size)
    cpu[CPU_REENTER] = 1
    return address


@jit
def fetch_anew(ctl: Words, cpu: Words, offset: int, size: int) -> int:
    """Fetch text that others have stored; return its guest address.

    Loads behind the fetched instructions see what landed before the store to text did (arm64).
    """
    if cpu[CPU_VIEWS]:
        order(ctl, cpu, _CATCH_UP, 0)
    return refresh_range(ctl, cpu, offset, size)


@jit
def synchronise_fetch(ctl: Words, cpu: Words) -> None:
    """Context synchronisation: every stale range whose maintenance is complete is fetched anew."""
    kept = 0
    count = cpu[CPU_STALE]
    ranges = words(cpu[CPU_STALE_RANGES], STALE_WORDS * count)
    for i in range(count):
        if ranges[STALE_WORDS * i + STALE_STAGE] == STAGE_READY:
            offset = ranges[STALE_WORDS * i + STALE_OFFSET]
            size = ranges[STALE_WORDS * i + STALE_SIZE]
            address = fetch_anew(ctl, cpu, offset, size)
            record_event(ctl, cpu, _EVENT_REFRESH, address, size, 1)
        else:
            for j in range(STALE_WORDS):
                ranges[STALE_WORDS * kept + j] = ranges[STALE_WORDS * i + j]
            kept += 1
    cpu[CPU_STALE] = kept


@jit
def leak_fetch(ctl: Words, cpu: Words) -> None:
    """Let a CPU happen to fetch one stale byte (x86-64) or word (arm64) early, now and then."""
    if ctl[CTL_FETCH] != _FETCH_RANDOM or random_word(ctl) & 7 != 0:
        return
    count = cpu[CPU_STALE]
    ranges = words(cpu[CPU_STALE_RANGES], STALE_WORDS * count)
    chosen = STALE_WORDS * (random_word(ctl) % count)
    offset, size = ranges[chosen + STALE_OFFSET], ranges[chosen + STALE_SIZE]
    unit = 4
    if ctl[CTL_PORT] == PORT_X86_64:
        unit = 1
    part = random_word(ctl) % size // unit * unit
    address = fetch_anew(ctl, cpu, offset + part, unit)
    record_event(ctl, cpu, _EVENT_REFRESH, address, unit, 0)
