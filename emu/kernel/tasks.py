"""Tasks: their structs, stacks and first frames, and the run queue rings of each CPU."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emu.arch.port import Port
from emu.build.memory_map import KERNEL_STACK, PERCPU_AREA, SLOT_SIZE, STACKS_BASE, TASKS, USER_STACK
from emu.machine.memory import Memory
from emu.structs import CONSTANTS, PERCPU, TASK
from emu.units import unsigned64

DRIVER = "klp_driver"
"""Name of the patching task, and of its routine."""
ON_GATE = frozenset({CONSTANTS["TASK_ON_GATE"], CONSTANTS["TASK_ON_GATE_INTR"]})
"""States of a task that sleeps until the word that its ``gate`` points to is set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task of the guest.

    Args:
        index: row in traces, number of its stack slot.
        pid: 0 for idle tasks.
        comm: name.
        cpu: it never leaves it.
        kind: what it runs: "idle", "kthread" or "user"; "spare": nothing yet, its slot is free.
        entry: first function (kthread) or first user instruction.
    """

    index: int
    pid: int
    comm: str
    cpu: int
    kind: str
    entry: int = 0

    @property
    def is_driver(self) -> bool:
        """Whether it is the patching task."""
        return self.comm == DRIVER

    @property
    def struct(self) -> int:
        """Guest address of its task_struct."""
        return TASKS.base + self.index * TASK.size

    @property
    def kernel_stack(self) -> tuple[int, int]:
        """Lowest address and end of its kernel stack."""
        base = STACKS_BASE + self.index * SLOT_SIZE
        return base + KERNEL_STACK[0], base + KERNEL_STACK[1]

    @property
    def user_stack(self) -> tuple[int, int]:
        """Lowest address and end of its user stack."""
        base = STACKS_BASE + self.index * SLOT_SIZE
        return base + USER_STACK[0], base + USER_STACK[1]


def percpu_address(cpu: int) -> int:
    """Return the guest address of a CPU's per-CPU area."""
    return PERCPU_AREA.base + cpu * PERCPU.size


def create_task(memory: Memory, port: Port, task: Task, *, work: tuple[int, int, int], first: int) -> None:
    """Write a task's struct and first stack frame.

    Args:
        work: its call table: start, end, first entry to call.
        first: where its first switch-in returns to: ``ret_from_fork`` or ``ret_to_user_first``.
    """
    low, high = task.kernel_stack
    rows = memory.view(TASK, task.struct)
    row, following = rows[0], int(rows["rq_next"][0])
    rows[:] = np.zeros(1, TASK.dtype)
    row["rq_next"] = following  # a slot stays where it is in its ring
    row["state"] = CONSTANTS["TASK_DEAD"] if following else CONSTANTS["TASK_RUNNING"]
    row["stack"], row["top_of_stack"] = low, high
    row["pid"], row["cpu"], row["index"] = task.pid, task.cpu, task.index
    row["patch_state"] = unsigned64(CONSTANTS["KLP_IDLE"])
    row["comm"] = task.comm.encode()[:15]
    row["work"], row["work_end"], row["work_cursor"] = work
    row["entry"] = task.entry
    if task.kind == "idle":
        row["pf_flags"] = CONSTANTS["PF_IDLE"] | CONSTANTS["PF_KTHREAD"]
        row["sp"] = high
        return
    if task.kind == "kthread":
        row["pf_flags"] = CONSTANTS["PF_KTHREAD"]
    else:
        row["user_pc"], row["user_sp"] = task.entry, task.user_stack[1]
    frame = high - port.switch_frame.size
    row["sp"] = frame
    memory.view(port.switch_frame, frame)[0][port.switch_return] = first


def create_spare(memory: Memory, task: Task) -> None:
    """Write the struct of a slot that is free, a dead task's, as far as kernel_clone relies on it."""
    row = memory.view(TASK, task.struct)[0]
    row["stack"], row["top_of_stack"] = task.kernel_stack
    row["user_sp"] = task.user_stack[1]
    row["state"], row["index"], row["cpu"] = CONSTANTS["TASK_DEAD"], task.index, task.cpu
    row["patch_state"] = unsigned64(CONSTANTS["KLP_IDLE"])


def link_ring(memory: Memory, tasks: list[Task]) -> int:
    """Link the tasks of one CPU in a ring and return the cursor that makes the first of them run first."""
    for task, following in zip(tasks, tasks[1:] + tasks[:1], strict=True):
        memory.view(TASK, task.struct)[0]["rq_next"] = following.struct
    return tasks[-1].struct if tasks else 0
