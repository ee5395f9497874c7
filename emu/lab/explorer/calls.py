"""Items of a dispatching CPU: a call of the patched function, and a way out of the kernel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from emu.lab.explorer.dispatcher import State, Wish
from emu.lab.explorer.guest_code import Core, GuestCode, Run
from emu.lab.explorer.requests import BETWEEN, PREEMPTIBLE
from emu.structs import CONSTANTS

_PENDING = CONSTANTS["TIF_PATCH_PENDING"]
SITE = "site"
"""The location of the patched function's entry site; 0: off, 1: on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call of the patched function: the site, and if that is on, the handler.

    Args:
        code: of the guest.
        handler: its first instruction, with its arguments.
        target: (core behind the handler) -> name of the version that runs.
        versions: name of the version that a task must see, by its side of the transition.
        known: names of all versions there are.
    """

    code: GuestCode
    handler: Core
    target: Callable[[Core], str]
    versions: Mapping[int, str]
    known: frozenset[str]

    def begin(self, state: State) -> Wish | None:
        """Fetch the site."""
        del state
        return Wish(fetch=SITE, allows=BETWEEN)

    def fetched(self, state: State, value: Any) -> Wish | None:
        """Go to the handler, or past a site that is off."""
        if value == 0:
            self._judge(state, "original")
            return None
        return Wish(core=self.handler, allows=PREEMPTIBLE)

    def ran(self, state: State, run: Run) -> Wish | None:
        """Look where the handler has sent the call."""
        self._judge(state, self.target(run.core))
        return None

    def stored(self, state: State, location: int, value: int) -> None:
        """Take no note: the handler stores to nothing that others see."""

    def _judge(self, state: State, version: str) -> None:
        state.results = (*state.results, version)
        if version not in self.known:
            state.violation = f"the call goes to {version}, which is no version of the function"
        elif state.expected is not None and version != self.versions[state.expected]:
            side = ("unpatched", "patched")[state.expected]
            state.violation = (
                f"a task that is {side} runs {version} where it must run {self.versions[state.expected]}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """A way out of the kernel, on which the task switches if it is asked to.

    Args:
        routine: ``klp_update_patch_state``, with its argument.
        flags, patch_state: addresses of the task's.
    """

    routine: Core
    flags: int
    patch_state: int

    def begin(self, state: State) -> Wish | None:
        """Look whether the task is asked to switch, as exit_to_user_mode and the idle loop do."""
        state.results = (*state.results, "no switch")
        return Wish(fetch=self.flags, data=True, allows=BETWEEN)

    def fetched(self, state: State, value: Any) -> Wish | None:
        """Call the routine if it is."""
        off: frozenset[str] = frozenset()  # interrupts are off on this way out
        return Wish(core=self.routine, allows=off, inside=off) if value >> _PENDING & 1 else None

    def ran(self, state: State, run: Run) -> Wish | None:
        """Be done."""
        return None

    def stored(self, state: State, location: int, value: int) -> None:
        """Note on which side the task is now."""
        if location == self.patch_state:
            state.expected = value if value in (0, 1) else None
            side = {0: "switched to unpatched", 1: "switched to patched"}.get(value, "switched to no state")
            state.results = (*state.results[:-1], side)
