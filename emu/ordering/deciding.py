"""One decision of the search: which options it has, taking one, taking it back."""

from __future__ import annotations

from emu.compiled import jit
from emu.ordering.bits import Rows
from emu.ordering.columns import (
    BASE,
    CHILDREN,
    CPU_OF,
    FETCH,
    INITIAL,
    KIND,
    LATER,
    LOCATION,
    PAIR,
    RANK,
    READ,
    READS_FROM,
    ROW,
    SERIAL_FETCH,
    WRITE,
    Table,
)
from emu.ordering.placing import (
    atomic,
    bind,
    coherence_edges,
    coherent_read,
    coherent_write,
    own_fetch,
    place,
)

# Decisions, one frame each.
PLAIN = 0
"""Place an event that neither reads nor writes data."""
CHOOSE = 1
"""Take one of a node's children."""
SOURCE = 2
"""Place a read or fetch, and say what it reads from."""
ORDER = 3
"""Place a write, and say where it stands in the coherence order."""
BIND = 4
"""Let a read that was left open read from the write just placed, or not."""


@jit
def options(
    what: int, node: int, event: int, nodes: Table, lengths: Table, placed: Table, events: Table
) -> int:
    """Return how many options a decision has."""
    if what == CHOOSE:
        return nodes[node, CHILDREN]
    if what == PLAIN:
        return 1
    if what == BIND:
        return 2  # the read is left to later writes, or reads from this one
    length = lengths[events[placed[event, ROW], LOCATION]]
    if what == SOURCE:
        return length + 2  # the initial value, each write, one not placed yet
    return length + 1


@jit
def undo(
    what: int, option: int, event: int, read: int, order: Table, lengths: Table, placed: Table, events: Table
) -> None:
    """Undo the option before ``option``, as far as trying another one does not."""
    if what == ORDER:  # take the write out of the coherence order again
        location = events[placed[event, ROW], LOCATION]
        for at in range(option - 1, lengths[location] - 1):
            order[location, at] = order[location, at + 1]
            placed[order[location, at], RANK] = at + 1
        lengths[location] -= 1
    elif what == BIND:
        placed[read, READS_FROM] = LATER


@jit
def is_source(
    option: int, event: int, cpu: int, initial: Table, last_writer: Table, order: Table, lengths: Table,
    placed: Table, events: Table,
) -> bool:  # fmt: skip
    """Whether a read can have its value from the initial state (0), a placed write, or one of a later CPU."""
    row = placed[event, ROW]
    location, pair = events[row, LOCATION], events[row, PAIR]
    if option == 0:
        return bool(initial[0, location] == pair)
    if option <= lengths[location]:
        return bool(events[placed[order[location, option - 1], ROW], PAIR] == pair)
    return bool(last_writer[pair] > cpu)


@jit
def place_event(
    rules: int, what: int, option: int, event: int, cpu: int, local: Rows, order: Table, lengths: Table,
    placed: Table, events: Table, before: Rows,
) -> bool:  # fmt: skip
    """Place an event with the option taken; False if an axiom forbids it."""
    row, base = placed[event, ROW], placed[event, BASE]
    location = events[row, LOCATION]
    if what == ORDER:  # even if it is refused then: `undo` takes it out
        for at in range(lengths[location], option, -1):
            order[location, at] = order[location, at - 1]
            placed[order[location, at], RANK] = at + 1
        order[location, option] = event
        lengths[location] += 1
    place(event, row, cpu, event - base, base, placed, events, local, before)
    if what == ORDER:
        placed[event, RANK] = option + 1
        length = lengths[location]
        return (
            coherent_write(event, option + 1, placed, events)
            and coherence_edges(rules, event, order, length, event + 1, placed, events, before)
            and atomic(rules, location, order, length, placed, events)
        )
    if what == SOURCE and option <= lengths[location]:
        source = INITIAL if option == 0 else order[location, option - 1]
        return _sees(rules, event, option, event, placed, events) and bind(
            rules, event, source, order, lengths[location], event + 1, placed, events, before
        )
    return True


@jit
def let_read(
    rules: int, read: int, write: int, count: int, order: Table, lengths: Table, placed: Table, events: Table,
    before: Rows,
) -> bool:  # fmt: skip
    """Let a read that an earlier CPU left open read from a write; False if an axiom forbids it."""
    location = events[placed[write, ROW], LOCATION]
    last = read + 1
    while last < count and placed[last, CPU_OF] == placed[read, CPU_OF]:
        last += 1
    return (
        _sees(rules, read, placed[write, RANK], last, placed, events)
        and bind(rules, read, write, order, lengths[location], count, placed, events, before)
        and atomic(rules, location, order, lengths[location], placed, events)
    )


@jit
def _sees(rules: int, read: int, rank: int, last: int, placed: Table, events: Table) -> bool:
    """Whether a read or fetch of the write of a rank agrees with its CPU's accesses up to ``last``."""
    if events[placed[read, ROW], KIND] == READ:
        return coherent_read(read, rank, last, placed, events)
    return rules & SERIAL_FETCH == 0 or own_fetch(read, rank, placed, events)


@jit
def begin_event(row: int, event: int, cpu: int, placed: Table, events: Table) -> int:
    """Note the next event to place; return what is to be decided about it."""
    base = event
    while base > 0 and placed[base - 1, CPU_OF] == cpu:
        base -= 1
    placed[event, ROW] = row
    placed[event, BASE] = base
    placed[event, CPU_OF] = cpu
    kind = events[row, KIND]
    if kind & (READ | FETCH):
        return SOURCE
    return ORDER if kind == WRITE else PLAIN
