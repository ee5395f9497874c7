"""Callbacks that only say that they run: those which a patch declares by name.

What they print is what the callbacks of the reference livepatches do (their sources are ours, too): the
patch, the callback, the object and its module's state; then the patch's own states and the earlier ones.
"""

from __future__ import annotations

from emu.kernel.bytes import load_string
from emu.kernel.guest import Guest, View
from emu.livepatch.model import ObjectFacts
from emu.livepatch.state import States


class Announcer:
    """Prints them.

    Args:
        guest: the patching CPU.
        states: of the patches in use.
    """

    def __init__(self, guest: Guest, states: States) -> None:
        self._guest, self._states = guest, states

    def announce(self, callback: str, facts: ObjectFacts, patch: View, returns: int) -> int:
        """Print what ``callback`` of ``patch`` would say, and return ``returns``.

        post_patch leaves the patch's name in the data of each of its states.
        """
        refusing = ", refusing" if returns else ""
        self._guest.log(f"{facts.patch}: {callback} for {facts.object} ({facts.state}){refusing}")
        for state in self._states.for_each_state(patch):
            self._tell(facts.patch, "own", state)
            earlier = self._states.klp_get_prev_state(state["id"])
            if earlier is not None:
                self._tell(facts.patch, "earlier", earlier)
            if callback == "post_patch":
                state["data"] = patch["mod"]  # the module's name
        return returns

    def _tell(self, patch: str, whose: str, state: View) -> None:
        data = load_string(self._guest, state["data"]) if state["data"] else "none"
        self._guest.log(f"  {patch}: {whose} state {state['id']} version {state['version']} data {data}")
