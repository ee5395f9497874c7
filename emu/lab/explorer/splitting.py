"""Explores one path of the patching CPU at a time, against only those paths of the others that go with it.

The others' choice trees hold every position at which they may answer every request, for every path of the
patching CPU. Most of that can't go together: a path that makes two requests needs answers to two, a load
that gave another CPU's value needs that CPU to store it. What can't is cut off before the search begins.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple

from emu.ordering.columns import FETCH, READ, WRITE
from emu.ordering.explore import Exploration, Outcome, explore
from emu.ordering.tree import Forest, Node, Program, Step, TreeBudgetError

_Pair = tuple[Hashable, Hashable]


class _Fixed:
    """A program that is a choice tree already."""

    def __init__(self, root: Node) -> None:
        self._root = root

    def start(self) -> Step:
        """Return the first step."""
        return self._root.step._replace(state=self._root)

    def read(self, state: Node, value: Hashable) -> Step:
        """Return the child that begins with this value, or a dead end."""
        for child in state.children:
            if child.step.events[0].value == value:
                return child.step._replace(state=child)
        return state.step._replace(dead=True)

    def way(self, state: Node, number: int) -> Step:
        """Return one of the children."""
        child = state.children[number]
        return child.step._replace(state=child)


class _Path(NamedTuple):
    """One path of the patching CPU: its tree, what it stores, what it needs others to store."""

    root: Node
    writes: frozenset[_Pair]
    needs: frozenset[_Pair]


def explore_split(
    programs: Sequence[Program],
    initial: Mapping[Hashable, Any],
    *,
    rules: int,
    observed: Sequence[Hashable] = (),
    max_seconds: float | None = None,
    max_executions: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Exploration:
    """Return what `emu.ordering.explore.explore` does; the first program is split by its paths.

    Args:
        programs: one per CPU.
        initial: value of each location that is not 0 at first.
        rules: of the model.
        observed: locations whose last value tells outcomes apart.
        max_seconds, max_executions: budgets.
        progress: is called with decisions and executions so far.
    """
    started = time.monotonic()
    try:
        forest = Forest(programs, dict(initial))
    except TreeBudgetError:
        return Exploration(outcomes=(), executions=0, complete=False, steps=0, stopped_by="paths")
    outcomes: list[Outcome] = []
    executions = steps = 0
    stored = [_stored(root) for root in forest.roots]
    theirs = frozenset[_Pair]().union(*stored[1:])
    for path in _paths(forest.roots[0], initial):
        roots = [path.root]
        for cpu, root in enumerate(forest.roots[1:], 1):
            mine = {location for location, _ in stored[cpu]}
            needs = frozenset(pair for pair in path.needs if pair[0] in mine)
            kept = _restricted(root, path.writes | theirs, needs, initial, frozenset())
            if kept is None:
                break
            roots.append(kept)
        if len(roots) < len(forest.roots):
            continue
        seconds = None if max_seconds is None else max_seconds - (time.monotonic() - started)
        if seconds is not None and seconds <= 0:
            return Exploration(
                outcomes=tuple(outcomes),
                executions=executions,
                complete=False,
                steps=steps,
                stopped_by="time",
            )
        limit = None if max_executions is None else max_executions - executions
        found = explore(
            [_Fixed(root) for root in roots],
            initial,
            rules=rules,
            observed=observed,
            max_seconds=seconds,
            max_executions=limit,
            progress=_further(progress, steps, executions),
        )
        outcomes += found.outcomes
        executions += found.executions
        steps += found.steps
        if not found.complete:
            return Exploration(
                outcomes=tuple(outcomes),
                executions=executions,
                complete=False,
                steps=steps,
                stopped_by=found.stopped_by,
            )
    return Exploration(
        outcomes=tuple(outcomes), executions=executions, complete=True, steps=steps, stopped_by=""
    )


def _further(
    progress: Callable[[int, int], None] | None, steps: int, executions: int
) -> Callable[[int, int], None] | None:
    if progress is None:
        return None
    return lambda more, found: progress(steps + more, executions + found)


def _stored(root: Node) -> frozenset[_Pair]:
    """Return all that a program may store on some path."""
    found: set[_Pair] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        found.update((event.location, event.value) for event in node.step.events if event.kind == WRITE)
        waiting += node.children
    return frozenset(found)


def _paths(root: Node, initial: Mapping[Hashable, Any]) -> list[_Path]:
    """Return every path of a program from start to end, as a tree with one leaf."""
    found: list[_Path] = []

    def follow(node: Node, nodes: tuple[Node, ...]) -> None:
        nodes = (*nodes, node)
        for child in node.children:
            follow(child, nodes)
        if not node.children and node.step.wants is None and not node.step.ways:
            found.append(_path(nodes, initial))

    follow(root, ())
    return found


def _path(nodes: Sequence[Node], initial: Mapping[Hashable, Any]) -> _Path:
    own: dict[Hashable, Any] = {}
    needs: set[_Pair] = set()
    for node in nodes:
        for event in node.step.events:
            if event.kind == WRITE:
                own[event.location] = event.value
            elif event.kind & (READ | FETCH) and event.value != own.get(
                event.location, initial.get(event.location, 0)
            ):
                needs.add((event.location, event.value))
    below: Node | None = None
    for node in reversed(nodes):
        below = Node(node.step, children=[] if below is None else [below])
    assert below is not None, "a path has a beginning"
    writes = frozenset((e.location, e.value) for n in nodes for e in n.step.events if e.kind == WRITE)
    return _Path(below, writes, frozenset(needs))


def _restricted(
    node: Node,
    others: frozenset[_Pair],
    needs: frozenset[_Pair],
    initial: Mapping[Hashable, Any],
    own: frozenset[_Pair],
) -> Node | None:
    """Return the part of a tree whose paths load what there is and store what is needed; None if empty."""
    for event in node.step.events:
        pair = event.location, event.value
        if event.kind == WRITE:
            own |= {pair}
        elif event.kind & (READ | FETCH):
            known = pair in others or pair in own or initial.get(event.location, 0) == event.value
            if not known:
                return None
    if not node.children:
        ended = node.step.wants is None and not node.step.ways
        return Node(node.step) if ended and needs <= own else None
    kept = [_restricted(child, others, needs, initial, own) for child in node.children]
    children = [child for child in kept if child is not None]
    if not children:
        return None
    step = node.step if node.step.wants is not None else node.step._replace(ways=len(children))
    return Node(step, children=children)
