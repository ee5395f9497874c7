"""How many calls ran which version, where, by whom: the counts of a run."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from emu.analysis.chunks import Sites, Tally, chunks
from emu.analysis.names import function_names, version_name, version_names
from emu.trace.run import Run
from emu.trace.schema import CallFlag, EventKind
from emu.units import signed64

_EVENT_NAMES: dict[int, str] = {kind.value: kind.name for kind in EventKind}

PATCH_STATES = {-2: "not dispatched", -1: "idle", 0: "unpatched", 1: "patched"}
"""What the values of ``calls.patch_state`` are called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Counts of rows.

    Args:
        calls, events: rows of each table.
        by_version: calls by the version that ran; every version of meta is there, even with 0.
        by_function: calls by traced function, most called first; by its version inside.
        by_cpu: calls by the CPU that entered them; by version inside.
        by_patch_state: calls by the task's state at dispatch.
        by_flag: calls that carry a flag, by its name; a call counts for each of its flags.
        by_event: events by kind.
    """

    calls: int
    events: int
    by_version: dict[str, int]
    by_function: dict[str, dict[str, int]]
    by_cpu: dict[int, dict[str, int]]
    by_patch_state: dict[str, int]
    by_flag: dict[str, int]
    by_event: dict[str, int]


def summarize(run: Run) -> Summary:
    """Return the counts of a run, in one pass over its rows."""
    sites = Sites()
    ran, cpu_ran, states, flags, kinds = (Tally() for _ in range(5))
    for _, calls in chunks(run.calls):
        function = sites.numbers(calls["site"]).astype(np.uint64)
        ran.add(function << np.uint64(16) | calls["patch"])
        cpu_ran.add(calls["cpu"].astype(np.uint64) << np.uint64(16) | calls["patch"])
        states.add(calls["patch_state"].astype(np.int64).view(np.uint64))
        flags.add(calls["flags"].astype(np.uint64))
    for _, events in chunks(run.events):
        kinds.add(events["kind"].astype(np.uint64))
    names = version_names(run.meta)
    by_version = dict.fromkeys(names, 0)
    symbols, by_function = function_names(run.symbols), dict[str, dict[str, int]]()
    for number, version, count in _by_version(ran, names):
        address = int(sites.addresses[number])
        by_version[version] = by_version.get(version, 0) + count
        by_function.setdefault(symbols.get(address, f"{address:#x}"), {})[version] = count
    by_cpu: dict[int, dict[str, int]] = {}
    for cpu, version, count in _by_version(cpu_ran, names):
        by_cpu.setdefault(cpu, {})[version] = count
    return Summary(
        calls=len(run.calls),
        events=len(run.events),
        by_version=by_version,
        by_function=dict(
            sorted(by_function.items(), key=lambda item: (-sum(item[1].values()), item[0])),
        ),
        by_cpu=by_cpu,
        by_patch_state=_counts(states, _state_name),
        by_flag={
            str(flag.name): count
            for flag in CallFlag
            if (count := int(flags.counts[flags.keys & np.uint64(flag) != 0].sum()))
        },
        by_event=_counts(kinds, event_name),
    )


def event_name(kind: int) -> str:
    """Return the name of an event kind, or its number if there is none.

    >>> event_name(6), event_name(999)
    ('SYNC', 'kind 999')
    """
    return _EVENT_NAMES.get(kind, f"kind {kind}")


def _state_name(state: int) -> str:
    signed = signed64(state)
    return PATCH_STATES.get(signed, f"state {signed}")


def _by_version(tally: Tally, names: list[str]) -> Iterator[tuple[int, str, int]]:
    """Yield what else is in each key, ascending, then the version its low 16 bits name, and the count."""
    for key, count in zip(tally.keys.tolist(), tally.counts.tolist(), strict=True):
        yield key >> 16, version_name(names, key & 0xFFFF), count


def _counts(tally: Tally, name: Callable[[int], str]) -> dict[str, int]:
    return {name(key): count for key, count in zip(tally.keys.tolist(), tally.counts.tolist(), strict=True)}
