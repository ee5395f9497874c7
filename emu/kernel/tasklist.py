"""``tasklist_lock``: while the patching CPU goes through the tasks, no fork adds one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from emu.kernel.guest import Guest
from emu.kernel.installer import PATCHING_CPU, Installer
from emu.machine.engine import Engine
from emu.structs import CONSTANTS, PERCPU

_LOCK, _UNLOCK = "read_lock tasklist_lock", "read_unlock tasklist_lock"


class TasklistLock:
    """The patching CPU's side of it; the forking CPUs' is asm/<port>/kernel_clone.s.

    Who holds it must not be preempted: a fork on the same CPU would wait for it with interrupts off.

    Args:
        guest, installer, engine: the patching CPU.
        lock: address of ``tasklist_lock``.
        percpu: address of its per-CPU area.

    Source: kernel/fork.c; a lock of readers and writers there, of one holder here.
    """

    def __init__(self, guest: Guest, installer: Installer, engine: Engine, *, lock: int, percpu: int) -> None:
        self._guest, self._installer, self._order = guest, installer, engine.order
        self._lock, self._preempt_count = lock, percpu + PERCPU.offset("preempt_count")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock; who only looks, while every CPU stands still, needs none."""
        if not self._installer.in_job:
            yield
            return
        while not self._guest.callback(_LOCK, self._try, under_locks=False):
            self._guest.wait_while(self._lock, 1, "tasklist_lock")
        try:
            yield
        finally:
            self._guest.callback(_UNLOCK, self._release, under_locks=False)

    def _try(self) -> int:
        if self._order.load(PATCHING_CPU, self._lock, 8):
            return 0
        self._order.update(PATCHING_CPU, self._lock, 1, 8)
        self._preempt(CONSTANTS["PREEMPT_OFFSET"])
        return 1

    def _release(self) -> int:
        self._order.store(PATCHING_CPU, self._lock, 0, 8, release=True)
        self._preempt(-CONSTANTS["PREEMPT_OFFSET"])
        return 0

    def _preempt(self, change: int) -> None:
        count = self._order.load(PATCHING_CPU, self._preempt_count, 8)
        self._order.store(PATCHING_CPU, self._preempt_count, count + change, 8)
