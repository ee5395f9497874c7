"""The compiled search: every execution that the axioms allow, each exactly once.

CPUs are placed one after another, each along its choice tree. A read chooses the write it
reads from when it is placed, or is left to a CPU that follows; a write chooses its place in
the coherence order, and which of the reads left to it read from it. So one order of decisions
leads to each candidate execution, and a partial execution that breaks an axiom ends its whole
branch: all axioms forbid cycles, and placing more can't undo one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emu.compiled import jit
from emu.ordering.bits import Rows
from emu.ordering.columns import (
    ASKED,
    BASE,
    CHILDREN,
    CPU_OF,
    DEPTH,
    DONE,
    EVENTS,
    EXECUTIONS,
    FETCH,
    FIRST_CHILD,
    FIRST_EVENT,
    FULL,
    GUESS_CACHES,
    INITIAL,
    KIND,
    LATER,
    LEAF,
    LEAVES,
    LIMIT,
    LOCATION,
    PAIR,
    PAUSED,
    RANK,
    READ,
    READS_FROM,
    ROW,
    SERIAL_FETCH,
    STEPS,
    UNKNOWN,
    USED,
    WAITS,
    WANTED,
    WRITE,
    Table,
)
from emu.ordering.guessing import guess
from emu.ordering.open_reads import can_be_read, comes, left_read, no_read_is_lost
from emu.ordering.outcomes import count_outcome
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
_PLAIN = 0
_CHOOSE = 1
_SOURCE = 2
_RANK = 3
_BIND = 4

# Columns of a frame.
_WHAT = 0
_NEXT = 1
"""The option to try next."""
_EVENT = 2
_READ = 3
_CPU = 4
_NODE = 5
_INDEX = 6
"""How many events of the node are placed once this decision is made."""
_COUNT = 7
"""How many events are placed before this decision."""
FRAME_COLUMNS = 8


@jit
def search(
    control: Table,
    rules: int,
    steps: int,
    limit: int,
    events: Table,
    local: Rows,
    synced: Rows,
    nodes: Table,
    children: Table,
    roots: Table,
    completed: Rows,
    below: Rows,
    initial: Table,
    last_writer: Table,
    observed: Table,
    pair_location: Table,
    wanted: NDArray[np.uint8],
    frames: Table,
    placed: Table,
    order: Table,
    lengths: Table,
    before: Rows,
    scratch: Rows,
    pairs: Table,
    outcomes: Table,
    witnesses: Table,
) -> int:
    """Go on with the search and return why it came back.

    Args:
        control: shape ``(LEAVES + cpus,)``; zeros start a search.
        rules: bits of the model.
        steps: return ``PAUSED`` after this many decisions.
        limit: return ``LIMIT`` after this many executions.
        events: event table, shape ``(e, EVENT_COLUMNS)``.
        local: per row of it the earlier events of its CPU that it is ordered after, shape ``(e, words)``.
        synced: per row of it the earlier invalidations of its CPU that a DSB ordered before it.
        nodes: node table.
        children: numbers of child nodes, one run per node.
        roots: per CPU its first node, shape ``(cpus,)``.
        completed: per node the invalidations of its CPU that are completed at its end.
        below: per node the pairs that its CPU may write behind it.
        initial: initial pairs (row 0) and values (row 1), shape ``(2, locations)``.
        last_writer: per pair the last CPU that may write it; -1: none.
        observed: per location 1 if its final value tells outcomes apart.
        pair_location: per pair its location.
        wanted: per node and pair ``UNKNOWN``, ``WANTED`` or ``PRESENT``; one row: values are all there.
        frames: stack of decisions, shape ``(depth, FRAME_COLUMNS)``.
        placed: table of placed events.
        order: per location its writes in coherence order, shape ``(locations, writes)``.
        lengths: per location how many those are.
        before: order relation per depth, shape ``(depth, events, words)``.
        scratch: the same for guesses at cache operations.
        pairs: room for the guesses, see `emu.ordering.guessing`.
        outcomes: open hash table, see `emu.ordering.outcomes`.
        witnesses: per slot of it one execution.
    """
    cpus = roots.shape[0]
    words = before.shape[2]
    depth = control[DEPTH]
    if depth == 0 and control[STEPS] == 0:
        frames[0, :] = 0
        frames[0, _WHAT] = _CHOOSE
        frames[0, _NODE] = roots[0]
        depth = 1
    budget = control[STEPS] + steps
    while depth > 0:
        if control[STEPS] >= budget or 2 * control[USED] >= outcomes.shape[0]:
            control[DEPTH] = depth
            return PAUSED if control[STEPS] >= budget else FULL
        control[STEPS] += 1
        frame = frames[depth - 1]
        what, option = frame[_WHAT], frame[_NEXT]
        cpu, node, index, count = frame[_CPU], frame[_NODE], frame[_INDEX], frame[_COUNT]
        event = frame[_EVENT]
        base = placed[event, BASE] if what != _CHOOSE else 0
        row = placed[event, ROW] if what != _CHOOSE else 0
        location = events[row, LOCATION] if what != _CHOOSE else 0
        now = before[depth]

        if option > 0 and what == _RANK:  # take the write out of the coherence order again
            for at in range(option - 1, lengths[location] - 1):
                order[location, at] = order[location, at + 1]
                placed[order[location, at], RANK] = at + 1
            lengths[location] -= 1
        elif option > 0 and what == _BIND:
            placed[frame[_READ], READS_FROM] = LATER

        frame[_NEXT] = option + 1
        ok = True
        after = count
        if what == _CHOOSE:
            if option >= nodes[node, CHILDREN]:
                depth -= 1
                continue
            node = children[nodes[node, FIRST_CHILD] + option]
            index = 0
            if not can_be_read(cpu, node, count, nodes, events, below, last_writer, placed):
                continue
            _copy(before[depth - 1], now, count, words)
        elif what == _PLAIN:
            if option > 0:
                depth -= 1
                continue
            after = count + 1
            _copy(before[depth - 1], now, count, words)
            place(event, row, cpu, event - base, base, placed, events, local, now)
        elif what == _SOURCE:
            if option > lengths[location] + 1:
                depth -= 1
                continue
            after = count + 1
            pair = events[row, PAIR]
            if option <= lengths[location]:
                source = INITIAL if option == 0 else order[location, option - 1]
                found = initial[0, location] if option == 0 else events[placed[source, ROW], PAIR]
                if found != pair:
                    continue
                _copy(before[depth - 1], now, count, words)
                place(event, row, cpu, event - base, base, placed, events, local, now)
                if events[row, KIND] == READ:
                    ok = coherent_read(event, option, event, placed, events)
                elif rules & SERIAL_FETCH:
                    ok = own_fetch(event, option, placed, events)
                ok = ok and bind(rules, event, source, order, lengths[location], after, placed, events, now)
            else:
                if last_writer[pair] <= cpu:
                    continue
                _copy(before[depth - 1], now, count, words)
                place(event, row, cpu, event - base, base, placed, events, local, now)
        elif what == _RANK:
            length = lengths[location]
            if option > length:
                depth -= 1
                continue
            after = count + 1
            for at in range(length, option, -1):
                order[location, at] = order[location, at - 1]
                placed[order[location, at], RANK] = at + 1
            order[location, option] = event
            lengths[location] = length + 1
            _copy(before[depth - 1], now, count, words)
            place(event, row, cpu, event - base, base, placed, events, local, now)
            placed[event, RANK] = option + 1
            ok = (
                coherent_write(event, option + 1, placed, events)
                and coherence_edges(rules, event, order, length + 1, after, placed, events, now)
                and atomic(rules, location, order, length + 1, placed, events)
            )
        else:
            if option > 1:
                depth -= 1
                continue
            read = frame[_READ]
            pair = events[row, PAIR]
            if (
                option == 0
                and last_writer[pair] <= cpu
                and not comes(node, index, pair, nodes, events, below)
            ):
                continue
            _copy(before[depth - 1], now, count, words)
            if option == 1:
                last = read + 1
                while last < count and placed[last, CPU_OF] == placed[read, CPU_OF]:
                    last += 1
                if events[placed[read, ROW], KIND] == READ:
                    ok = coherent_read(read, placed[event, RANK], last, placed, events)
                elif rules & SERIAL_FETCH:
                    ok = own_fetch(read, placed[event, RANK], placed, events)
                ok = (
                    ok
                    and bind(rules, read, event, order, lengths[location], count, placed, events, now)
                    and atomic(rules, location, order, lengths[location], placed, events)
                )
        if not ok:
            continue

        # What is to be decided next?
        if what in (_RANK, _BIND):
            read = left_read(frame[_READ] + 1 if what == _BIND else 0, event, row, placed, events)
            if read >= 0:
                _push(frames, depth, _BIND, event, read, cpu, node, index, after)
                depth += 1
                continue
        if index < nodes[node, EVENTS]:
            row = nodes[node, FIRST_EVENT] + index
            base = after
            while base > 0 and placed[base - 1, CPU_OF] == cpu:
                base -= 1
            placed[after, ROW] = row
            placed[after, BASE] = base
            placed[after, CPU_OF] = cpu
            kind = events[row, KIND]
            decision = _PLAIN
            if kind & (READ | FETCH):
                decision = _SOURCE
            elif kind == WRITE:
                decision = _RANK
            _push(frames, depth, decision, after, 0, cpu, node, index + 1, after)
            depth += 1
        elif nodes[node, CHILDREN] > 0 or nodes[node, WAITS] >= 0:
            if nodes[node, WAITS] >= 0 and wanted.shape[0] > 1:
                _ask(node, cpu, control, nodes, placed, events, order, lengths, initial, last_writer,
                     pair_location, wanted)  # fmt: skip
            _push(frames, depth, _CHOOSE, 0, 0, cpu, node, 0, after)
            depth += 1
        elif nodes[node, LEAF] >= 0 and no_read_is_lost(cpu, after, placed, events, last_writer):
            control[LEAVES + cpu] = node
            if cpu + 1 < cpus:
                _push(frames, depth, _CHOOSE, 0, 0, cpu + 1, roots[cpu + 1], 0, after)
                depth += 1
                continue
            flags, found = 0, 1
            if rules & GUESS_CACHES:
                found, flags = guess(
                    rules, after, control, completed, synced, local, order, lengths, placed, events, now,
                    scratch, pairs,
                )  # fmt: skip
            if found == 0:
                continue
            control[EXECUTIONS] += found
            count_outcome(
                found, flags, cpus, after, control, nodes, order, lengths, initial, observed, placed, events,
                outcomes, witnesses,
            )  # fmt: skip
            if control[EXECUTIONS] >= limit:
                control[DEPTH] = depth
                return LIMIT
    control[DEPTH] = 0
    return DONE


@jit
def _ask(
    node: int, cpu: int, control: Table, nodes: Table, placed: Table, events: Table, order: Table,
    lengths: Table, initial: Table, last_writer: Table, pair_location: Table, wanted: NDArray[np.uint8],
) -> None:  # fmt: skip
    """Note the values that the read which a node waits for could return, and that have no child yet."""
    location = nodes[node, WAITS]
    for pair in range(pair_location.shape[0]):
        if pair_location[pair] != location or wanted[node, pair] != UNKNOWN:
            continue
        found = initial[0, location] == pair or last_writer[pair] > cpu
        for place_of in range(lengths[location]):
            if events[placed[order[location, place_of], ROW], PAIR] == pair:
                found = True
        if found:
            wanted[node, pair] = WANTED
            control[ASKED] = 1


@jit
def _copy(source: Rows, target: Rows, count: int, words: int) -> None:
    for event in range(count):
        for word in range(words):
            target[event, word] = source[event, word]


@jit
def _push(
    frames: Table, depth: int, what: int, event: int, read: int, cpu: int, node: int, index: int, count: int
) -> None:
    frames[depth, _WHAT] = what
    frames[depth, _NEXT] = 0
    frames[depth, _EVENT] = event
    frames[depth, _READ] = read
    frames[depth, _CPU] = cpu
    frames[depth, _NODE] = node
    frames[depth, _INDEX] = index
    frames[depth, _COUNT] = count
