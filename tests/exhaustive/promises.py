"""What every call must keep while a patch comes or goes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emu.trace.schema import EventKind
from tests.exhaustive.lockstep import Lockstep


class BrokenPromiseError(AssertionError):
    """A version ran that must not have run."""


def event_seq(events: NDArray[np.void], kind: EventKind) -> int:
    """Return the number of the first event of a kind."""
    return int(events["seq"][events["kind"] == kind][0])


class Promises:
    """What calls must keep while the patch is enabled or disabled, one enabling or disabling at a time."""

    def __init__(self, machine: Lockstep) -> None:
        self._machine = machine
        address = machine.machine.kallsyms.address_of
        self._patched = {address(name): name for name in machine.sites}
        self._text = machine.text_held()

    def check(self, *, enabled: bool) -> int:
        """Check and count the calls since the last time; ``enabled`` is what it ended with."""
        calls, events = self._machine.take_rows()
        begin = event_seq(events, EventKind.ENABLE if enabled else EventKind.DISABLE)
        settled = event_seq(events, EventKind.SETTLED)
        self._check_text()
        for site, name in self._patched.items():
            own = calls[calls["site"] == site]
            new = (own["patch"] == 1) == enabled
            if self._machine.below:  # there is a replacement with and without this patch
                assert (own["patch"] == 1).all()
                continue
            assert not new[own["dispatch_seq"] < begin].any(), f"{name}: a call had switched before it began"
            late = own["seq"][~new & (own["seq"] > settled)]
            if len(late):
                raise BrokenPromiseError(
                    f"{name}: {len(late)} calls entered after it settled ran the wrong version"
                )
            for task in np.unique(own["task"]):
                rows = np.flatnonzero(own["task"] == task)
                rows = rows[np.argsort(own["dispatch_seq"][rows])]
                flips = np.count_nonzero(np.diff(new[rows].astype(np.int8)))
                assert flips <= 1, f"{name}: task {task} changed versions {flips} times"
        complaints = self._machine.complaints()
        assert not complaints, complaints
        return len(calls)

    def _check_text(self) -> None:
        """Check that CPU1 could fetch no mixture: only the old, the new, or a breakpoint, each whole."""
        trap = self._machine.machine.port.trap
        before, self._text = self._text, self._machine.text_held()
        for name, seen in self._machine.take_seen().items():
            torn = {
                code.hex(" ") for code in seen - {before[name], self._text[name]} if not code.startswith(trap)
            }
            assert not torn, f"{name}: CPU1 could fetch {torn}"
