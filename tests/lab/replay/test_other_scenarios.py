"""Scenarios that nobody recorded, written from Linux's sources: the interpreter is not made for 37 files."""

from __future__ import annotations

from typing import Any

import pytest

from emu.arch import PORTS
from emu.lab.replay import replay

HELPERS = "load the helper modules: viccore, victim"
LATE = ("late: init: ping says ping:orig", "late: exit: ping says ping:orig")


def step(action: str, returned: object = None, *dmesg: str, **observed: object) -> dict[str, Any]:
    return {"action": action, "returned": returned, "dmesg": [*dmesg], "observed": observed}


def agrees(arch: str, *steps: dict[str, Any]) -> None:
    found = replay({"scenario": "made", "steps": [*steps]}, arch=arch)
    assert not found, "\n".join(map(str, found))


@pytest.mark.parametrize("arch", sorted(PORTS))
class TestScenarios:
    def test_forcing(self, arch: str) -> None:
        agrees(
            arch,
            step(HELPERS, 0),
            step("sleeper goes to sleep in vic_wait", sleeping_at_gates=[0]),
            step(
                "load module lp_w1",
                0,
                "lp_w1: tainting kernel with TAINT_LIVEPATCH",
                "livepatch: enabling patch 'lp_w1'",
                "livepatch: 'lp_w1': starting patching transition",
            ),
            step("2 s later", state={"sleeper": "0", "free": "1"}),
            step(
                "write 1 to lp_w1/force",
                2,
                "livepatch: forcing remaining tasks to the patched state",
                state={"sleeper": "1"},
            ),
            step("wait for the transition to end", "ended", "livepatch: 'lp_w1': patching complete"),
            step("open gate 0", 2),
            step("sleeper is done", result="wait:orig"),
            step("sleeper calls again", result="wait:lp_w1"),
        )

    def test_what_comes_in_the_middle_of_a_transition(self, arch: str) -> None:
        agrees(
            arch,
            step(HELPERS, 0),
            step("one and two go to sleep in vic_pair", sleeping_at_gates=[3, 5]),
            step(
                "load module lp_b1",  # changes what vic_pair calls, not vic_pair
                0,
                "lp_b1: tainting kernel with TAINT_LIVEPATCH",
                "livepatch: enabling patch 'lp_b1'",
                "livepatch: 'lp_b1': starting patching transition",
            ),
            step("wait for the transition to end", "ended", "livepatch: 'lp_b1': patching complete"),
            step("a kernel thread k1 goes to sleep in vic_wait", 9),
            step("load module lp_w1", 0, "livepatch: enabling patch 'lp_w1'",
                 "livepatch: 'lp_w1': starting patching transition"),
            step("load module lp_a1 while lp_w1 is in transition", "-EBUSY"),
            step("write 0 to lp_b1/enabled", "-EBUSY"),
            step("load module late", 0, LATE[0], calls={"ping": "ping:orig"}),
            step("3 s later", named_tasks_left=["vk-k1"], other_tasks_left=0),
            step("wait 2 s for the transition to end", "still in progress"),
            step("open gates 3, 5 and 1", 2, "livepatch: 'lp_w1': patching complete"),
            step("one is done", result="pair:orig(alpha:orig,beta:lp_b1)"),
            step("two is done", result="pair:orig(alpha:orig,beta:lp_b1)"),
            step("wait for the transition to end", "ended"),
            step("results", results=["kthread k1: wait:orig"]),
            step("unload module late", 0, LATE[1]),
        )  # fmt: skip

    def test_livepatches_that_only_the_record_knows(self, arch: str) -> None:
        def tree(transition: str) -> dict[str, object]:
            victim = {"patched": "1", "functions": ["vic_delta,1", "vic_pair,1"]}
            return {"lp_dp": {"enabled": "1", "transition": transition, "objects": {"victim": victim}}}

        agrees(
            arch,
            step(HELPERS, 0),
            step("call delta, pair", calls={"delta": "delta:orig"}),
            step(
                "load module lp_dp",
                0,
                "lp_dp: tainting kernel with TAINT_LIVEPATCH",
                "livepatch: enabling patch 'lp_dp'",
                "livepatch: 'lp_dp': starting patching transition",
                livepatch=tree("1"),
            ),
            step("wait for the transition to end", "ended", "livepatch: 'lp_dp': patching complete",
                 livepatch=tree("0")),
            step("open gate 1", 2),
            step("another task calls them", free_delta="delta:lp_dp",
                 free_pair="pair:lp_dp(alpha:orig,beta:orig)"),
        )  # fmt: skip
