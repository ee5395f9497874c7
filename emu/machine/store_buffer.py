"""Stores that wait: every CPU's pending stores, and when they land in memory that all CPUs see.

While a CPU runs, memory looks as that CPU sees it: its pending stores lie over it, so
its loads forward from them by themselves. Before another CPU runs they are lifted
off again. Nothing happens at a load, and a store costs one hook.

Rules of Ordering.TSO: first in, first out (Owens, Sarkar, Sewell 2009, "A better x86
memory model: x86-TSO"). Rules of Ordering.ARM64: `must_precede`.
"""

from __future__ import annotations

import numpy as np

from emu.compiled import inline_jit, jit
from emu.machine.access import record_event
from emu.machine.native import Words, halves, octets, words
from emu.machine.state import (
    COHERENCE_SLOTS,
    CPU_COHERENCE,
    CPU_FAULT_ADDRESS,
    CPU_FORWARDS,
    CPU_INDEX,
    CPU_INSNS,
    CPU_LATE_PC,
    CPU_PAGES,
    CPU_PENDING_STORES,
    CPU_STOP,
    CPU_STORE_ROWS,
    CPU_VIEWS,
    CPU_WORDS,
    CTL_CPU_BLOCKS,
    CTL_CPUS,
    CTL_DATA_BASE,
    CTL_DATA_HOST,
    CTL_FENCES,
    CTL_LANDED,
    CTL_LAST_LANDED,
    CTL_NOW,
    CTL_ORDER_RANDOM,
    CTL_ORDERING,
    CTL_SHOWN,
    CTL_STOP_INFO,
    CTL_TEXT_SIZE,
    FORWARD_ADDRESS,
    FORWARD_ATOMIC,
    FORWARD_SIZE,
    FORWARD_TIME,
    FORWARD_VIEW,
    FORWARD_WORDS,
    LANDED_BEFORE,
    LANDED_CPU,
    LANDED_GRANULE,
    LANDED_MASK,
    LANDED_OLD,
    LANDED_ROWS,
    LANDED_WORDS,
    LAST_SLOTS,
    LATE_STORE,
    PENDING_MAX,
    STORE_ADDRESS,
    STORE_ATOMIC,
    STORE_DUE,
    STORE_GROUP,
    STORE_PC,
    STORE_RELEASE,
    STORE_SIZE,
    STORE_UNDER,
    STORE_VALUE,
    STORE_VIEW,
    STORE_WORDS,
    VIEW_RELEASED,
    VIEW_WORDS,
    VIEW_WRITES,
    Ordering,
    Stop,
)  # fmt: skip
from emu.trace.schema import EventKind
from emu.units import PAGE_SIZE

_TSO, _ARM64 = int(Ordering.TSO), int(Ordering.ARM64)
_EVENT_FAULT, _STOP_FAULT = int(EventKind.FAULT), int(Stop.FAULT)
_LONGEST_WAIT = 8  # a store waits 2^0 .. 2^(this - 1) instructions of its CPU. # assumed: any time is sound
_FAULT_STORE = 1


@jit
def order_random(ctl: Words) -> int:
    """Return the next 63 bits that ordering draws (xorshift64*, Vigna 2016), apart from the schedule's."""
    x = np.uint64(ctl[CTL_ORDER_RANDOM])
    x ^= x >> np.uint64(12)
    x ^= x << np.uint64(25)
    x ^= x >> np.uint64(27)
    ctl[CTL_ORDER_RANDOM] = np.int64(x)
    return int((x * np.uint64(0x2545F4914F6CDD1D)) >> np.uint64(1))


@inline_jit
def mask_of(size: int) -> int:
    """Return the bits of the low ``size`` bytes, 1 to 8."""
    mask = -1
    if size < 8:
        mask = (1 << (8 * size)) - 1
    return mask


@inline_jit
def peek(ctl: Words, address: int, size: int) -> int:
    """Return ``size`` bytes of data as memory looks now, unsigned unless 8."""
    return words(ctl[CTL_DATA_HOST] + address - ctl[CTL_DATA_BASE], 1)[0] & mask_of(size)


@inline_jit
def poke(ctl: Words, address: int, size: int, value: int) -> None:
    """Put ``size`` bytes of data where they are, whoever looks."""
    word = words(ctl[CTL_DATA_HOST] + address - ctl[CTL_DATA_BASE], 1)
    mask = mask_of(size)
    word[0] = (word[0] & ~mask) | (value & mask)


@inline_jit
def store_rows(cpu: Words) -> Words:
    """View the CPU's pending stores, oldest first."""
    return words(cpu[CPU_STORE_ROWS], PENDING_MAX * STORE_WORDS)


@inline_jit
def last_slot(address: int) -> int:
    """Return where the table of last landings keeps the granule of ``address``."""
    return (address >> 3 ^ address >> 13) & (LAST_SLOTS - 1)


