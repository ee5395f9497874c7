"""The phases of a run: which versions a call may take, from when to when, as livepatch events tell.

When is told in numbers of the run's one counter (``seq``): clocks of different CPUs may disagree.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from emu.analysis.chunks import chunks
from emu.trace.meta import Meta
from emu.trace.schema import EVENTS, EventKind

NEVER = 2**64 - 1
"""The end of the last phase: later than any call or event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A stretch of time in which the registered versions do not change.

    Args:
        begin: ``seq`` of the event that opened it; 0 for the first phase.
        end: ``begin`` of the next phase, `NEVER` for the last.
        cycle: when ``begin`` was, on the clock of the event's CPU.
        patch: the patch being enabled or disabled; 0 while none is.
        unpatched: enabled patches as a task sees them that has not taken ``patch`` (or does not
            any more), oldest first.
        patched: the same for a task that has. Equal to ``unpatched`` while no patch is in between.
        hooked: the patches whose sites are certainly on, for every CPU.
    """

    begin: int
    end: int
    cycle: int
    patch: int
    unpatched: tuple[int, ...]
    patched: tuple[int, ...]
    hooked: tuple[int, ...]


def phases(events: NDArray[np.void], meta: Meta) -> list[Phase]:
    """Return the phases of a run, in order, without gaps: from number 0 to `NEVER`.

    ENABLE and DISABLE open a transition (or reverse the one under way), SETTLED ends it. The sites of
    a patch being enabled count as on from the last poke's sync, that is the first SYNC behind the last
    TEXT_POKE of its transition. An event of a patch that meta does not know is passed over.

    Args:
        events: dtype `EVENTS`, in order.
        meta: of the same run.
    """
    rows = _livepatch_events(events)
    kinds = rows["kind"]
    now = Phase(begin=0, end=NEVER, cycle=0, patch=0, unpatched=(), patched=(), hooked=())
    done: list[Phase] = []

    def turn(event: np.void, following: Phase) -> Phase:
        begin = int(event["seq"])
        done.append(replace(now, end=begin))
        return replace(following, begin=begin, cycle=int(event["cycle"]))

    steps = np.flatnonzero(
        np.isin(kinds, (EventKind.ENABLE, EventKind.DISABLE, EventKind.SETTLED))
        & (rows["a"] > 0)
        & (rows["a"] < len(meta["patches"]))
    )
    # These few rows are walked one by one: each changes the state in which the next is understood.
    for step, following in pairwise([*steps.tolist(), len(rows)]):
        event, kind = rows[step], int(kinds[step])
        patch, flag = int(event["a"]), int(event["b"])
        if kind == EventKind.SETTLED:
            without = tuple(p for p in now.unpatched if p != patch)
            if now.patch == patch:
                stack = now.patched if flag else now.unpatched
            else:
                stack = (*without, patch) if flag else without
            now = turn(event, replace(now, patch=0, unpatched=stack, patched=stack, hooked=stack))
            continue
        if now.patch != patch:
            without = tuple(p for p in now.unpatched if p != patch)
            if kind == EventKind.ENABLE:
                over = (patch,) if flag else (*without, patch)
                on = () if flag else without  # what it replaces goes just before it is settled
                now = turn(event, replace(now, patch=patch, unpatched=without, patched=over, hooked=on))
            else:
                now = turn(event, replace(now, patch=patch, unpatched=without, hooked=without))
        else:
            # Reversed: the same two versions, towards the other; its sites may go off again.
            now = turn(event, replace(now, hooked=tuple(p for p in now.hooked if p != patch)))
        synced = _last_pokes_sync(kinds[step:following])
        if kind == EventKind.ENABLE and synced is not None:
            sites = tuple(dict.fromkeys((*now.hooked, patch)))
            now = turn(rows[step + synced], replace(now, hooked=sites))
    return [*done, now]


def _livepatch_events(events: NDArray[np.void]) -> NDArray[np.void]:
    wanted = (
        EventKind.ENABLE,
        EventKind.DISABLE,
        EventKind.SETTLED,
        EventKind.TEXT_POKE,
        EventKind.SYNC,
    )
    parts = [part[np.isin(part["kind"], wanted)] for _, part in chunks(events)]
    return np.concatenate(parts) if parts else np.empty(0, EVENTS)


def _last_pokes_sync(kinds: NDArray[np.uint16]) -> int | None:
    """Return the position of the first SYNC behind the last TEXT_POKE, None if there is none."""
    pokes = np.flatnonzero(kinds == EventKind.TEXT_POKE)
    if not len(pokes):
        return None
    syncs = np.flatnonzero(kinds[pokes[-1] :] == EventKind.SYNC)
    return int(pokes[-1] + syncs[0]) if len(syncs) else None
