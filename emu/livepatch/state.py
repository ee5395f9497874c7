"""System states: may a new patch join those in use?

Source: kernel/livepatch/state.c (6.1).
"""

from __future__ import annotations

from collections.abc import Iterable

from emu.livepatch.model import Patch, State


def klp_get_state(patch: Patch, state_id: int) -> State | None:
    """Return the state of ``patch`` with that id, or None."""
    return next((state for state in patch.states if state.id == state_id), None)


def klp_is_patch_compatible(patch: Patch, enabled: Iterable[Patch]) -> bool:
    """Return whether ``patch`` handles every state of the enabled patches at their version or a higher one.

    A state it says nothing about matters only to an atomic replace, which must take all of them over.
    """
    for old_state in (state for old in enabled for state in old.states):
        state = klp_get_state(patch, old_state.id)
        if patch.replace if state is None else state.version < old_state.version:
            return False
    return True
