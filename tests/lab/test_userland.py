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


def test_a_fake_signal_has_a_call_made_again(arch: str) -> None:
    shell = userland(arch)
    for module in ("viccore", "victim"):
        assert shell.insmod(module) == 0
    process, victim = shell.process("sleeper", cpu=1), shell.machine.loader.image("victim")
    process.call(victim.address("vic_show"), victim.address("vic_wait"), 3, 1)
    shell.settle()
    gate = shell.sleeps_on_gate(process.task)
    before = len(shell.machine.trace.calls)

    assert shell.insmod("lp_w1") == 0
    assert shell.wait_for_transition(25)
    shell.settle()

    assert "livepatch: signaling remaining tasks" in shell.machine.log
    assert process.result() is None
    assert shell.sleeps_on_gate(process.task) == gate != 0
    shell.machine.kernel.engine.memory.store(gate, 1)
    patch = shell.machine.livepatch.table()[1]["index"]
    assert shell.finish(process) == patch
    waits = [row for row in shell.machine.trace.calls[before:] if row["site"] == victim.address("vic_wait")]
    assert [(int(row["patch"]), int(row["result"])) for row in waits] == [(0, 0xFFFF_FE00), (patch, patch)]


class TestSpinning:
    """Who computes in a module: rmmod of it waits for that, of others not; a transition is told about it."""

    def spinner(self, shell: Userland, *modules: str) -> None:
        """Load modules, and have a kernel thread loop in vic_spin until gate 4 opens."""
        for module in ("viccore", "victim", *modules):
            assert shell.insmod(module) == 0
        victim = shell.machine.loader.image("victim")
        calls = [(victim.address("vic_show"), (victim.address("vic_spin"), 4))]
        shell.machine.kernel.spawn("vk-sp", calls, cpu=1, entry="worker", forever=False)
        shell.settle()

    def test_a_thread_that_runs_is_told_with_the_function_it_is_inside_of(self, arch: str) -> None:
        shell = userland(arch)
        self.spinner(shell)
        assert shell.insmod("lp_spin1") == 0
        assert not shell.wait_for_transition(2)

        stuck = shell.machine.why_stuck()
        assert stuck is not None
        (straggler,) = stuck.stragglers
        assert (straggler.comm, straggler.doing, straggler.function) == ("vk-sp", "runs", "vic_spin")
        assert straggler.remedy.startswith(
            "its return from vic_spin, then sleep or preemption outside of what the patch changes; "
        )

    def test_a_thread_that_spins_in_another_module_is_not_waited_for(self, arch: str) -> None:
        shell = userland(arch)
        self.spinner(shell, "late")

        assert shell.rmmod("late") == 0

    def test_a_thread_inside_is_waited_for(self, arch: str) -> None:
        shell = userland(arch)
        self.spinner(shell)
        machine = shell.machine
        job = machine.unload("victim")

        assert machine.run(until=lambda: machine.kernel.installer.waiting_for != "").ok
        assert machine.run(cycles=200_000).ok
        assert not job.done
        assert machine.kernel.installer.unmet()[0].startswith("vk-sp (pid ")
        kernel = machine.kernel
        gates = machine.loader.image("viccore").address("vic_gates")
        kernel.engine.memory.store(gates + 8 * 4, 1)

        assert machine.wait(job) == 0
        assert machine.modules.find("victim") is None
