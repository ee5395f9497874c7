"""System states: what patches in use have changed, and whether a new patch may join them.

Source: kernel/livepatch/state.c (6.1; the same in 6.17).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from emu.kernel.guest import Guest, View
from emu.kernel.warn import warn_on
from emu.livepatch.graph import for_each_patch
from emu.livepatch.model import Patch, State
from emu.structs import KLP_STATE


class States:
    """The klp_state structs of the patches in use.

    Args:
        guest: the patching CPU.
        patches: head of ``klp_patches``.
        transition_patch: gives ``klp_transition_patch``.
    """

    def __init__(self, guest: Guest, patches: int, transition_patch: Callable[[], View | None]) -> None:
        self._guest, self._patches, self._transition_patch = guest, patches, transition_patch
        self._warned = False

    def for_each_state(self, patch: View) -> Iterator[View]:
        """Yield the states of ``patch``, in its order."""
        address = patch["states"]
        while address:
            state = View(self._guest, KLP_STATE, address)
            if not state["id"]:
                return
            yield state
            address += KLP_STATE.size

    def klp_get_state(self, patch: View, state_id: int) -> View | None:
        """Return the klp_state of ``patch`` with that id, or None."""
        return next((state for state in self.for_each_state(patch) if state["id"] == state_id), None)

    def klp_get_prev_state(self, state_id: int) -> View | None:
        """Return the newest klp_state with that id among the patches before the one in transition, or None.

        Only callbacks of a transition may ask; anybody else gets None and the first of them a WARN.
        """
        current, last_state = self._transition_patch(), None
        if current is None:
            self._warned = self._warned or warn_on(self._guest, True)
            return None
        for patch in for_each_patch(self._guest, self._patches):
            if patch.address == current.address:
                break
            last_state = self.klp_get_state(patch, state_id) or last_state
        return last_state


def klp_is_patch_compatible(patch: Patch, enabled: Iterable[Patch]) -> bool:
    """Return whether ``patch`` handles every state of the enabled patches at their version or a higher one.

    A state it says nothing about matters only to an atomic replace, which must take all of them over.
    """
    for old_state in (state for old in enabled for state in old.states):
        state = _declared(patch, old_state.id)
        if patch.replace if state is None else state.version < old_state.version:
            return False
    return True


def _declared(patch: Patch, state_id: int) -> State | None:
    return next((state for state in patch.states if state.id == state_id), None)
