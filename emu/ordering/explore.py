"""Finds every outcome of a few programs that run at the same time under a memory model."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emu.ordering.budget import Budget
from emu.ordering.columns import (
    ASKED,
    CMODX,
    DONE,
    EXECUTIONS,
    FLAGS,
    FULL,
    HITS,
    LEAVES,
    LIMIT,
    OUTCOME_KEY,
    PAUSED,
    PLACED_COLUMNS,
    PRESENT,
    STEPS,
    WANTED,
    Table,
)
from emu.ordering.guessing import PAIR_COLUMNS
from emu.ordering.memory_use import MemoryBudgetError
from emu.ordering.pack import Packed, pack
from emu.ordering.search import FRAME_COLUMNS, search
from emu.ordering.tree import Event, Forest, Program, TreeBudgetError, Trees

_STEPS = 2_000_000
"""Decisions between two looks at the clock: about a second."""
_NO_LIMIT = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where an event of a witness stands.

    Args:
        cpu: that does it.
        event: the event.
        reads_from: of a read or fetch: number of the witness's event that wrote the value; -1: initial.
        rank: of a write: place in the coherence order of its location, from 1.
    """

    cpu: int
    event: Event
    reads_from: int
    rank: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One way in which the programs can end.

    Args:
        executions: how many executions end so.
        finals: per CPU what its program returned.
        memory: last value of each observed location.
        racing_code: an execution breaks the rules for concurrent modification and execution (CMODX).
        witness: one execution: its events, CPU after CPU.
    """

    executions: int
    finals: tuple[Any, ...]
    memory: Mapping[Hashable, Any]
    racing_code: bool
    witness: tuple[Placement, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exploration:
    """All outcomes, or those found before a budget ran out.

    Args:
        outcomes: in the order found.
        executions: allowed ones, in all.
        complete: whether nothing is missing.
        steps: decisions tried.
        stopped_by: ``""``, ``time``, ``executions``, ``memory`` or ``paths``.
    """

    outcomes: tuple[Outcome, ...]
    executions: int
    complete: bool
    steps: int
    stopped_by: str


def explore(
    programs: Sequence[Program],
    initial: Mapping[Any, Any],
    *,
    rules: int = 0,
    observed: Sequence[Hashable] = (),
    unwritten: Any = 0,
    budget: Budget | None = None,
    max_nodes: int = 1_000_000,
    lazily: bool = False,
) -> Exploration:
    """Return every outcome of the programs that the axioms allow.

    Args:
        programs: one per CPU; they bring the local order of their events, so they decide the model.
        initial: value of each location that is not ``unwritten`` at first.
        rules: bits of the model that concern several CPUs, see `emu.ordering.columns`.
        observed: locations whose last value tells outcomes apart.
        unwritten: initial value of all other locations.
        budget: what it may take; None: what it needs.
        max_nodes: give up if the programs' choice trees get larger.
        lazily: ask the programs only for steps that a partial execution within the axioms has reached.

    Returns:
        All outcomes, or those found before a budget ran out: ``stopped_by`` says which one.
    """
    budget = Budget() if budget is None else budget
    try:
        forest = Forest(
            programs,
            dict(initial),
            budget=max_nodes,
            unwritten=unwritten,
            lazily=lazily,
            memory=budget.memory,
        )
        while True:
            packed = pack(forest, observed)
            found, wanted = _search(packed, rules, budget, lazily)
            if wanted is None or found.stopped_by:
                return found
            for node, pair in zip(*np.nonzero(wanted == WANTED), strict=True):
                cpu, waiting = packed.trees[node]
                forest.give(cpu, waiting, packed.values[packed.pairs[pair][1]])
    except TreeBudgetError:
        return nothing_found("paths")
    except (MemoryBudgetError, MemoryError):
        return nothing_found("memory")


def explore_trees(
    trees: Trees,
    *,
    rules: int,
    observed: Sequence[Hashable] = (),
    budget: Budget,
) -> Exploration:
    """Return what `explore` does, of programs whose choice trees are grown; arguments as there."""
    try:
        return _search(pack(trees, observed), rules, budget, lazily=False)[0]
    except (MemoryBudgetError, MemoryError):
        return nothing_found("memory")


def nothing_found(stopped_by: str) -> Exploration:
    """Return an exploration that a budget ended before it could begin."""
    return Exploration(outcomes=(), executions=0, complete=False, steps=0, stopped_by=stopped_by)


def _search(
    packed: Packed, rules: int, budget: Budget, lazily: bool
) -> tuple[Exploration, NDArray[np.uint8] | None]:
    """Search the trees as they are; return what was found and, if any, which values are wanted."""
    cpus = len(packed.cpus)
    control = np.zeros(LEAVES + cpus, np.int64)
    most = packed.most_events
    depth = packed.most_decisions + 2
    words = max(1, (most + 63) // 64)
    width = OUTCOME_KEY + cpus + packed.locations
    guesses = packed.most_guesses
    rows = (depth + guesses + 3) * (most + 1) * words + (packed.locations + 4) * (most + 1)
    if not budget.memory.fits(8 * rows):
        raise MemoryBudgetError
    frames = np.zeros((depth + 1, FRAME_COLUMNS), np.int64)
    placed = np.zeros((most + 1, PLACED_COLUMNS), np.int64)
    order = np.zeros((packed.locations, most + 1), np.int64)
    lengths = np.zeros(packed.locations, np.int64)
    before = np.zeros((depth + 1, most + 1, words), np.uint64)
    scratch = np.zeros((guesses + 2, most + 1, words), np.uint64)
    pairs = np.zeros((guesses + 1, PAIR_COLUMNS), np.int64)
    slots = 64
    outcomes = np.zeros((slots + 1, width), np.int64)
    witnesses = np.zeros((slots + 1, 1 + 3 * most), np.int64)
    wanted = _known(packed) if lazily else np.zeros((1, 1), np.uint8)
    # While trees grow, anything may still turn up behind a node.
    below = ~np.zeros_like(packed.below) if lazily else packed.below
    while True:
        why = search(
            control,
            rules,
            _STEPS,
            _NO_LIMIT if budget.executions is None else budget.executions,
            packed.events,
            packed.local,
            packed.synced,
            packed.nodes,
            packed.children,
            packed.roots,
            packed.completed,
            below,
            packed.initial,
            packed.last_writer,
            packed.observed,
            packed.pair_location,
            wanted,
            frames,
            placed,
            order,
            lengths,
            before,
            scratch,
            pairs,
            outcomes,
            witnesses,
        )
        if why == FULL:
            if not budget.memory.fits(4 * (outcomes.nbytes + witnesses.nbytes)):
                break
            outcomes, witnesses = _grown(outcomes, witnesses)
        elif why == PAUSED:
            if budget.progress is not None:
                budget.progress(int(control[STEPS]), int(control[EXECUTIONS]))
            if budget.is_late:
                break
        else:
            break
    found = Exploration(
        outcomes=() if control[ASKED] and why == DONE else tuple(_outcomes(packed, outcomes, witnesses)),
        executions=int(control[EXECUTIONS]),
        complete=why == DONE and not control[ASKED],
        steps=int(control[STEPS]),
        stopped_by={PAUSED: "time", LIMIT: "executions", FULL: "memory"}.get(why, ""),
    )
    return found, wanted if control[ASKED] and why == DONE else None


def _known(packed: Packed) -> NDArray[np.uint8]:
    """Return per node and pair whether the read that waits there has been told the value."""
    known = np.zeros((max(2, len(packed.trees)), len(packed.pair_location)), np.uint8)
    for number, (_, node) in enumerate(packed.trees):
        if node.seen:
            for pair, (_, value) in enumerate(packed.pairs):
                if packed.values[value] in node.seen:
                    known[number, pair] = PRESENT
    return known


def _grown(outcomes: Table, witnesses: Table) -> tuple[Table, Table]:
    """Return tables with four times the room; keys move to where they are looked for."""
    slots = 4 * (outcomes.shape[0] - 1)
    larger = np.zeros((slots + 1, outcomes.shape[1]), np.int64)
    seen = np.zeros((slots + 1, witnesses.shape[1]), np.int64)
    for old in np.flatnonzero(outcomes[:-1, HITS]):
        slot = _slot_of(outcomes[old], slots)
        while larger[slot, HITS]:
            slot = (slot + 1) % slots
        larger[slot] = outcomes[old]
        seen[slot] = witnesses[old]
    return larger, seen


def _slot_of(row: Table, slots: int) -> int:
    """Return where an outcome is looked for first: the hash of `emu.ordering.outcomes.count_outcome`.

    Written again in Python so that growing the table compiles nothing; both must agree.
    """
    digest = 0xCBF29CE484222325
    for word in row[OUTCOME_KEY:].tolist():
        digest = ((digest ^ (word & (2**64 - 1))) * 0x100000001B3) & (2**64 - 1)
        digest ^= digest >> 29
    return digest % slots


def _outcomes(packed: Packed, outcomes: Table, witnesses: Table) -> list[Outcome]:
    cpus = len(packed.cpus)
    result = []
    for slot in np.flatnonzero(outcomes[:-1, HITS]).tolist():
        row = outcomes[slot].tolist()
        finals: list[Any] = [None] * cpus
        for place, cpu in enumerate(packed.cpus):
            finals[cpu] = packed.finals[row[OUTCOME_KEY + place]]
        memory = {
            packed.location_names[location]: packed.values[value]
            for location, value in enumerate(row[OUTCOME_KEY + cpus :])
            if value >= 0
        }
        result.append(
            Outcome(
                executions=row[HITS],
                finals=tuple(finals),
                memory=memory,
                racing_code=bool(row[FLAGS] & CMODX),
                witness=_witness(packed, witnesses[slot].tolist()),
            )
        )
    return result


def _witness(packed: Packed, words: list[int]) -> tuple[Placement, ...]:
    found = []
    for event in range(words[0]):
        row, source, rank = words[1 + 3 * event : 4 + 3 * event]
        cpu, what = packed.sources[row]
        found.append(Placement(cpu=cpu, event=what, reads_from=source, rank=rank))
    return tuple(found)