@inline_jit
def coherence_slot(address: int) -> int:
    """Return where a CPU's coherence table keeps the granule of ``address``."""
    return (address >> 3 ^ address >> 11) & (COHERENCE_SLOTS - 1)


@jit
def note_landing(ctl: Words, cpu: Words, address: int, size: int, old: int) -> None:
    """Remember what a landing store covered, within one granule, for loads that still see it."""
    now = ctl[CTL_NOW] + 1
    ctl[CTL_NOW] = now
    shift = 8 * (address & 7)
    row = words(ctl[CTL_LANDED] + 8 * LANDED_WORDS * (now & (LANDED_ROWS - 1)), LANDED_WORDS)
    last = words(ctl[CTL_LAST_LANDED], LAST_SLOTS)
    slot = last_slot(address)
    row[LANDED_GRANULE] = address & -8
    row[LANDED_MASK] = mask_of(size) << shift
    row[LANDED_OLD] = old << shift
    row[LANDED_BEFORE] = last[slot]
    row[LANDED_CPU] = cpu[CPU_INDEX]
    last[slot] = now
    place = coherence_slot(address)
    words(cpu[CPU_COHERENCE], COHERENCE_SLOTS)[place] = now
    words(cpu[CPU_FORWARDS] + 8 * FORWARD_WORDS * place, FORWARD_WORDS)[FORWARD_SIZE] = 0
    words(cpu[CPU_VIEWS], VIEW_WORDS)[VIEW_WRITES] = now


