"""Places events into a partial execution, or says that the axioms forbid it.

Every function here answers for one axiom or one kind of edge.
"""

from __future__ import annotations

import numpy as np

from emu.compiled import jit
from emu.ordering.bits import Rows, add, add_edge, has
from emu.ordering.columns import (
    ACCESS,
    ARM_ATOMIC,
    BASE,
    CACHE_DIC,
    CPU_OF,
    FETCH,
    HAZARD,
    INITIAL,
    KIND,
    LATER,
    LOCATION,
    PARTNER,
    RANK,
    READ,
    READS_FROM,
    ROW,
    SERIAL_FETCH,
    SERIALISE,
    WRITE,
    Table,
)


@jit
def place(
    event: int,
    row: int,
    cpu: int,
    index: int,
    base: int,
    placed: Table,
    events: Table,
    local: Rows,
    before: Rows,
) -> None:
    """Put one event of a CPU behind those placed already, with its local order.

    Args:
        event: number it gets; also how many are placed.
        row: of the event table.
        cpu: that does it.
        index: among the CPU's events.
        base: number of the CPU's first event.
        placed: per placed event its `ROW`, `CPU_OF`, `READS_FROM`, `RANK`.
        events: event table.
        local: per event table row, the CPU's earlier events that it is ordered after.
        before: the order so far.
    """
    placed[event, ROW] = row
    placed[event, CPU_OF] = cpu
    placed[event, READS_FROM] = LATER
    placed[event, RANK] = 0
    placed[event, BASE] = base
    words = before.shape[1]
    for word in range(words):
        before[event, word] = np.uint64(0)
    for earlier in range(index):
        if has(local[row], earlier) and not has(before[event], base + earlier):
            for word in range(words):
                before[event, word] |= before[base + earlier, word]
            add(before[event], base + earlier)


@jit
def entry_of(event: int, placed: Table, events: Table) -> int:
    """Return what stands before all pieces of the single-copy atomic access of ``event``."""
    return placed[event, BASE] + events[placed[event, ROW], ACCESS]


@jit
def coherent_read(read: int, rank: int, last: int, placed: Table, events: Table) -> bool:
    """Whether a read of the write of a given rank agrees with its CPU's other accesses to the location.

    Args:
        read: the event.
        rank: place in the coherence order of what it reads from; 0 is the initial value.
        last: one past the last event of its CPU that is placed.
        placed: see `place`.
        events: event table.
    """
    location = events[placed[read, ROW], LOCATION]
    for other in range(placed[read, BASE], last):
        row = placed[other, ROW]
        if other == read or events[row, LOCATION] != location:
            continue
        kind = events[row, KIND]
        if kind == WRITE:
            if other < read and placed[other, RANK] > rank:
                return False
            if other > read and placed[other, RANK] <= rank:
                return False
        elif kind == READ and placed[other, READS_FROM] != LATER:
            source = placed[other, READS_FROM]
            other_rank = 0 if source == INITIAL else placed[source, RANK]
            if other < read and other_rank > rank:
                return False
            if other > read and other_rank < rank:
                return False
    return True


@jit
def coherent_write(write: int, rank: int, placed: Table, events: Table) -> bool:
    """Whether a write may get a place in the coherence order, as far as its own CPU is concerned."""
    location = events[placed[write, ROW], LOCATION]
    for other in range(placed[write, BASE], write):
        row = placed[other, ROW]
        if events[row, LOCATION] != location:
            continue
        kind = events[row, KIND]
        if kind == WRITE:
            if placed[other, RANK] >= rank:
                return False
        elif (
            kind == READ
            and placed[other, READS_FROM] >= 0
            and placed[placed[other, READS_FROM], RANK] >= rank
        ):
            return False
    return True


