"""Counts executions by outcome in an open hash table, and keeps a shortest execution of each."""

from __future__ import annotations

import numpy as np

from emu.compiled import jit
from emu.ordering.columns import (
    FLAGS,
    HITS,
    LEAF,
    LEAVES,
    OUTCOME_KEY,
    RANK,
    READS_FROM,
    ROW,
    USED,
    VALUE,
    Table,
)

_PRIME = np.uint64(0x100000001B3)  # FNV-1a, 64 bits
_FOLD = np.uint64(29)  # brings high bits down: keys are small numbers in rows
_OFFSET = np.uint64(0xCBF29CE484222325)


@jit
def count_outcome(
    found: int,
    flags: int,
    cpus: int,
    count: int,
    control: Table,
    nodes: Table,
    order: Table,
    lengths: Table,
    initial_value: Table,
    observed: Table,
    placed: Table,
    events: Table,
    outcomes: Table,
    witnesses: Table,
) -> None:
    """Add executions to the outcome that the placed events lead to.

    Args:
        found: how many executions.
        flags: of them.
        cpus: how many CPUs.
        count: how many events are placed.
        control: control block of the search.
        nodes: node table.
        order: per location its writes in coherence order.
        lengths: per location how many.
        initial_value: per location its initial pair, then (second row) its initial value.
        observed: per location 1 if its last value is part of the outcome.
        placed: table of placed events.
        events: event table.
        outcomes: hash table; at least one slot is free.
        witnesses: per slot: number of events, then per event its row, what it reads from, its rank.
    """
    slots = outcomes.shape[0]
    locations = lengths.shape[0]
    key = outcomes[slots - 1]  # the last row is never hashed to: room for the key that is looked up
    digest = _OFFSET
    for cpu in range(cpus):
        key[OUTCOME_KEY + cpu] = nodes[control[LEAVES + cpu], LEAF]
    for location in range(locations):
        last = np.int64(-1)
        if observed[location]:
            last = initial_value[1, location]
            if lengths[location] > 0:
                last = events[placed[order[location, lengths[location] - 1], ROW], VALUE]
        key[OUTCOME_KEY + cpus + location] = last
    width = OUTCOME_KEY + cpus + locations
    for column in range(OUTCOME_KEY, width):
        digest = (digest ^ np.uint64(key[column])) * _PRIME
        digest ^= digest >> _FOLD
    slot = np.int64(digest % np.uint64(slots - 1))
    while outcomes[slot, HITS] > 0:
        same = True
        for column in range(OUTCOME_KEY, width):
            if outcomes[slot, column] != key[column]:
                same = False
                break
        if same:
            outcomes[slot, HITS] += found
            outcomes[slot, FLAGS] |= flags
            if count < witnesses[slot, 0]:
                _witness(int(slot), count, placed, witnesses)
            return
        slot = (slot + 1) % (slots - 1)
    for column in range(OUTCOME_KEY, width):
        outcomes[slot, column] = key[column]
    outcomes[slot, HITS] = found
    outcomes[slot, FLAGS] = flags
    control[USED] += 1
    _witness(int(slot), count, placed, witnesses)


@jit
def _witness(slot: int, count: int, placed: Table, witnesses: Table) -> None:
    """Keep an execution."""
    witnesses[slot, 0] = count
    for event in range(count):
        witnesses[slot, 1 + 3 * event] = placed[event, ROW]
        witnesses[slot, 2 + 3 * event] = placed[event, READS_FROM]
        witnesses[slot, 3 + 3 * event] = placed[event, RANK]
