"""Ways to play an installation on one CPU while the other is somewhere in a call, or makes some."""

from __future__ import annotations

from emu.kernel.installer import Job
from tests.exhaustive.lockstep import CALLER, Lockstep


def dense(machine: Lockstep, job: Job[int]) -> int:
    """Play ``job`` with calls on CPU1 at each instruction boundary; return how many boundaries there were."""
    boundaries = 0
    while not job.done:
        machine.step_and_call()
        machine.look()
        for _ in machine.functions[1:]:
            machine.call()
        boundaries += 1
        machine.keep_waiting(boundaries)
        if machine.waits_for_grace:
            machine.let_schedule()
    assert job.result() == 0, f"{job.name}: {job.result()}"
    return boundaries


def sparse(machine: Lockstep, job: Job[int], at: int | str) -> bool:
    """Play ``job`` with calls on CPU1 at one operation boundary only; whether there is that one.

    Elsewhere CPU1 runs only when it is waited for, so what it has fetched stays as old as can be.

    Args:
        at: number of operations before it; or the name of the one before it, each time there is one.
    """
    operations, found = 0, False
    while not job.done:
        if at in (operations, machine.last_operation):
            found = True
            for _ in machine.functions:
                machine.call()
        machine.play_one()
        machine.look()
        operations += 1
        machine.keep_waiting(operations)
        if machine.waits_for_grace:
            machine.let_schedule()
            machine.call()
        elif machine.waits_in_vain:
            machine.answer_sync()
    assert job.result() == 0, f"{job.name}: {job.result()}"
    return found


def walk_into_call(machine: Lockstep, steps: int) -> bool:
    """Let CPU1 run so many instructions of a call; whether the call is that long."""
    for _ in range(steps):
        machine.step(CALLER)
        if machine.between_calls:
            return False
    return True


def install_around(machine: Lockstep, job: Job[int]) -> None:
    """Play ``job`` while CPU1 goes on by single instructions, and only when it is waited for."""
    operations = 0
    while not job.done:
        machine.play_one()
        machine.look()
        operations += 1
        machine.keep_waiting(operations)
        if machine.waits_for_grace:
            machine.let_schedule()
        if machine.waits_in_vain:
            machine.go_on_until_served()
    assert job.result() == 0, f"{job.name}: {job.result()}"
    if not machine.between_calls:
        machine.call()


def inside(machine: Lockstep, job: Job[int], at: int) -> bool:
    """Play ``job`` while CPU1 stands ``at`` instructions into a call; whether the call is that long."""
    reached = walk_into_call(machine, at)
    install_around(machine, job)
    return reached


def preempted(machine: Lockstep, job: Job[int], at: int) -> bool:
    """Play ``job`` while a task is preempted ``at`` instructions into a call; whether it is that long.

    Other tasks of CPU1 go on making calls; the preempted one is next when the second of them gives way.
    """
    reached = walk_into_call(machine, at)
    machine.preempt()
    install_around(machine, job)
    for _ in range(3):
        machine.let_schedule()
        machine.call()
    return reached
