"""When patches were enabled and disabled, and the stages of a patch's life, as the events of a run tell."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emu.analysis.chunks import chunks
from emu.errors import EmuError
from emu.trace.run import Run
from emu.trace.schema import EVENTS, EventKind

STAGES = ("before", "enabling", "enabled", "disabling", "after")
"""Stages of a patch's life, in order: until its enabling begins, until that is complete, until it is disabled
or replaced by another patch, until that is complete, and from then on."""


class NoSuchOperationError(EmuError):
    """The run holds no such operation on a patch."""

    def __init__(self, patch: int, what: str) -> None:
        super().__init__(f"patch {patch} was never {what} in this run; pick one that ENABLE events name")
        self.patch = patch


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """When an operation began and was complete.

    Args:
        begin, end: ``seq`` of the two events, by which calls are sorted.
        begin_cycle, end_cycle: their cycles, for people; on the clock of the CPU that did it.
    """

    begin: int
    end: int
    begin_cycle: int
    end_cycle: int


def bounds_of(run: Run, patch: int, *, kind: EventKind = EventKind.ENABLE) -> Bounds:
    """Return when the first enabling (or DISABLE: disabling) of ``patch`` began and was complete.

    Raises:
        NoSuchOperationError: there was none, or none came to its end: reversed, or the run ended before.
    """
    enabling = kind == EventKind.ENABLE
    steps = _events(run, kind, EventKind.SETTLED)
    mine = steps[steps["a"] == patch]
    begins, settled = mine["kind"] == kind, mine["kind"] == EventKind.SETTLED
    if not begins.any():
        raise NoSuchOperationError(patch, "enabled" if enabling else "disabled")
    # Of each SETTLED: the steps since the one before it, the first of which began the operation.
    first = 0
    for end in np.flatnonzero(settled).tolist():
        if first < end and bool(mine["b"][end]) == enabling:
            begun, complete = mine[first], mine[end]
            return Bounds(
                begin=int(begun["seq"]),
                end=int(complete["seq"]),
                begin_cycle=int(begun["cycle"]),
                end_cycle=int(complete["cycle"]),
            )
        first = end + 1
    raise NoSuchOperationError(patch, "settled")


def life_of(run: Run, patch: int) -> list[tuple[int, str]]:
    """Return the stages of a patch's life: from which ``seq`` on it is in which of `STAGES`, from 0 on.

    Operations that settled give the stages that `bounds_of` gives. One that the run ended in gives the last
    stage, one that was reversed gives way to the other; being replaced counts as being disabled.

    Raises:
        NoSuchOperationError: the patch was never enabled.
    """
    life, stage, replacement = [(0, "before")], "before", -1
    # These few rows are walked one by one: what each means depends on the stage it finds.
    for event in _events(run, EventKind.ENABLE, EventKind.DISABLE, EventKind.SETTLED):
        kind, other, flag = int(event["kind"]), int(event["a"]), bool(event["b"])
        if other == patch:
            begun = {EventKind.ENABLE.value: "enabling", EventKind.DISABLE.value: "disabling"}
            stage, replacement = begun.get(kind, "enabled" if flag else "after"), -1
        elif kind == EventKind.ENABLE and flag and stage == "enabled":
            stage, replacement = "disabling", other
        elif kind == EventKind.SETTLED and other == replacement:
            stage, replacement = "after" if flag else "enabled", -1
        if stage != life[-1][1]:
            life.append((int(event["seq"]), stage))
    if all(stage != "enabling" for _, stage in life):
        raise NoSuchOperationError(patch, "enabled")
    return life


def _events(run: Run, *kinds: EventKind) -> NDArray[np.void]:
    parts = [part[np.isin(part["kind"], kinds)] for _, part in chunks(run.events)]
    return np.concatenate(parts) if parts else np.empty(0, EVENTS)
