"""System states in guest memory: whose they are, which came before, what they keep."""

from __future__ import annotations

import pytest

from emu.arch import PORTS
from emu.kernel.guest import View
from emu.livepatch import Func, Object, ObjectFacts, Patch, State
from emu.structs import KLP_PATCH
from tests.synthetic import Kernel, new_log


@pytest.fixture
def kernel() -> Kernel:
    return Kernel(PORTS["x86_64"])


def stated(name: str, *states: State) -> Patch:
    return Patch(name, (Object(None, (Func("cmdline_proc_show", "lp_1"),)),), states=states)


def view_of(kernel: Kernel, handle: int) -> View:
    return View(kernel.guest, KLP_PATCH, handle)


class TestGetState:
    """klp_get_state: the array that the patch brings, ended by an id of 0."""

    def test_finds_each_by_id_with_version_and_data(self, kernel: Kernel) -> None:
        handle = kernel.livepatch.enable(stated("lp", State(3, 7), State(1, 2, data=0x1234)))
        states, patch = kernel.livepatch.states, view_of(kernel, handle)
        found = [(s["id"], s["version"], s["data"]) for s in states.for_each_state(patch)]
        assert found == [(3, 7, 0), (1, 2, 0x1234)]
        state = states.klp_get_state(patch, 1)
        assert state is not None
        assert state["version"] == 2
        assert states.klp_get_state(patch, 2) is None

    def test_a_patch_without_states_has_no_array(self, kernel: Kernel) -> None:
        patch = view_of(kernel, kernel.livepatch.enable(stated("lp")))
        assert patch["states"] == 0
        assert kernel.livepatch.states.klp_get_state(patch, 1) is None

    def test_id_0_is_refused_where_it_is_declared(self) -> None:
        with pytest.raises(ValueError, match=r"^id must not be 0, which ends the array of states$"):
            State(0, 1)


class TestPrevState:
    """klp_get_prev_state: the newest before the patch in transition."""

    def enable_asking(
        self, kernel: Kernel, name: str, *states: State, ask: int
    ) -> list[tuple[int, int] | None]:
        """Enable a patch; return (version, data) of the earlier state that its two callbacks find."""
        found: list[tuple[int, int] | None] = []

        def callback(_facts: ObjectFacts) -> int:
            state = kernel.livepatch.states.klp_get_prev_state(ask)
            found.append(None if state is None else (state["version"], state["data"]))
            return 0

        func = Func("meminfo_proc_show", "lp_1")
        patch = Patch(name, (Object(None, (func,), pre_patch=callback, post_patch=callback),), states=states)
        assert kernel.livepatch.enable(patch) > 0
        return found

    def test_the_newest_match_wins_and_ones_own_does_not_count(self, kernel: Kernel) -> None:
        enable = kernel.livepatch.enable
        assert self.enable_asking(kernel, "a", State(1, 1), ask=1) == [None, None]
        assert enable(stated("b", State(1, 4, data=0xB))) > 0
        assert enable(stated("c", State(2, 9))) > 0
        assert self.enable_asking(kernel, "d", State(1, 5), ask=1) == [(4, 0xB), (4, 0xB)]
        assert self.enable_asking(kernel, "e", ask=3) == [None, None]

    def test_patches_behind_the_one_that_goes_do_not_count(self, kernel: Kernel) -> None:
        found: list[int] = []

        def note(_facts: ObjectFacts) -> int:
            state = kernel.livepatch.states.klp_get_prev_state(1)
            found.append(0 if state is None else state["version"])
            return 0

        func = Func("meminfo_proc_show", "lp_1")
        middle = Patch(
            "m", (Object(None, (func,), pre_unpatch=note, post_unpatch=note),), states=(State(1, 2),)
        )
        assert kernel.livepatch.enable(stated("a", State(1, 1))) > 0
        handle = kernel.livepatch.enable(middle)
        assert kernel.livepatch.enable(stated("z", State(1, 3))) > 0
        assert kernel.livepatch.disable(handle) == 0
        assert found == [1, 1]

    def test_outside_a_transition_it_warns_once_and_finds_nothing(self, kernel: Kernel) -> None:
        kernel.livepatch.enable(stated("a", State(1, 1)))
        new_log(kernel)
        assert kernel.livepatch.states.klp_get_prev_state(1) is None
        assert kernel.livepatch.states.klp_get_prev_state(1) is None
        (line,) = new_log(kernel)
        assert line.startswith("WARNING: at emu/livepatch/state.py:")
        assert line.endswith(" klp_get_prev_state")


def test_a_callback_finds_its_own_states_by_the_address_it_is_told(kernel: Kernel) -> None:
    seen: list[int] = []

    def pre_patch(facts: ObjectFacts) -> int:
        state = kernel.livepatch.states.klp_get_state(view_of(kernel, facts.klp_patch), 1)
        assert state is not None
        state["data"] = 0x77
        seen.append(state["version"])
        return 0

    func = Func("meminfo_proc_show", "lp_1")
    patch = Patch("lp", (Object(None, (func,), pre_patch=pre_patch),), states=(State(1, 6),))
    handle = kernel.livepatch.enable(patch)
    state = kernel.livepatch.states.klp_get_state(view_of(kernel, handle), 1)
    assert state is not None
    assert (seen, state["data"]) == ([6], 0x77)