@jit
def account_landing(ctl: Words, cpu: Words, i: int) -> None:
    """Do what is due when pending store ``i`` lands, memory looking as its CPU sees it."""
    row = words(cpu[CPU_STORE_ROWS] + 8 * STORE_WORDS * i, STORE_WORDS)
    address, size = row[STORE_ADDRESS], row[STORE_SIZE]
    page = octets(cpu[CPU_PAGES] + (address - ctl[CTL_DATA_BASE]) // PAGE_SIZE, 1)
    if page[0] == 0:  # freed since
        record_event(ctl, cpu, _EVENT_FAULT, address, row[STORE_PC], _FAULT_STORE)
        cpu[CPU_FAULT_ADDRESS] = address
        cpu[CPU_LATE_PC] = row[STORE_PC]
        cpu[CPU_STOP] = _STOP_FAULT
        ctl[CTL_STOP_INFO] = LATE_STORE
    if cpu[CPU_VIEWS] == 0:
        return
    first = min(size, 8 - (address & 7))
    note_landing(ctl, cpu, address, first, row[STORE_UNDER] & mask_of(first))
    if first < size:  # an unaligned store is not single-copy atomic: two landings
        note_landing(ctl, cpu, address + first, size - first, row[STORE_UNDER] >> (8 * first))
    else:
        forward = words(cpu[CPU_FORWARDS] + 8 * FORWARD_WORDS * coherence_slot(address), FORWARD_WORDS)
        forward[FORWARD_TIME] = ctl[CTL_NOW]
        forward[FORWARD_ADDRESS] = address
        forward[FORWARD_SIZE] = size
        forward[FORWARD_VIEW] = row[STORE_VIEW]
        forward[FORWARD_ATOMIC] = row[STORE_ATOMIC]
    if row[STORE_RELEASE]:
        words(cpu[CPU_VIEWS], VIEW_WORDS)[VIEW_RELEASED] = ctl[CTL_NOW]


@jit
def land_store(ctl: Words, cpu: Words, i: int) -> None:
    """Land pending store ``i``, which none must precede any more: what memory shows is now everybody's."""
    account_landing(ctl, cpu, i)
    rows = store_rows(cpu)
    count = cpu[CPU_PENDING_STORES] - 1
    cpu[CPU_PENDING_STORES] = count
    for at in range(STORE_WORDS * i, STORE_WORDS * count):
        rows[at] = rows[at + STORE_WORDS]


@jit
def drain(ctl: Words, cpu: Words) -> None:
    """Land all pending stores of the CPU as which memory looks, in program order."""
    for i in range(cpu[CPU_PENDING_STORES]):
        account_landing(ctl, cpu, i)
    cpu[CPU_PENDING_STORES] = 0


@inline_jit
def overlaps(rows: Words, i: int, address: int, size: int) -> bool:
    """Tell whether pending store ``i`` has bytes in common with an access."""
    start = rows[STORE_WORDS * i + STORE_ADDRESS]
    return start < address + size and address < start + rows[STORE_WORDS * i + STORE_SIZE]


@jit
def must_precede(ctl: Words, rows: Words, i: int, j: int) -> bool:
    """Tell whether pending store ``i`` must land before ``j``, which is later in program order.

    Source: Arm ARM DDI 0487, B2.3: coherence (same bytes), DMB ST (group), store-release.
    """
    if ctl[CTL_ORDERING] == _TSO:
        return True
    first, second = STORE_WORDS * i, STORE_WORDS * j
    if rows[second + STORE_RELEASE] or rows[first + STORE_GROUP] < rows[second + STORE_GROUP]:
        return True
    return overlaps(rows, i, rows[second + STORE_ADDRESS], rows[second + STORE_SIZE])


@jit
def land_up_to(ctl: Words, cpu: Words, i: int) -> None:
    """Land pending store ``i`` now, and before it all that must precede it."""
    rows = store_rows(cpu)
    needed = 1 << i
    for j in range(i - 1, -1, -1):
        for k in range(j + 1, i + 1):
            if needed >> k & 1 and must_precede(ctl, rows, j, k):
                needed |= 1 << j
                break
    landed = 0
    for j in range(i + 1):
        if needed >> j & 1:
            land_store(ctl, cpu, j - landed)
            landed += 1


@jit
def land_overlapping(ctl: Words, cpu: Words, address: int, size: int) -> None:
    """Land every pending store that has bytes in common with an access."""
    i = cpu[CPU_PENDING_STORES] - 1
    while i >= 0:
        if overlaps(store_rows(cpu), i, address, size):
            land_up_to(ctl, cpu, i)
            i = cpu[CPU_PENDING_STORES]
        i -= 1


@jit
def land_due(ctl: Words, cpu: Words) -> None:
    """Land the pending stores whose time has come and that wait for no other."""
    rows = store_rows(cpu)
    i = 0
    while i < cpu[CPU_PENDING_STORES]:
        free = rows[STORE_WORDS * i + STORE_DUE] <= cpu[CPU_INSNS]
        j = 0
        while free and j < i:
            free = not must_precede(ctl, rows, j, i)
            j += 1
        if free:
            land_store(ctl, cpu, i)
        else:
            i += 1


@jit
def push_store(ctl: Words, cpu: Words, address: int, size: int, value: int, pc: int) -> int:
    """Take in a store that its CPU is about to see in memory; return which pending one it is."""
    if cpu[CPU_PENDING_STORES] == PENDING_MAX:
        land_store(ctl, cpu, 0)
    count = cpu[CPU_PENDING_STORES]
    row = words(cpu[CPU_STORE_ROWS] + 8 * STORE_WORDS * count, STORE_WORDS)
    row[STORE_ADDRESS] = address
    row[STORE_SIZE] = size
    row[STORE_VALUE] = value
    row[STORE_UNDER] = peek(ctl, address, size)
    row[STORE_DUE] = cpu[CPU_INSNS] + (1 << order_random(ctl) % _LONGEST_WAIT)
    row[STORE_GROUP] = 0
    row[STORE_RELEASE] = 0
    row[STORE_VIEW] = 0
    row[STORE_PC] = pc
    row[STORE_ATOMIC] = 0
    cpu[CPU_PENDING_STORES] = count + 1
    return count


@jit
def hide(ctl: Words, cpu: Words) -> None:
    """Lift the CPU's pending stores off memory, but first land those whose time has come."""
    if cpu[CPU_PENDING_STORES] > 0:
        land_due(ctl, cpu)
    rows = store_rows(cpu)
    for i in range(cpu[CPU_PENDING_STORES] - 1, -1, -1):
        at = STORE_WORDS * i
        poke(ctl, rows[at + STORE_ADDRESS], rows[at + STORE_SIZE], rows[at + STORE_UNDER])
    ctl[CTL_SHOWN] = -1


@jit
def show(ctl: Words, cpu: Words) -> None:
    """Make memory look as ``cpu`` sees it."""
    shown = ctl[CTL_SHOWN]
    if shown == cpu[CPU_INDEX]:
        return
    if shown >= 0:
        hide(ctl, words(ctl[CTL_CPU_BLOCKS] + 8 * CPU_WORDS * shown, CPU_WORDS))
    rows = store_rows(cpu)
    for i in range(cpu[CPU_PENDING_STORES]):
        at = STORE_WORDS * i
        address, size = rows[at + STORE_ADDRESS], rows[at + STORE_SIZE]
        rows[at + STORE_UNDER] = peek(ctl, address, size)
        poke(ctl, address, size, rows[at + STORE_VALUE])
    ctl[CTL_SHOWN] = cpu[CPU_INDEX]


@jit
def settle(ctl: Words) -> None:
    """Land every pending store of every CPU."""
    for i in range(ctl[CTL_CPUS]):
        cpu = words(ctl[CTL_CPU_BLOCKS] + 8 * CPU_WORDS * i, CPU_WORDS)
        if cpu[CPU_PENDING_STORES] > 0:
            show(ctl, cpu)
            drain(ctl, cpu)


@jit
def fence_passed(ctl: Words, cpu: Words, first: int, last: int) -> None:
    """Drain if a fence lies between two text offsets that the CPU has run through."""
    fences = halves(ctl[CTL_FENCES], ctl[CTL_TEXT_SIZE] + 1)
    if fences[last] != fences[first]:
        drain(ctl, cpu)
