"""Explores one path of the patching CPU at a time, against only those paths of the others that go with it.

A path says which requests are made and what every load of the patching CPU gave. Of the others' choice trees
only what fits it is grown, see `emu.lab.explorer.fitting`; trees of one path are gone before the next.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

from emu.lab.explorer.contended import Word, apart, contended, without_the_impossible
from emu.lab.explorer.fitting import Fitting, Foreseeing, Path
from emu.lab.explorer.reach import Keyed, Reach, Values, own_values, reach
from emu.ordering.budget import Budget
from emu.ordering.explore import Exploration, Outcome, explore_trees, nothing_found
from emu.ordering.memory_use import MemoryBudgetError, MemoryLimit
from emu.ordering.tree import Node, Step, TreeBudgetError, Trees

_MOST_PATHS = 100_000
"""Paths of the patching CPU. # assumed: ample; scenarios have tens"""


def explore_split(
    patching: Keyed,
    others: Sequence[Foreseeing],
    initial: Mapping[Hashable, Any],
    *,
    rules: int,
    observed: Sequence[Hashable] = (),
    budget: Budget,
) -> Exploration:
    """Return what `emu.ordering.explore.explore` does, the first program being split by its paths.

    Args:
        patching: the program that is split.
        others: the other programs.
        initial: value of each location that is not 0 at first.
        rules: of the model.
        observed: locations whose last value tells outcomes apart.
        budget: what it may take.
    """
    found, memory = _Sum(), budget.memory
    try:
        _, *reached = reach([patching, *others], initial, memory=memory)
        paths = _paths(patching, [one.stores for one in reached], initial, memory)
    except TreeBudgetError:
        return nothing_found("paths")
    except (MemoryBudgetError, MemoryError):
        return nothing_found("memory")
    every = (trees for path in paths for trees in _trees(path, others, initial, reached, rules, memory))
    while True:
        try:
            trees = next(every, None)
        except (MemoryBudgetError, MemoryError):
            return found.stopped("memory")
        if trees is None:
            return found.stopped("")
        if budget.is_late:
            return found.stopped("time")
        left = budget.behind(found.steps, found.executions)
        one = explore_trees(trees, rules=rules, observed=observed, budget=left)
        found.add(one)
        if not one.complete:
            return found.stopped(one.stopped_by)


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
    reached: Sequence[Reach],
    rules: int,
    memory: MemoryLimit,
) -> Iterator[Trees]:
    """Yield trees that fit a path and together hold all that does, each way once."""
    words = contended(reached)
    roots: list[Node] = []
    for number, program in enumerate(others):
        theirs = [one for other, one in enumerate(reached) if other != number]
        fitting = Fitting(
            program,
            path,
            initial,
            mine=reached[number].stores,
            others=[one.stores for one in theirs],
            words=[Word(at, initial.get(at, 0), path.events, theirs) for at in words],
            rules=rules,
            memory=memory,
        )
        root = fitting.grow()
        if root is None:
            return
        roots.append(root)
    for location in words:
        kept = without_the_impossible(path.root, roots, location, initial.get(location, 0), memory)
        if kept is None:
            return
        roots = kept
    if not words:
        yield Trees([path.root, *roots], initial)
        return
    # The first CPU's ways by how they meet the word: what the others can do then is much less.
    first = initial.get(words[0], 0)
    for root in apart(roots[0], words[0], first):
        kept = without_the_impossible(path.root, [root, *roots[1:]], words[0], first, memory)
        if kept is not None:
            yield Trees([path.root, *kept], initial)
