"""A counterexample as people read it: what each CPU did, and which stores its loads saw."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from emu.lab.explorer.places import Places
from emu.ordering.columns import CLEAN, FETCH, INVALIDATE, READ, SERIALISE, WRITE
from emu.ordering.explore import Placement


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One event of a timeline.

    Args:
        cpu: that did it.
        what: it did.
        at: where in the source or in the guest's code.
    """

    cpu: int
    what: str
    at: str

    def to_json(self) -> dict[str, object]:
        """Return it for JSON."""
        return {"cpu": self.cpu, "what": self.what, "at": self.at}


def timeline(
    witness: Sequence[Placement],
    places: Places,
    name: Callable[[Hashable], str],
    value: Callable[[Hashable, Hashable], str],
) -> list[Line]:
    """Return the events that a counterexample consists of, CPU after CPU.

    Of the patching CPU only what concerns words that the others touch is told; of them, all but idling.

    Args:
        witness: one execution.
        places: of its events.
        name, value: of locations and what they hold.
    """
    touched = {read.event.location for read in witness if read.cpu > 0 and read.event.kind & (READ | FETCH)}
    lines = []
    for number, one in sorted(enumerate(witness), key=lambda item: (item[1].cpu, item[0])):
        event = one.event
        at, _, step = places.text(event.tag).partition("|")
        if event.kind & (READ | FETCH):
            if at == "idles" or (one.cpu == 0 and event.location not in touched):
                continue
            verb = "fetches" if event.kind == FETCH else "reads"
            text = f"{verb} {name(event.location)} = {value(event.location, event.value)}"
            source = _source(witness, number, places, value)
            if one.cpu == 0 and "CPU" not in source:
                continue  # it knows what it has stored itself
            text += source
        elif event.kind == WRITE:
            if one.cpu == 0 and event.location not in touched:
                continue
            text = f"stores {name(event.location)} = {value(event.location, event.value)}"
        elif event.kind in (CLEAN, INVALIDATE):
            text = f"{'DC CVAU' if event.kind == CLEAN else 'IC IVAU'} of {name(event.location)}"
        elif event.kind == SERIALISE:
            text = "serialises"
        else:
            continue
        if step and step not in text:
            text += f" ({step})"
        lines.append(Line(cpu=one.cpu, what=text, at=at if at not in ("reads", "fetches") else ""))
    return lines


def _source(
    witness: Sequence[Placement], number: int, places: Places, value: Callable[[Hashable, Hashable], str]
) -> str:
    """Return which store a load saw, and which one it came too early for."""
    one = witness[number]
    location = one.event.location
    if one.reads_from < 0:
        rank, source = 0, ", as it was at first"
    else:
        write = witness[one.reads_from]
        rank = write.rank
        whose = "its own store" if write.cpu == one.cpu else f"CPU{write.cpu}'s store"
        source = f", from {whose} at {_where(places, write)}"
    later = [
        w for w in witness if w.event.kind == WRITE and w.event.location == location and w.rank == rank + 1
    ]
    if later and later[0].cpu != one.cpu:
        missed = later[0]
        source += (
            f": from before CPU{missed.cpu}'s store of {value(location, missed.event.value)} at"
            f" {_where(places, missed)}"
        )
    return source


def _where(places: Places, one: Placement) -> str:
    at, _, step = places.text(one.event.tag).partition("|")
    return f"{at} ({step})" if step else at
