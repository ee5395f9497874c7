"""Explores one path of the patching CPU at a time, against only those paths of the others that go with it.

A path says which requests are made and what every load of the patching CPU gave. Of the others' choice trees
only what fits it is grown, see `emu.lab.explorer.fitting`; trees of one path are gone before the next.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from emu.lab.explorer.fitting import Fitting, Foreseeing, Most, Path, most_stores
from emu.lab.explorer.reach import Keyed, Values, own_values, reachable_stores
from emu.ordering.explore import Exploration, Outcome, explore_trees, nothing_found
from emu.ordering.memory_use import NO_LIMIT, MemoryBudgetError, MemoryLimit
from emu.ordering.tree import Node, Step, TreeBudgetError, Trees

_MOST_PATHS = 100_000
"""Paths of the patching CPU. # assumed: ample; scenarios have tens"""

_MOST_STORES = 1 << 30
"""Times that a program stores a value, when nothing is known of that."""


def explore_split(
    patching: Keyed,
    others: Sequence[Foreseeing],
    initial: Mapping[Hashable, Any],
    *,
    rules: int,
    observed: Sequence[Hashable] = (),
    max_seconds: float | None = None,
    max_executions: int | None = None,
    memory: MemoryLimit = NO_LIMIT,
    progress: Callable[[int, int], None] | None = None,
) -> Exploration:
    """Return what `emu.ordering.explore.explore` does, the first program being split by its paths.

    Args:
        patching: the program that is split.
        others: the other programs.
        initial: value of each location that is not 0 at first.
        rules: of the model.
        observed: locations whose last value tells outcomes apart.
        max_seconds, max_executions, memory: budgets.
        progress: is called with decisions and executions so far.
    """
    started = time.monotonic()
    found = _Sum()
    try:
        stores = reachable_stores([patching, *others], initial, memory=memory)
        paths = _paths(patching, stores[1:], initial, memory)
    except TreeBudgetError:
        return nothing_found("paths")
    except (MemoryBudgetError, MemoryError):
        return nothing_found("memory")
    for path in paths:
        try:
            trees = _trees(path, others, initial, stores[1:], rules, memory)
        except (MemoryBudgetError, MemoryError):
            return found.stopped("memory")
        if trees is None:
            continue
        seconds = None if max_seconds is None else max_seconds - (time.monotonic() - started)
        if seconds is not None and seconds <= 0:
            return found.stopped("time")
        one = explore_trees(
            trees,
            rules=rules,
            observed=observed,
            max_seconds=seconds,
            max_executions=None if max_executions is None else max_executions - found.executions,
            memory=memory,
            progress=_further(progress, found),
        )
        found.add(one)
        if not one.complete:
            return found.stopped(one.stopped_by)
    return found.stopped("")


class _Sum:
    """What the paths looked at so far have given."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.executions = self.steps = 0

    def add(self, one: Exploration) -> None:
        """Add what one path gave."""
        self.outcomes += one.outcomes
        self.executions += one.executions
        self.steps += one.steps

    def stopped(self, why: str) -> Exploration:
        """Return all that was found; ``why`` is empty at the end."""
        return Exploration(
            outcomes=tuple(self.outcomes),
            executions=self.executions,
            complete=not why,
            steps=self.steps,
            stopped_by=why,
        )


def _further(progress: Callable[[int, int], None] | None, found: _Sum) -> Callable[[int, int], None] | None:
    if progress is None:
        return None
    steps, executions = found.steps, found.executions
    return lambda more, new: progress(steps + more, executions + new)


def _paths(
    program: Keyed, others: Sequence[Values], initial: Mapping[Hashable, Any], memory: MemoryLimit
) -> list[Path]:
    """Return every path of a program from start to end.

    Raises:
        TreeBudgetError: there are too many.
        MemoryBudgetError: too much memory is in use.
    """
    found: list[Path] = []
    waiting: list[tuple[Step, tuple[Node, ...]]] = [(program.start(), ())]
    while waiting:
        step, nodes = waiting.pop()
        if step.dead:
            continue
        memory.check()
        nodes = (*nodes, Node(step._replace(state=None)))
        if step.wants is not None:
            values = dict.fromkeys(own_values(step.wants, initial))
            for theirs in others:
                values.update(theirs.get(step.wants.location, {}))
            waiting += [(program.read(step.state, value), nodes) for value in reversed(values)]
        elif step.ways:
            waiting += [(program.way(step.state, number), nodes) for number in reversed(range(step.ways))]
        else:
            path = Path(nodes, initial)
            if all(any(value in theirs.get(at, {}) for theirs in others) for at, value in path.needs):
                found.append(path)
        if len(found) > _MOST_PATHS:
            raise TreeBudgetError
    return found


def _trees(
    path: Path,
    others: Sequence[Foreseeing],
    initial: Mapping[Hashable, Any],
    stores: Sequence[Values],
    rules: int,
    memory: MemoryLimit,
) -> Trees | None:
    """Return the trees that fit a path; None if there is a program of which nothing does."""
    most: list[Most] = [
        {(at, value): _MOST_STORES for at, values in theirs.items() for value in values} for theirs in stores
    ]
    while True:
        roots = []
        for number, program in enumerate(others):
            fitting = Fitting(
                program,
                path,
                initial,
                mine=stores[number],
                others=[theirs for other, theirs in enumerate(most) if other != number],
                rules=rules,
                memory=memory,
            )
            root = fitting.grow()
            if root is None:
                return None
            roots.append(root)
        known, most = most, [most_stores(root) for root in roots]
        # What one tree can't store, another can't load: grow anew as long as that makes a difference.
        if len(others) == 1 or not _matters(known, most):
            return Trees([path.root, *roots], initial)


def _matters(known: Sequence[Most], most: Sequence[Most]) -> bool:
    """Whether programs store less than was known, to a location that several of them store to."""
    several = [{at for at, _ in theirs} for theirs in known]
    shared = {
        at
        for number, mine in enumerate(several)
        for at in mine
        if any(at in other for other in several[:number])
    }
    return any(
        times != most[cpu].get(pair, 0)
        for cpu, theirs in enumerate(known)
        for pair, times in theirs.items()
        if pair[0] in shared
    )
