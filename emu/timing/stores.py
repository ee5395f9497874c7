"""Stores on their way to the cache, and loads that find them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emu.compiled import merged_jit
from emu.timing.caches import LINE_BITS, reach
from emu.timing.layout import (
    DRAINS_AT,
    DRAINS_WORDS,
    F_PAIR,
    F_RENAMES,
    NONE,
    P_COMMIT_BLOCK_BITS,
    P_COMMIT_DELAY,
    P_COMMIT_FORWARDED,
    P_COMMIT_SAME_LINE,
    P_CROSS_LINE,
    P_FORWARD,
    P_FORWARD_CONTAINED_RENAMED,
    P_FORWARD_FAIL,
    P_FORWARD_FAIL_RETIRED,
    P_FORWARD_NEAR,
    P_FORWARD_PAIR,
    P_FORWARD_RENAMED,
    P_FORWARD_SHARE,
    P_LOAD_LATENCY,
    P_RENAME_DEPTH,
    P_SPLIT_STORE,
    P_STORE_LATENCY,
    P_STORE_QUEUE,
    S_ADDRESS,
    S_COMMIT,
    S_COUNT,
    S_OLDER,
    S_READY,
    S_RENAMES,
    S_SIZE,
    S_SLOT,
    STORE_WORDS,
    STORES,
    STORES_AT,
    T_ALL_DONE,
    T_COMMIT,
    T_COMMIT_LINE,
    T_COMMIT_RUN,
    T_COMMITS,
    T_FORWARD_FAILS,
    T_FORWARD_SHARE,
    T_FORWARDS,
    T_ROB_COUNT,
    T_STORE_COUNT,
    Wait,
)

Words = NDArray[np.int64]

_CACHE, _FORWARD, _FORWARD_FAIL = int(Wait.CACHE), int(Wait.FORWARD), int(Wait.FORWARD_FAIL)
_SHARE = 1 << 16  # all loads forward, in T_FORWARD_SHARE
_ALIAS = (1 << 7) - 1  # of granules: 1024 bytes, half of the table of stores
_SHARE_SHIFT = 4  # the share is one of the last 16 stores or so


@merged_jit
def youngest_store(cpu: Words, address: int, size: int, cycle: int) -> int:
    """Return the row of the youngest store that a load overlaps, not committed by ``cycle``, or -1."""
    found, count = -1, -1
    for granule in range(address >> 3, (address + size - 1 >> 3) + 1):
        at = STORES_AT + (granule & (STORES - 1)) * STORE_WORDS
        start = cpu[at + S_ADDRESS]
        if start < address + size and address < start + cpu[at + S_SIZE]:
            number = cpu[at + S_COUNT]
            if number > count and cpu[at + S_COMMIT] > cycle:
                found, count = at, number
    return found


@merged_jit
def is_split(cpu: Words, store: int, address: int, size: int) -> bool:
    """Tell whether a load needs bytes that the store at row ``store`` has not written."""
    start = cpu[store + S_ADDRESS]
    return address < start or address + size > start + cpu[store + S_SIZE]


@merged_jit
def meets_store(cpu: Words, address: int) -> bool:
    """Tell whether one of the last stores went to the same place modulo 1024: it is looked at first."""
    first = cpu[T_ROB_COUNT] - cpu[P_FORWARD_NEAR]
    near = STORES_AT + (address >> 3 & _ALIAS) * STORE_WORDS
    far = near + (_ALIAS + 1) * STORE_WORDS
    return (cpu[near + S_COUNT] > 0 and cpu[near + S_SLOT] >= first) or (
        cpu[far + S_COUNT] > 0 and cpu[far + S_SLOT] >= first
    )


@merged_jit
def load_done(
    cpu: Words, shared: Words, address: int, size: int, issue: int, earliest: int, extra: int, later: int,
    flags: int,
) -> tuple[int, int]:  # fmt: skip
    """Return when a load's value is there, and what it waited for (`Wait`).

    From one of the last few stores, at the same address, a plain load takes the store's register
    (``earliest``: one cycle behind dispatch); from others that are still on their way the value is forwarded.
    A load of bytes of which the store has only some waits for a while; a pair of registers, if the model says
    so, until the store is in the cache. ``extra`` cycles are added to what is not taken over,
    ``later`` to what is forwarded; ``flags`` are of the load's row.
    """
    store = youngest_store(cpu, address, size, issue)
    if store >= 0:
        ready = cpu[store + S_READY]
        if is_split(cpu, store, address, size):
            cpu[T_FORWARD_FAILS] += 1
            if flags & F_PAIR and cpu[P_FORWARD_PAIR] == 0:
                return max(issue, cpu[store + S_COMMIT]) + cpu[P_LOAD_LATENCY] + extra, _FORWARD_FAIL
            from_cycle = max(issue, ready, cpu[store + S_OLDER])
            if cpu[P_FORWARD_FAIL_RETIRED]:
                from_cycle = max(from_cycle, cpu[store + S_COMMIT] - cpu[P_COMMIT_DELAY])
            return from_cycle + cpu[P_FORWARD_FAIL], _FORWARD_FAIL
        if cpu[T_ROB_COUNT] - cpu[store + S_SLOT] <= cpu[P_FORWARD_NEAR]:
            cpu[T_FORWARD_SHARE] += _SHARE >> _SHARE_SHIFT
        cpu[T_FORWARDS] += 1
        same = cpu[store + S_SIZE] == size or (cpu[P_FORWARD_CONTAINED_RENAMED] != 0 and size >= 4)
        known = (
            cpu[store + S_COUNT] > cpu[T_STORE_COUNT] - cpu[P_RENAME_DEPTH] and cpu[store + S_RENAMES] != 0
        )
        renames = flags & F_RENAMES != 0
        if renames and same and known and cpu[store + S_ADDRESS] == address and cpu[P_FORWARD_RENAMED] >= 0:
            checked = max(issue, ready) + cpu[P_STORE_LATENCY] + cpu[P_FORWARD]
            cpu[T_ALL_DONE] = max(cpu[T_ALL_DONE], checked)  # the load itself, which a drain waits for
            return max(earliest, ready) + cpu[P_FORWARD_RENAMED], _FORWARD
        return max(issue, ready) + cpu[P_FORWARD] + extra + later, _FORWARD
    elif meets_store(cpu, address):
        cpu[T_FORWARD_SHARE] += _SHARE >> _SHARE_SHIFT
    beyond = reach(cpu, shared, address, False)
    line_end = (address | (1 << LINE_BITS) - 1) + 1
    if address + size > line_end:
        beyond += cpu[P_CROSS_LINE]
        second = reach(cpu, shared, line_end, False)
        beyond = max(beyond, second)
    return issue + cpu[P_LOAD_LATENCY] + extra + beyond, _CACHE if beyond else 0


@merged_jit
def commit_store(
    cpu: Words, shared: Words, address: int, size: int, ready: int, retire: int, renames: bool, pairs: bool
) -> int:
    """Put a store into the queue and return the cycle in which it is in the cache.

    Stores commit in order, one per cycle; those to one block, and the first behind several to one,
    in pairs, unless many of them are loaded from soon after: then only read-modify-writes and return
    addresses (``pairs``) do.
    """
    beyond = reach(cpu, shared, address, True)
    block = address >> cpu[P_COMMIT_BLOCK_BITS]
    commit = max(cpu[T_COMMIT], retire + cpu[P_COMMIT_DELAY])
    if commit == cpu[T_COMMIT]:
        paired = cpu[P_COMMIT_SAME_LINE]
        if cpu[T_FORWARD_SHARE] >= cpu[P_FORWARD_SHARE] and not pairs:
            paired = cpu[P_COMMIT_FORWARDED]
        together = block == cpu[T_COMMIT_LINE] or cpu[T_COMMIT_RUN] > 1
        if together and size <= 8 and cpu[T_COMMITS] < paired:
            cpu[T_COMMITS] += 1
        else:
            commit += 1
            cpu[T_COMMITS] = 1
    else:
        cpu[T_COMMITS] = 1
    cpu[T_COMMIT_RUN] = cpu[T_COMMIT_RUN] + 1 if block == cpu[T_COMMIT_LINE] else 1
    if address + size > (address | (1 << LINE_BITS) - 1) + 1:
        commit += cpu[P_SPLIT_STORE]
    commit += beyond
    cpu[T_COMMIT], cpu[T_COMMIT_LINE] = commit, block
    cpu[T_FORWARD_SHARE] -= cpu[T_FORWARD_SHARE] >> _SHARE_SHIFT
    count = cpu[T_STORE_COUNT] + 1
    cpu[T_STORE_COUNT] = count
    cpu[DRAINS_AT + (count & (DRAINS_WORDS - 1))] = commit
    for granule in range(address >> 3, (address + size - 1 >> 3) + 1):
        at = STORES_AT + (granule & (STORES - 1)) * STORE_WORDS
        older = 0
        if (
            size < 8 and cpu[at + S_ADDRESS] >> 3 == granule
        ):  # both are waited for by a load of all eight bytes
            older = max(cpu[at + S_READY], cpu[at + S_OLDER])
        cpu[at + S_OLDER] = older
        cpu[at + S_ADDRESS], cpu[at + S_SIZE], cpu[at + S_READY] = address, size, ready
        cpu[at + S_COMMIT], cpu[at + S_COUNT] = commit, count
        cpu[at + S_RENAMES], cpu[at + S_SLOT] = renames, cpu[T_ROB_COUNT]
    return commit


@merged_jit
def order_stores(cpu: Words, retire: int) -> None:
    """Keep stores behind from committing together with those in front.

    A barrier takes a place in the queue and a turn of its own, or the second half of one of several stores.
    """
    odd = cpu[T_COMMIT] >= retire and cpu[T_COMMITS] == 1 and cpu[T_COMMIT_RUN] > 1
    cpu[T_COMMIT] = max(cpu[T_COMMIT], retire) + (0 if odd else 1)
    cpu[T_STORE_COUNT] += 1
    cpu[DRAINS_AT + (cpu[T_STORE_COUNT] & (DRAINS_WORDS - 1))] = cpu[T_COMMIT]
    cpu[T_COMMIT_LINE], cpu[T_COMMITS], cpu[T_COMMIT_RUN] = NONE, 1, 0


@merged_jit
def queue_free(cpu: Words) -> int:
    """Return the cycle in which the next store has a place in the queue."""
    before = cpu[T_STORE_COUNT] + 1 - cpu[P_STORE_QUEUE]
    return cpu[DRAINS_AT + (before & (DRAINS_WORDS - 1))] if before > 0 else 0
