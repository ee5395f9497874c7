"""What led to a finding: the events before it, in order, each with CPU and task."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from emu.analysis import audit
from emu.analysis.names import version_name, version_names
from emu.kernel.tasks import ON_GATE
from emu.lab.report import StopReport
from emu.structs import CONSTANTS
from emu.trace.run import Run
from emu.trace.schema import EventKind
from emu.units import signed64

LATEST = 24
"""Lines of a story; older ones are left out."""

_OPERATIONS = (EventKind.ENABLE, EventKind.DISABLE)
_ALWAYS = (*_OPERATIONS, EventKind.SETTLED, EventKind.MODULE_LOAD, EventKind.MODULE_UNLOAD)
_IN_OPERATION = (
    EventKind.TEXT_POKE, EventKind.GRACE_PERIOD, EventKind.FREE, EventKind.WARN, EventKind.BUG,
    EventKind.FAULT,
)  # fmt: skip
_POKED_SHOWN = 4
_SWITCHES_SHOWN = 3
_ASLEEP = [CONSTANTS["TASK_TIMED"], *ON_GATE]
_STATES = {
    CONSTANTS["TASK_RUNNING"]: "preempted",
    CONSTANTS["TASK_DEAD"]: "dead",
    **dict.fromkeys(_ASLEEP, "asleep"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One line of a story.

    Args:
        cycle: on the clock of its CPU.
        cpu, task: where it happened; the task's name and pid.
        what: happened.
    """

    cycle: int
    cpu: int
    task: str
    what: str

    def __str__(self) -> str:
        return f"cycle {self.cycle:_}  CPU{self.cpu}  {self.task}: {self.what}"


def story(
    run: Run, stopped: StopReport, *, freed: Callable[[int], str] = lambda _address: ""
) -> list[Moment]:
    """Return what led to the first thing that went wrong in a run; nothing when nothing did.

    Args:
        run: what was recorded.
        stopped: how it ended.
        freed: (address) -> what was there before it was freed, "" if nobody knows.
    """
    teller = _Teller(run, freed)
    if not stopped.ok:
        return teller.before(None, [teller.task_called(stopped.task)])
    findings = audit(run, limit=1).findings
    if findings:
        call, found = run.calls[findings[0].row], findings[0]
        task, decided = int(call["task"]), int(call["dispatch_seq"])
        last = Moment(
            cycle=int(call["dispatched"]), cpu=found.cpu, task=teller.task(task), what=found.what
        )  # fmt: skip
        return [*teller.before(decided, [task]), last]
    warns = run.events[run.events["kind"] == EventKind.WARN]
    return teller.before(int(warns[0]["seq"]), [int(warns[0]["task"])]) if len(warns) else []


