"""Arm instruction fetch: tries both orders of cache operations against writes and fetches.

An execution is allowed if some way to order each clean against each write of its line, and each
completed invalidation against each fetch of its line, keeps the order free of cycles.
"""

from __future__ import annotations

from emu.compiled import jit
from emu.ordering.bits import Rows, add_edge, has
from emu.ordering.columns import (
    BASE,
    CACHE_DIC,
    CACHE_IDC,
    CLEAN,
    CMODX,
    CPU_OF,
    EVERYWHERE,
    FETCH,
    INITIAL,
    INVALIDATE,
    KIND,
    LEAVES,
    LOCATION,
    RANK,
    READS_FROM,
    RESTRICTED,
    ROW,
    WRITE,
    Table,
)

# Columns of the table of pairs.
_OPERATION = 0
_ACCESS = 1
_FIXED = 2
"""0: both orders are tried; 1: the operation comes first; 2: the access does."""
_TRY = 3
"""The order to try next, 1 or 2; while deeper pairs are tried, one more than the one in force."""
PAIR_COLUMNS = 4


@jit
def guess(
    rules: int,
    count: int,
    control: Table,
    completed: Rows,
    synced: Rows,
    local: Rows,
    order: Table,
    lengths: Table,
    placed: Table,
    events: Table,
    before: Rows,
    scratch: Rows,
    pairs: Table,
) -> tuple[int, int]:
    """Return how many ways of ordering cache operations are allowed, and the flags of all of them.

    Args:
        rules: bits of the model.
        count: how many events are placed.
        control: control block of the search.
        completed: per node the invalidations that a DSB completes.
        synced: per row of the event table the invalidations that a DSB ordered before it.
        local: per row the events of its CPU that it is ordered after.
        order: per location its writes in coherence order.
        lengths: per location how many.
        placed: table of placed events.
        events: event table.
        before: order of the events without the guesses.
        scratch: the order per number of guesses made, shape ``(pairs + 1, events, words)``.
        pairs: room for the pairs, shape ``(pairs, PAIR_COLUMNS)``.
    """
    number = _list_pairs(count, control, completed, local, placed, events, pairs)
    found, flags = 0, 0
    depth = 0
    words = before.shape[1]
    for event in range(count):
        for word in range(words):
            scratch[0, event, word] = before[event, word]
    if number > 0:
        pairs[0, _TRY] = 1
    while depth >= 0:
        if depth == number:
            found += 1
            flags |= _flags(count, placed, events, scratch[depth])
            depth -= 1
            continue
        side = pairs[depth, _TRY]
        if side > 2:
            depth -= 1
            continue
        pairs[depth, _TRY] = side + 1
        fixed = pairs[depth, _FIXED]
        if fixed and fixed != side:
            continue
        now = scratch[depth + 1]
        for event in range(count):
            for word in range(words):
                now[event, word] = scratch[depth, event, word]
        if _order_pair(rules, depth, side, pairs, count, synced, order, lengths, placed, events, now):
            depth += 1
            if depth < number:
                pairs[depth, _TRY] = 1
    return found, flags


@jit
def _list_pairs(
    count: int, control: Table, completed: Rows, local: Rows, placed: Table, events: Table, pairs: Table
) -> int:
    """List each operation with each access that it must be ordered against; return how many pairs there are.

    An invalidation that no DSB of its CPU completes orders nothing.
    """
    number = 0
    for kind in (CLEAN, INVALIDATE):
        for operation in range(count):
            if events[placed[operation, ROW], KIND] != kind:
                continue
            if kind == INVALIDATE:
                index = operation - placed[operation, BASE]
                if not has(completed[control[LEAVES + placed[operation, CPU_OF]]], index):
                    continue
            line = events[placed[operation, ROW], LOCATION]
            wanted = WRITE if kind == CLEAN else FETCH
            for access in range(count):
                row = placed[access, ROW]
                if events[row, KIND] == wanted and (line == EVERYWHERE or events[row, LOCATION] == line):
                    pairs[number, _OPERATION] = operation
                    pairs[number, _ACCESS] = access
                    pairs[number, _FIXED] = _local_order(operation, access, local, placed)
                    number += 1
    return number


@jit
def _local_order(operation: int, access: int, local: Rows, placed: Table) -> int:
    if placed[operation, CPU_OF] != placed[access, CPU_OF]:
        return 0
    base = placed[operation, BASE]
    if operation < access:
        return 1 if has(local[placed[access, ROW]], operation - base) else 0
    return 2 if has(local[placed[operation, ROW]], access - base) else 0


@jit
def _order_pair(
    rules: int, depth: int, side: int, pairs: Table, count: int, synced: Rows, order: Table, lengths: Table,
    placed: Table, events: Table, before: Rows,
) -> bool:  # fmt: skip
    """Order one pair, with what follows from it; False if that makes a cycle."""
    operation, access = pairs[depth, _OPERATION], pairs[depth, _ACCESS]
    if side == 1:
        if not add_edge(before, count, operation, access):
            return False
    elif not add_edge(before, count, access, operation):
        return False
    if events[placed[operation, ROW], KIND] == CLEAN:
        return True
    if side == 2:
        return _hazards(operation, access, count, synced, placed, events, before)
    if rules & CACHE_DIC:
        return True
    # The fetch came after the invalidation and yet missed these writes.
    location = events[placed[access, ROW], LOCATION]
    source = placed[access, READS_FROM]
    rank = 0 if source == INITIAL else placed[source, RANK]
    for place_of in range(rank, lengths[location]):
        missed = order[location, place_of]
        if rules & CACHE_IDC:
            if not add_edge(before, count, operation, missed):
                return False
            continue
        for other in range(depth):
            if (
                pairs[other, _ACCESS] == missed
                and pairs[other, _TRY] == 3
                and events[placed[pairs[other, _OPERATION], ROW], KIND] == CLEAN
                and not add_edge(before, count, operation, pairs[other, _OPERATION])
            ):
                return False
    return True


@jit
def _hazards(
    operation: int, fetch: int, count: int, synced: Rows, placed: Table, events: Table, before: Rows
) -> bool:
    """A fetch came before an invalidation: so did the fetches before it, before what waits for that."""
    for earlier in range(placed[fetch, BASE], fetch):
        if events[placed[earlier, ROW], KIND] != FETCH:
            continue
        base = placed[operation, BASE]
        for later in range(operation + 1, count):
            if placed[later, BASE] != base:
                break
            if has(synced[placed[later, ROW]], operation - base) and not add_edge(
                before, count, earlier, later
            ):
                return False
    return True


@jit
def _flags(count: int, placed: Table, events: Table, before: Rows) -> int:
    """Return ``CMODX`` if a fetch and a write of an instruction race that is not free to be modified."""
    for fetch in range(count):
        row = placed[fetch, ROW]
        if events[row, KIND] != FETCH:
            continue
        for write in range(count):
            other = placed[write, ROW]
            if (
                events[other, KIND] == WRITE
                and events[other, LOCATION] == events[row, LOCATION]
                and (events[row, RESTRICTED] or events[other, RESTRICTED])
                and not has(before[fetch], write)
                and not has(before[write], fetch)
            ):
                return CMODX
    return 0
