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
    CHILDREN,
    DEPTH,
    DONE,
    EVENTS,
    EXECUTIONS,
    FIRST_CHILD,
    FIRST_EVENT,
    FULL,
    GUESS_CACHES,
    LEAF,
    LEAVES,
    LIMIT,
    PAIR,
    PAUSED,
    ROW,
    STEPS,
    UNKNOWN,
    USED,
    WAITS,
    WANTED,
    Table,
)
from emu.ordering.deciding import (
    BIND,
    CHOOSE,
    ORDER,
    SOURCE,
    begin_event,
    is_source,
    let_read,
    options,
    place_event,
    undo,
)
from emu.ordering.guessing import guess
from emu.ordering.open_reads import can_be_read, comes, left_read, no_read_is_lost
from emu.ordering.outcomes import count_outcome

# Columns of a frame.
_WHAT = 0
_NEXT = 1
"""The option to try next."""
_EVENT = 2
"""The event to place; of `BIND` the write."""
_READ = 3
"""Of `BIND`: the read that was left open."""
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
        frames[0, _WHAT] = CHOOSE
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
        event, read = frame[_EVENT], frame[_READ]
        if option > 0:
            undo(what, option, event, read, order, lengths, placed, events)
        if option >= options(what, node, event, nodes, lengths, placed, events):
            depth -= 1
            continue
        frame[_NEXT] = option + 1
        if what == CHOOSE:
            node, index = children[nodes[node, FIRST_CHILD] + option], 0
            if not can_be_read(cpu, node, count, nodes, events, below, last_writer, placed):
                continue
        elif what == SOURCE:
            if not is_source(option, event, cpu, initial, last_writer, order, lengths, placed, events):
                continue
        elif what == BIND and option == 0:
            pair = events[placed[event, ROW], PAIR]
            if last_writer[pair] <= cpu and not comes(node, index, pair, nodes, events, below):
                continue
        now, after = before[depth], count
        _copy(before[depth - 1], now, count, words)
        if what == BIND:
            if option == 1 and not let_read(rules, read, event, count, order, lengths, placed, events, now):
                continue
        elif what != CHOOSE:
            after = count + 1
            if not place_event(
                rules, what, option, event, cpu, local, order, lengths, placed, events, now
            ):  # fmt: skip
                continue

        # What is to be decided next?
        if what in (ORDER, BIND):
            read = left_read(read + 1 if what == BIND else 0, event, placed, events)
            if read >= 0:
                _push(frames, depth, BIND, event, read, cpu, node, index, after)
                depth += 1
                continue
        if index < nodes[node, EVENTS]:
            decision = begin_event(nodes[node, FIRST_EVENT] + index, after, cpu, placed, events)
            _push(frames, depth, decision, after, 0, cpu, node, index + 1, after)
            depth += 1
        elif nodes[node, CHILDREN] > 0 or nodes[node, WAITS] >= 0:
            if nodes[node, WAITS] >= 0 and wanted.shape[0] > 1:
                _ask(node, cpu, control, nodes, placed, events, order, lengths, initial, last_writer,
                     pair_location, wanted)  # fmt: skip
            _push(frames, depth, CHOOSE, 0, 0, cpu, node, 0, after)
            depth += 1
        elif nodes[node, LEAF] >= 0 and no_read_is_lost(cpu, after, placed, events, last_writer):
            control[LEAVES + cpu] = node
            if cpu + 1 < cpus:
                _push(frames, depth, CHOOSE, 0, 0, cpu + 1, roots[cpu + 1], 0, after)
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
