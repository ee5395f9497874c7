"""Root's shell on a machine, and the machine as far as it is the shell's ground."""

from __future__ import annotations

import pytest

from emu.arch import PORTS
from emu.kernel.errno import EEXIST, ENOENT
from emu.lab.machine import Machine
from emu.lab.scenario import ScenarioError
from emu.lab.userland import Userland

pytestmark = pytest.mark.parametrize("arch", sorted(PORTS))


def userland(arch: str) -> Userland:
    return Userland(Machine("reference", arch=arch, cpus=2, workers=0, users=0, spare_tasks=4))


def test_a_machine_may_have_no_tasks_but_those_that_are_started_later(arch: str) -> None:
    assert userland(arch).machine.run(cycles=20_000).ok

    with pytest.raises(ScenarioError, match="no workers and no users"):
        Machine("reference", arch=arch, workers=0, users=0)


def test_what_is_loaded_is_not_loaded_again(arch: str) -> None:
    shell = userland(arch)

    assert [shell.insmod("viccore"), shell.insmod("viccore")] == [0, -EEXIST]
    assert shell.insmod("lp_cmd1") == 0
    assert shell.wait_for_transition()
    assert shell.insmod("lp_cmd1") == -EEXIST
    shell.write("/sys/kernel/livepatch/lp_cmd1/enabled", "0")
    assert shell.wait_for_transition()
    assert shell.insmod("lp_cmd1") == -EEXIST  # disabled, but its module is still there


def test_a_module_that_does_not_exist_is_neither_loaded_nor_unloaded(arch: str) -> None:
    shell = userland(arch)

    assert [shell.insmod("nosuch"), shell.rmmod("nosuch"), shell.rmmod("victim")] == [-ENOENT] * 3


def test_a_process_finds_itself_in_proc(arch: str) -> None:
    shell = userland(arch)

    assert shell.read("/proc/self/patch_state") == "-1\n"
    assert shell.read("/proc/self/nosuch") == -ENOENT


def test_a_module_that_comes_leaves_processes_alone(arch: str) -> None:
    shell = userland(arch)
    process = shell.process("caller", cpu=1)
    shell.settle()

    shell.insmod("viccore")
    shell.insmod("victim")
    process.call(shell.machine.loader.image("victim").address("vic_count"), 5)

    assert shell.finish(process) == 5


def test_looking_while_a_job_is_under_way_does_not_disturb_it(arch: str) -> None:
    shell = userland(arch)
    machine, guest = shell.machine, shell.machine.kernel.guest
    word = machine.kernel.image.address("call_buffer")

    def body() -> int:
        return sum(guest.atomic_add(word, 1) for _ in range(20))

    job = machine.kernel.installer.submit("count", body)
    while not job.done:
        machine.run(instructions=20)
        guest.load(machine.kernel.percpu[0])  # not what the job's operation gave

    assert job.result() == sum(range(1, 21))
