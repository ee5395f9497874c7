"""Caches and TLBs: tags in sets, least recently used goes; and who else has a line."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emu.compiled import jit, merged_jit
from emu.timing.layout import (
    DIRECTORY_WORDS,
    P_L1_TLB_SETS,
    P_L1_TLB_WAYS,
    P_L1D_SETS,
    P_L1D_WAYS,
    P_L2_LATENCY,
    P_L2_SETS,
    P_L2_TLB_LATENCY,
    P_L2_TLB_SETS,
    P_L2_TLB_WAYS,
    P_L2_WAYS,
    P_LINE_TRANSFER,
    P_LINE_UPGRADE,
    P_LLC_LATENCY,
    P_LLC_SETS,
    P_LLC_WAYS,
    P_MEMORY_LATENCY,
    P_WALK_LATENCY,
    SH_DIRECTORY,
    SH_DIRECTORY_AT,
    SH_LLC_AT,
    T_CLOCK,
    T_CPUS,
    T_INDEX,
    T_L1_TLB_AT,
    T_L1D_AT,
    T_L1D_MISSES,
    T_L2_AT,
    T_L2_TLB_AT,
    T_LINE_TRANSFERS,
)

Words = NDArray[np.int64]

LINE_BITS, PAGE_BITS = 6, 12


@merged_jit
def touch(words: Words, at: int, sets: int, ways: int, key: int) -> bool:
    """Make ``key`` the most recent of its set in a table of tags; False if it was not there."""
    first = at + (key & (sets - 1)) * ways
    return words[np.uint64(first)] == key + 1 or bring_forward(words, first, ways, key + 1)


@jit
def bring_forward(words: Words, first: int, ways: int, tag: int) -> bool:
    """Make ``tag`` the most recent of the set at ``first``, where it is not; False if it was not there."""
    moved = words[first]
    words[first] = tag
    for way in range(first + 1, first + ways):
        here = words[way]
        words[way] = moved
        if here == tag:
            return True
        moved = here
    return False


@jit
def forget(words: Words, at: int, sets: int, ways: int, key: int) -> None:
    """Invalidate ``key`` in a table of tags."""
    first = at + (key & (sets - 1)) * ways
    for way in range(first, first + ways):
        if words[way] == key + 1:
            words[way] = 0


@merged_jit
def translate(cpu: Words, address: int) -> int:
    """Return the cycles that the translation of ``address`` adds."""
    page = address >> PAGE_BITS
    if touch(cpu, cpu[T_L1_TLB_AT], cpu[P_L1_TLB_SETS], cpu[P_L1_TLB_WAYS], page):
        return 0
    return translate_beyond_first(cpu, page)


@jit
def translate_beyond_first(cpu: Words, page: int) -> int:
    """Return the latency of a translation that is not in the first TLB: the second, or a walk."""
    if touch(cpu, cpu[T_L2_TLB_AT], cpu[P_L2_TLB_SETS], cpu[P_L2_TLB_WAYS], page):
        return cpu[P_L2_TLB_LATENCY]
    return cpu[P_WALK_LATENCY]


@jit
def beyond_first(cpu: Words, shared: Words, line: int) -> int:
    """Return the latency of a line that is not in a first-level cache: L2, LLC or memory."""
    if touch(cpu, cpu[T_L2_AT], cpu[P_L2_SETS], cpu[P_L2_WAYS], line):
        return cpu[P_L2_LATENCY]
    if touch(shared, SH_LLC_AT, cpu[P_LLC_SETS], cpu[P_LLC_WAYS], line):
        return cpu[P_LLC_LATENCY]
    return cpu[P_MEMORY_LATENCY]


@merged_jit
def reach(cpu: Words, shared: Words, address: int, store: bool) -> int:
    """Return the cycles that an access at ``address`` takes beyond one that hits the first cache.

    With several CPUs a directory knows who has written a line last and who has read it since. A line
    that another CPU has written comes from there; a store to a line that others have read
    takes it away from them.
    """
    line = address >> LINE_BITS
    extra = translate(cpu, address)
    transfer = own(cpu, shared, line, store) if cpu[T_CPUS] > 1 else 0
    if touch(cpu, cpu[T_L1D_AT], cpu[P_L1D_SETS], cpu[P_L1D_WAYS], line):
        return extra + transfer
    cpu[T_L1D_MISSES] += 1
    beyond = beyond_first(cpu, shared, line)
    return extra + (transfer if transfer else beyond)


@jit
def queue_for(cpu: Words, shared: Words, at: int, cycles: int) -> int:
    """Return how long it takes to get a line for writing: behind the other CPUs that are getting it."""
    now = cpu[T_CLOCK]
    wait = min(max(shared[at + 3] - now, 0), cpu[T_CPUS] * cpu[P_LINE_TRANSFER])
    shared[at + 3] = now + wait + cycles
    return wait + cycles


@jit
def own(cpu: Words, shared: Words, line: int, store: bool) -> int:
    """Note an access in the directory; return what it costs that other CPUs have the line."""
    me = cpu[T_INDEX]
    bit = 1 << min(me, 62)  # CPUs above share the last
    at = SH_DIRECTORY_AT + ((line ^ line >> 14) & (SH_DIRECTORY - 1)) * DIRECTORY_WORDS
    if shared[at] != line + 1:
        shared[at] = line + 1
        shared[at + 1] = me + 1 if store else 0
        shared[at + 2] = bit
        shared[at + 3] = 0
        return 0
    owner, sharers = shared[at + 1], shared[at + 2]
    if store:
        shared[at + 1], shared[at + 2] = me + 1, bit
        if owner == me + 1 and sharers == bit:
            return 0
        if sharers & ~bit == 0 and owner == 0:
            return 0
        if owner != me + 1 and owner != 0 and sharers & bit == 0:
            cpu[T_LINE_TRANSFERS] += 1
            return queue_for(cpu, shared, at, cpu[P_LINE_TRANSFER])
        return queue_for(cpu, shared, at, cpu[P_LINE_UPGRADE])
    shared[at + 2] = sharers | bit
    if sharers & bit or owner == me + 1 or owner == 0:
        return 0
    cpu[T_LINE_TRANSFERS] += 1
    return cpu[P_LINE_TRANSFER]
