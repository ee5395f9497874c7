"""Parts of livepatch that can be exchanged, for one that is wrong say, so that one sees what they are for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from emu.kernel.guest import Guest, View
from emu.livepatch.patch import Patcher
from emu.livepatch.stack_check import klp_check_stack


class CheckStack(Protocol):
    """What `klp_check_stack` is."""

    def __call__(
        self, guest: Guest, patcher: Patcher, patch: View, entries: Sequence[int], *, unpatching: bool
    ) -> str:
        """Return the name of an affected function that a call stack is inside of, "" if there is none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Which to take.

    Args:
        patcher: puts single functions under a patch.
        check_stack: tells whether a task is inside something that a transition changes.
    """

    patcher: type[Patcher] = Patcher
    check_stack: CheckStack = klp_check_stack


RIGHT = Parts()
"""As Linux has them."""
