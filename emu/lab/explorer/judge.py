"""Turns an exploration into a report: which outcomes there are, and which of them must not be."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from emu.lab.explorer.dispatcher import Finished
from emu.lab.explorer.installer import Ended
from emu.lab.explorer.places import Places
from emu.lab.explorer.replay import End
from emu.lab.explorer.report import Ending, Violation
from emu.lab.explorer.timeline import timeline
from emu.ordering.explore import Exploration, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An exploration, and what names its parts.

    Args:
        exploration: that.
        places: of its events.
        name, value: of locations and what they hold.
        ending: (last values of observed locations) -> what is wrong with them, "" if nothing is.
    """

    exploration: Exploration
    places: Places
    name: Callable[[Hashable], str]
    value: Callable[[Hashable, Hashable], str]
    ending: Callable[[Mapping[Hashable, Any]], str] = field(default=lambda _memory: "")

    def endings(self) -> tuple[Ending, ...]:
        """Return all outcomes, the most frequent first."""
        counts: dict[tuple[str, ...], int] = {}
        for outcome in self.exploration.outcomes:
            cpus = tuple(map(_told, outcome.finals))
            counts[cpus] = counts.get(cpus, 0) + outcome.executions
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return tuple(Ending(cpus=cpus, executions=executions) for cpus, executions in ordered)

    def violations(self) -> tuple[Violation, ...]:
        """Return what must not be, one per kind, the shortest execution of each."""
        kinds: dict[str, list[Outcome]] = {}
        for outcome in self.exploration.outcomes:
            what = _wrong(outcome.finals) or self.ending(outcome.memory)
            if what:
                kinds.setdefault(what, []).append(outcome)
        shortest = {what: min(found, key=_length) for what, found in kinds.items()}
        ordered = sorted(shortest, key=lambda what: (_length(shortest[what]), what))
        return tuple(
            Violation(
                what=what,
                executions=sum(outcome.executions for outcome in kinds[what]),
                schedule=tuple(timeline(shortest[what].witness, self.places, self.name, self.value)),
            )
            for what in ordered
        )


def _length(outcome: Outcome) -> tuple[int, tuple[tuple[int, int], ...]]:
    return len(outcome.witness), tuple((read.event.tag, read.reads_from) for read in outcome.witness)


def _wrong(finals: Sequence[Any]) -> str:
    for cpu, final in enumerate(finals):
        if isinstance(final, Finished) and final.violation:
            return f"CPU{cpu}: {final.violation}"
        if isinstance(final, Ended) and final.end is End.WARN:
            return f"CPU{cpu}: {final.note}"
    return ""


def _told(final: Any) -> str:
    if isinstance(final, Ended):
        return final.note or final.end.value
    assert isinstance(final, Finished), "a CPU patches or dispatches"
    return ", ".join((*final.results, *((f"WRONG: {final.violation}",) if final.violation else ())))