@jit
def atomic(rules: int, location: int, order: Table, length: int, placed: Table, events: Table) -> bool:
    """Whether no write stands between the halves of an atomic access to a location."""
    for place_of in range(length):
        write = order[location, place_of]
        partner = events[placed[write, ROW], PARTNER]
        if partner < 0:
            continue
        source = placed[placed[write, BASE] + partner, READS_FROM]
        if source == LATER:
            continue
        first = 0 if source == INITIAL else placed[source, RANK]
        own, foreign = False, False
        for between in range(first, place_of):
            if placed[order[location, between], CPU_OF] == placed[write, CPU_OF]:
                own = True
            else:
                foreign = True
        if foreign and not (own and rules & ARM_ATOMIC):
            return False
    return True


@jit
def reads_from_edge(read: int, write: int, count: int, placed: Table, events: Table, before: Rows) -> bool:
    """Order a read or fetch after the write that it reads from."""
    kind = events[placed[read, ROW], KIND]
    if kind == READ and placed[read, CPU_OF] == placed[write, CPU_OF]:
        return True
    return add_edge(before, count, write, entry_of(read, placed, events))


@jit
def missed_edges(
    rules: int, read: int, write: int, count: int, placed: Table, events: Table, before: Rows
) -> bool:
    """Order a read or fetch before a write that comes later in coherence order than what it read."""
    later = entry_of(write, placed, events)
    if events[placed[read, ROW], KIND] == READ:
        if placed[read, CPU_OF] == placed[write, CPU_OF]:
            return True
        if not add_edge(before, count, read, later):
            return False
        hazard = entry_of(read, placed, events) + 1
        return (
            hazard >= read
            or events[placed[hazard, ROW], KIND] != HAZARD
            or add_edge(before, count, hazard, later)
        )
    if rules & CACHE_DIC:
        for earlier in range(placed[read, BASE], read + 1):
            if events[placed[earlier, ROW], KIND] == FETCH and not add_edge(before, count, earlier, later):
                return False
    if rules & SERIAL_FETCH:
        for earlier in range(placed[read, BASE], read):
            if events[placed[earlier, ROW], KIND] == SERIALISE and not add_edge(
                before, count, earlier, later
            ):
                return False
    return True


@jit
def coherence_edges(
    rules: int, write: int, order: Table, length: int, count: int, placed: Table, events: Table, before: Rows
) -> bool:
    """Order a write that has its place in the coherence order against all accesses to the location."""
    location = events[placed[write, ROW], LOCATION]
    rank = placed[write, RANK]
    entry = entry_of(write, placed, events)
    for place_of in range(length):
        other = order[location, place_of]
        if placed[other, CPU_OF] == placed[write, CPU_OF]:
            continue
        if place_of + 1 < rank:
            if not add_edge(before, count, other, entry):
                return False
        elif place_of + 1 > rank and not add_edge(before, count, write, entry_of(other, placed, events)):
            return False
    for read in range(count):
        row = placed[read, ROW]
        if events[row, LOCATION] != location or not events[row, KIND] & (READ | FETCH):
            continue
        source = placed[read, READS_FROM]
        if source == LATER:
            continue
        if (source == INITIAL or placed[source, RANK] < rank) and not missed_edges(
            rules, read, write, count, placed, events, before
        ):
            return False
    return True


@jit
def bind(
    rules: int, read: int, source: int, order: Table, length: int, count: int, placed: Table, events: Table,
    before: Rows,
) -> bool:  # fmt: skip
    """Let a read or fetch read from a placed write (or ``INITIAL``), with all edges that follow."""
    placed[read, READS_FROM] = source
    location = events[placed[read, ROW], LOCATION]
    rank = 0
    if source != INITIAL:
        rank = placed[source, RANK]
        if not reads_from_edge(read, source, count, placed, events, before):
            return False
    for place_of in range(rank, length):
        if not missed_edges(rules, read, order[location, place_of], count, placed, events, before):
            return False
    return True


@jit
def own_fetch(read: int, rank: int, placed: Table, events: Table) -> bool:
    """Whether an x86 fetch sees the writes that its own CPU made to the instruction before."""
    location = events[placed[read, ROW], LOCATION]
    for other in range(placed[read, BASE], read):
        row = placed[other, ROW]
        if events[row, KIND] == WRITE and events[row, LOCATION] == location and placed[other, RANK] > rank:
            return False
    return True
