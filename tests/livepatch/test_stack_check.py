"""What a task must not be inside of when it switches."""

from __future__ import annotations

import pytest

from emu.arch import PORTS
from emu.lab.machine import Machine
from emu.livepatch import Func, Object, Patch


def patch(name: str) -> Patch:
    return Patch(name, (Object(None, (Func("mini_leaf", "lp_mini_leaf"),)),))


@pytest.mark.parametrize("arch", PORTS)
@pytest.mark.parametrize("turned", ["older", "newer"])
def test_a_disabling_that_is_reversed_ends_wherever_the_patch_is_on_the_stack(arch: str, turned: str) -> None:
    with Machine(arch=arch, cpus=2, tick=500, spare_tasks=2, tickless=[1]) as machine:
        for name in ("older", "newer"):
            assert machine.run(until=machine.livepatch.enable(patch(name)).settled).ok
        machine.kernel.spawn("busy", [], cpu=1, entry="user_spin")
        machine.run(cycles=10_000)
        machine.wait(machine.livepatch.write_enabled(turned, enabled=False))
        assert machine.livepatch.facts()[turned].transition, "nobody asks the busy task yet"
        machine.wait(machine.livepatch.write_enabled(turned, enabled=True))
        report = machine.run(until=machine.livepatch.is_quiet)

        assert report.ok, report.lines()
        assert machine.livepatch.facts()[turned].enabled
        assert f"livepatch: '{turned}': patching complete" in machine.log[-1]
        assert machine.kernel.warnings() == 0
