"""Forks by the guest: children run, end and make room; and each is on its parent's side of a transition."""

from __future__ import annotations

import pytest

from emu.arch import PORTS
from emu.kernel.tasks import Task
from emu.lab.forks import Fork
from emu.lab.machine import Machine
from emu.machine.operations import Operation
from emu.structs import CONSTANTS, TASK
from emu.trace.schema import EventKind

EAGAIN = 0xFFFFFFF5

parametrize_arch = pytest.mark.parametrize("arch", PORTS)


def forker(machine: Machine, *, cpu: int = 1, rounds: int = 2, child: str = "user_loop") -> Task:
    """Start a user task that forks for ever, and calls mini_leaf in between."""
    at = machine.kernel.image.address
    calls = [(at("kernel_clone"), (rounds, at(child))), (at("mini_leaf"), (41,))]
    return machine.kernel.spawn("sh", calls, cpu=cpu, entry="user_loop", forever=True)


def made(machine: Machine) -> dict[Task, Fork]:
    """Return the children that live in a slot now."""
    found = {task: machine.forks.of(task) for task in machine.kernel.tasks}
    return {task: fork for task, fork in found.items() if fork is not None}


@parametrize_arch
@pytest.mark.parametrize("mode", ["fast", "exact"])
def test_children_make_their_calls_and_exit_and_their_slots_are_used_again(arch: str, mode: str) -> None:
    with Machine(arch=arch, cpus=2, workers=1, users=0, spare_tasks=6, mode=mode, tick=500) as machine:
        parent = forker(machine)
        assert machine.run(calls=1_500).ok

        children = made(machine)
        assert children
        assert all(task.comm == "sh" and task.cpu == 1 and task.pid > parent.pid for task in children)
        pids = machine.kernel.engine.memory.load(machine.kernel.image.address("last_pid"))
        assert pids > parent.pid + 6, "more than there are slots"
        assert machine.bad_results() == 0
        assert machine.kernel.warnings() == 0
        events = machine.finish().events
        forks = events[events["kind"] == EventKind.FORK]
        assert set(forks["task"].tolist()) == {parent.index}
        assert len(forks) // 2 == pids - parent.pid


@parametrize_arch
def test_without_room_the_answer_is_eagain(arch: str) -> None:
    with Machine(arch=arch, cpus=2, workers=1, users=0, spare_tasks=2, tick=500) as machine:
        parent = forker(machine, child="user_spin")
        assert machine.run(calls=500).ok

        table = machine.kernel.call_tables.spare_table(parent)
        result = machine.kernel.engine.memory.load(table + 0x60, 4)
        assert result == EAGAIN
        assert not made(machine)


@pytest.mark.slow
@parametrize_arch
@pytest.mark.parametrize("seed", [1, 2])
def test_transitions_end_and_nobody_is_forgotten_while_everybody_forks(arch: str, seed: int) -> None:
    options = {"cpus": 3, "workers": 1, "users": 0, "spare_tasks": 18, "mode": "exact", "tick": 400}
    with Machine(arch=arch, seed=seed, **options) as machine:  # type: ignore[arg-type]
        for cpu in range(3):
            forker(machine, cpu=cpu, rounds=4)
        assert machine.run(calls=200).ok
        handle = machine.livepatch.enable("livepatch-mini")
        assert machine.run(until=handle.settled).ok
        assert machine.run(calls=200).ok
        assert machine.run(until=handle.disable().settled).ok

        assert machine.kernel.warnings() == 0, "klp_complete_transition looks for flags that are left over"
        unlisted = CONSTANTS["TASK_DEAD"], CONSTANTS["TASK_NEW"]
        field = machine.kernel.task_field
        alive = [task for task in machine.kernel.tasks if field(task, "state") not in unlisted]
        assert {field(task, "patch_state") for task in alive} == {CONSTANTS["KLP_IDLE"] & (1 << 64) - 1}
        sides = {machine.forks.of(task).state.state for task in made(machine)}  # type: ignore[union-attr]
        assert sides <= {-1, 0, 1}


@parametrize_arch
def test_a_child_has_flag_and_state_of_one_moment(arch: str) -> None:
    """Both copied in one go: whatever the parent had at dup_task_struct does not matter."""
    with Machine(arch=arch, cpus=2, workers=0, users=0, spare_tasks=6, mode="exact", tick=500) as machine:
        parent, memory = forker(machine, rounds=50, child="user_spin"), machine.kernel.engine.memory
        flags = parent.struct + TASK.offset("flags")
        seen = []
        copy = machine.kernel.enter_child

        def note(struct: int) -> Task:
            memory.store(flags, 1 << CONSTANTS["TIF_PATCH_PENDING"])
            memory.store(parent.struct + TASK.offset("patch_state"), 1)
            seen.append(copy(struct))
            return seen[-1]

        machine.kernel.enter_child = note  # type: ignore[method-assign]
        machine.run(until=lambda: bool(seen))
        machine.run(instructions=30)  # to the end of klp_copy_process, and not to the child's first turn

        assert machine.kernel.task_field(seen[0], "patch_state") == 1
        assert machine.kernel.task_field(seen[0], "flags") == 1 << CONSTANTS["TIF_PATCH_PENDING"]


@parametrize_arch
def test_who_walks_the_tasks_waits_for_a_fork_and_a_fork_for_who_walks(arch: str) -> None:
    with Machine(arch=arch, cpus=2, workers=0, users=0, spare_tasks=4, tick=500) as machine:
        kernel, memory = machine.kernel, machine.kernel.engine.memory
        lock = kernel.image.address("tasklist_lock")
        preempt_count = kernel.percpu[0] + 8
        assert machine.run(cycles=2_000).ok

        def hold() -> int:
            with kernel.tasklist.held():
                assert memory.load(lock) == 1
                assert memory.load(preempt_count) == CONSTANTS["PREEMPT_OFFSET"]
            return 0

        memory.store(lock, 1)  # as a fork on another CPU does
        job = kernel.installer.submit("hold", hold)
        machine.run(cycles=3_000)
        assert not job.done
        assert kernel.installer.waiting_for == "tasklist_lock"
        memory.store(lock, 0)
        assert machine.wait(job) == 0
        assert (memory.load(lock), memory.load(preempt_count)) == (0, 0)

        memory.store(lock, 1)  # as the patching CPU does
        forker(machine)
        machine.run(cycles=5_000)
        assert not made(machine)
        memory.store(lock, 0)
        machine.run(cycles=5_000)
        assert made(machine)


def test_looking_while_every_cpu_stands_still_needs_no_lock() -> None:
    played: list[Operation] = []
    with Machine(cpus=1) as machine:
        machine.kernel.engine.memory.store(machine.kernel.image.address("tasklist_lock"), 1)
        machine.kernel.installer.on_operation = played.append

        assert machine.why_stuck() is None
        with machine.kernel.tasklist.held():
            assert not [operation for operation in played if "tasklist_lock" in operation.what]
