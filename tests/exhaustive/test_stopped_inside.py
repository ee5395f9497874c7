"""A call stopped at every one of its instructions while the installation goes as far as it can."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from emu.kernel.installer import Job
from tests.exhaustive.lockstep import Lockstep
from tests.exhaustive.plays import inside, preempted
from tests.exhaustive.promises import Promises
from tests.exhaustive.schemes import SCHEMES, Scheme

pytestmark = pytest.mark.slow

CASES = [*((scheme, "stale") for scheme in SCHEMES), (SCHEMES[0], "head")]


def at_every_instruction(machine: Lockstep, stand: Callable[[Lockstep, Job[int], int], bool]) -> int:
    """Enable and disable around CPU1 at each instruction of its call; return how many there were."""
    promises, at, more = Promises(machine), 0, True
    while more:
        text, objects, handlers = machine.text_held(), machine.live_objects(), machine.registered()
        more = stand(machine, machine.submit_enable(), at)
        machine.call()
        promises.check(enabled=True)
        more |= stand(machine, machine.submit_disable(), at)
        machine.call()
        promises.check(enabled=False)
        assert (machine.text_held(), machine.live_objects(), machine.registered()) == (
            text,
            objects,
            handlers,
        )
        at += 1
    return at - 1


class TestStoppedInside:
    """Site, trampoline, handler, replacement, and back: right result, stack in balance, no use after free."""

    @pytest.mark.parametrize(("scheme", "fetch"), CASES, ids=str)
    def test_cpu_stands_still(self, scheme: Scheme, fetch: str) -> None:
        machine = Lockstep(scheme, fetch=fetch, functions=("mini_leaf",))
        assert at_every_instruction(machine, inside) > 100

    @pytest.mark.parametrize("scheme", SCHEMES, ids=str)
    def test_task_is_preempted(self, scheme: Scheme) -> None:
        machine = Lockstep(scheme, functions=("mini_leaf",), workers=3)
        assert at_every_instruction(machine, preempted) > 100

    @pytest.mark.parametrize("scheme", SCHEMES, ids=str)
    def test_another_patch_is_below(self, scheme: Scheme) -> None:
        machine = Lockstep(scheme, functions=("mini_leaf",), below=True)
        assert at_every_instruction(machine, inside) > 100