class _Teller:
    def __init__(self, run: Run, freed: Callable[[int], str]) -> None:
        self._freed = freed
        self._events, self._tasks, self._versions = run.events, run.meta["tasks"], version_names(run.meta)
        placed = sorted((symbol.address, symbol.size, name) for name, symbol in run.symbols.items())
        self._blocks = {block.address: f"{block.kind} {block.name}" for block in run.code}
        self._placed, self._starts = placed, [address for address, _, _ in placed]

    def task(self, index: int) -> str:
        """Return a task's name and pid."""
        entry = self._tasks[index]
        return f"{entry['comm']} (pid {entry['pid']})"

    def task_called(self, name: str) -> int:
        """Return the row of the task with that name and pid, -1 if there is none."""
        rows = (entry["index"] for entry in self._tasks if self.task(entry["index"]) == name)
        return next(rows, -1)

    def before(self, seq: int | None, about: Sequence[int]) -> list[Moment]:
        """Return the events up to number ``seq`` (None: all), with those that tasks ``about`` are in."""
        events = self._events if seq is None else self._events[self._events["seq"] <= seq]
        kinds = events["kind"]
        operations = np.flatnonzero(np.isin(kinds, _OPERATIONS))
        since = int(operations[-1]) if len(operations) else 0
        late = np.arange(len(events)) >= since
        wanted = np.isin(kinds, _ALWAYS) | (np.isin(kinds, _IN_OPERATION) & late)
        wanted |= (kinds == EventKind.FORK) & (np.isin(events["task"], about) | np.isin(events["a"], about))
        switched = (kinds == EventKind.SWITCH) & (
            np.isin(events["task"], about) | np.isin(events["a"], about)
        )
        wanted[np.flatnonzero(switched)[-_SWITCHES_SHOWN:]] = True
        slept = switched & np.isin(events["a"], about) & np.isin(events["b"], _ASLEEP)
        wanted[np.flatnonzero(slept)[-1:]] = True
        return list(self._told(events[wanted], about))[-LATEST:]

    def _told(self, events: NDArray[np.void], about: Sequence[int]) -> Iterator[Moment]:
        # A few rows, so a Python loop; pokes in a row are one line.
        for kind, group in groupby(events, key=lambda event: int(event["kind"])):
            rows = list(group)
            if kind == EventKind.TEXT_POKE:
                yield self._moment(rows[-1], self._pokes(rows))
                continue
            for event in rows:
                yield self._moment(event, self._what(event, about))

    def _moment(self, event: np.void, what: str) -> Moment:
        task = self.task(int(event["task"]))
        return Moment(cycle=int(event["cycle"]), cpu=int(event["cpu"]), task=task, what=what)

    def _pokes(self, rows: Sequence[np.void]) -> str:
        names = list(dict.fromkeys(self._name(int(row["a"])).partition("+")[0] for row in rows))
        more = f" and {len(names) - _POKED_SHOWN} more" if len(names) > _POKED_SHOWN else ""
        stores = "1 store" if len(rows) == 1 else f"{len(rows):_} stores"
        return f"pokes text of {', '.join(names[:_POKED_SHOWN])}{more} ({stores})"

    def _what(self, event: np.void, about: Sequence[int]) -> str:
        a, b, c = (int(event[operand]) for operand in ("a", "b", "c"))
        match EventKind(int(event["kind"])):
            case EventKind.ENABLE:
                return f"enabling {self._patch(a)} begins"
            case EventKind.DISABLE:
                return f"disabling {self._patch(a)} begins"
            case EventKind.SETTLED:
                return f"{self._patch(a)} is {'enabled' if b else 'disabled'}"
            case EventKind.MODULE_LOAD:
                return f"{self._block(a)} is loaded"
            case EventKind.MODULE_UNLOAD:
                return f"{self._block(a)} is gone"
            case EventKind.GRACE_PERIOD:
                return f"a wait that began at cycle {a:_} is over"
            case EventKind.FREE:
                what = self._freed(a)
                return f"frees {what} at {a:#x}" if what else f"frees {self._block(a)}"
            case EventKind.WARN:
                return f"WARN at {self._name(a)}" if a else "WARN"
            case EventKind.BUG:
                return f"BUG at {self._name(a)}"
            case EventKind.FAULT:
                return f"fault at {self._name(b)}, accessing {self._name(a)}"
            case EventKind.FORK:
                part = "patch_state is" if b & 2 else "flags are"
                flag = "set" if b & 1 else "clear"
                return (
                    f"forks {self.task(a)}, whose {part} copied now: TIF_PATCH_PENDING {flag}, "
                    f"patch_state {signed64(c)}"
                )
            case _:  # SWITCH
                other = self.task(a)
                return "runs" if int(event["task"]) in about else f"runs; {other} is {_STATES.get(b, 'new')}"

    def _patch(self, index: int) -> str:
        return f"'{version_name(self._versions, index)}'"

    def _block(self, address: int) -> str:
        known = self._blocks.get(address, "")
        return f"{known} at {address:#x}" if known else f"{address:#x}"

    def _name(self, address: int) -> str:
        at = bisect_right(self._starts, address) - 1
        if at >= 0:
            start, size, name = self._placed[at]
            if start <= address < start + max(size, 1):
                return f"{name}+{address - start:#x}" if address > start else name
        return f"{address:#x}"
