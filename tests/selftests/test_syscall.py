"""A function that all processes call all the time is patched: the counterpart of test-syscall.sh."""

from __future__ import annotations

import pytest

from emu.arch import PORTS
from emu.livepatch import PatchState
from tests.selftests.shell import Shell, patch, patching, unpatching

PROCESSES = 4
"""One for each CPU, as there."""


@pytest.mark.parametrize("arch", sorted(PORTS))
def test_patching_a_function_that_is_hammered_by_system_calls(arch: str) -> None:
    shell = Shell(arch, cpus=PROCESSES, users=1)
    machine, transition = shell.machine, shell.machine.livepatch.core.transition
    hammers = [task for task in machine.kernel.tasks if task.comm.startswith("user/")]
    machine.run(calls=500)
    left = []

    machine.kernel.on_log = lambda line: left.append(
        sum(transition.patch_state(task) is not PatchState.PATCHED for task in hammers)
        if "completing patching" in line
        else -1
    )
    ret = shell.insmod(patch("st_leaf", "mini_leaf"))
    settled = machine.furthest_clock()
    machine.run(calls=500)
    during = machine.trace.calls
    shell.disable("st_leaf")
    shell.rmmod("st_leaf")

    assert ret == 0
    assert [count for count in left if count >= 0] == [0]
    leaf = during[(during["site"] == shell.address("mini_leaf")) & (during["enter"] > settled)]
    assert set(leaf["patch"]) == {1}
    assert set(leaf["task"]) == {task.index for task in hammers}
    assert machine.bad_results() == 0
    assert shell.transcript() == [
        "$ insmod st_leaf", *patching("st_leaf"), *unpatching("st_leaf"), "$ rmmod st_leaf",
    ]  # fmt: skip
