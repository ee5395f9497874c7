"""Reads that are left open: they read from a write of a CPU that is placed later."""

from __future__ import annotations

from emu.compiled import jit
from emu.ordering.bits import Rows, has
from emu.ordering.columns import (
    BASE,
    EVENTS,
    FETCH,
    FIRST_EVENT,
    KIND,
    LATER,
    PAIR,
    READ,
    READS_FROM,
    ROW,
    WRITE,
    Table,
)


@jit
def comes(node: int, index: int, pair: int, nodes: Table, events: Table, below: Rows) -> bool:
    """Whether a CPU may still write a pair, from an event of a node on."""
    first = nodes[node, FIRST_EVENT]
    for row in range(first + index, first + nodes[node, EVENTS]):
        if events[row, PAIR] == pair and events[row, KIND] == WRITE:
            return True
    return has(below[node], pair)


@jit
def can_be_read(
    cpu: int, node: int, count: int, nodes: Table, events: Table, below: Rows, last_writer: Table,
    placed: Table,
) -> bool:  # fmt: skip
    """Whether each read that is left open can still find its write if a CPU goes on with a node."""
    for read in range(count):
        if placed[read, READS_FROM] != LATER:
            continue
        row = placed[read, ROW]
        if not events[row, KIND] & (READ | FETCH):
            continue
        pair = events[row, PAIR]
        if last_writer[pair] <= cpu and not comes(node, 0, pair, nodes, events, below):
            return False
    return True


@jit
def left_read(start: int, write: int, placed: Table, events: Table) -> int:
    """Return the next read that an earlier CPU left open and that this write can satisfy; -1: none."""
    row = placed[write, ROW]
    for read in range(start, placed[write, BASE]):
        if placed[read, READS_FROM] != LATER:
            continue
        other = placed[read, ROW]
        if events[other, KIND] & (READ | FETCH) and events[other, PAIR] == events[row, PAIR]:
            return read
    return -1


@jit
def no_read_is_lost(cpu: int, count: int, placed: Table, events: Table, last_writer: Table) -> bool:
    """Whether each read that is left open can still find its write in a CPU after ``cpu``."""
    for read in range(count):
        row = placed[read, ROW]
        if (
            events[row, KIND] & (READ | FETCH)
            and placed[read, READS_FROM] == LATER
            and last_writer[events[row, PAIR]] <= cpu
        ):
            return False
    return True
