"""Memory ordering of one machine: its tables, and loads, stores and barriers of code in Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emu.build.memory_map import DATA_BASE, STACKS_BASE
from emu.machine import state as s
from emu.machine.operations import Barrier
from emu.machine.ordering_hooks import ordering_hooks
from emu.machine.state import Ordering, Stop
from emu.machine.store_buffer import drain, land_overlapping, land_up_to, push_store, settle, show
from emu.machine.views import barrier_all, catch_up

if TYPE_CHECKING:
    from emu.machine.engine import Engine

SHARED = (DATA_BASE, STACKS_BASE - 1)
"""First and last address that ordering looks at: all data but stacks.

A stack is used by tasks of one CPU, and others' eyes fall on it only under the task's lock
(docs/adr/0006-runtime-memory-ordering.md).
"""


def scrambled(seed: int) -> np.int64:
    """Spread a small seed over 64 bits, never 0 (SplitMix64's finaliser, Steele et al. 2014)."""
    z = (seed * 0x9E3779B97F4A7C15 + 0x9E3779B97F4A7C15) & (1 << 64) - 1
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & (1 << 64) - 1
    z = (z ^ z >> 27) * 0x94D049BB133111EB & (1 << 64) - 1
    return np.uint64(z ^ z >> 31 or 1).astype(np.int64)


class MemoryOrdering:
    """Pending stores and views of all CPUs of a machine.

    Methods that take a CPU are that CPU's accesses, made while no CPU runs, in program order with what it has
    executed.

    Args:
        engine: the machine.
        ordering: which outcomes it can show.
        seed: of what it draws, apart from the schedule.
    """

    def __init__(self, engine: Engine, ordering: Ordering, seed: int) -> None:
        self.kind, self._engine, cpus = ordering, engine, engine.cpus
        self.has_views = ordering is not Ordering.SC and engine.ctl[s.CTL_PORT] == s.PORT_ARM64
        self._rows = np.zeros((cpus, s.PENDING_MAX, s.STORE_WORDS), np.int64)
        self._views = np.zeros((cpus, s.VIEW_WORDS), np.int64)
        self._coherence = np.zeros((cpus, s.COHERENCE_SLOTS), np.int64)
        self._forwards = np.zeros((cpus, s.COHERENCE_SLOTS, s.FORWARD_WORDS), np.int64)
        self._landed = np.zeros((s.LANDED_ROWS, s.LANDED_WORDS), np.int64)
        self._last = np.zeros(s.LAST_SLOTS, np.int64)
        ctl = engine.ctl
        ctl[s.CTL_ORDERING] = ordering
        ctl[s.CTL_LANDED], ctl[s.CTL_LAST_LANDED] = self._landed.ctypes.data, self._last.ctypes.data
        if ordering is not Ordering.SC:
            ctl[s.CTL_ORDER] = ordering_hooks(has_views=self.has_views).order.address
        ctl[s.CTL_FENCES] = engine.tables.fences.ctypes.data
        for block, rows, views, coherence, forwards in zip(
            engine.blocks, self._rows, self._views, self._coherence, self._forwards, strict=True
        ):
            block[s.CPU_FORWARDS] = forwards.ctypes.data
            block[s.CPU_STORE_ROWS], block[s.CPU_COHERENCE] = rows.ctypes.data, coherence.ctypes.data
            block[s.CPU_VIEWS] = views.ctypes.data if self.has_views else 0
        self.restart(seed)

    def restart(self, seed: int) -> None:
        """Forget everything, as if nothing had run; what is drawn from now on comes from ``seed``."""
        self._views[:] = 0
        self._views[:, s.VIEW_LOADED] = -1
        self._coherence[:] = 0
        self._forwards[:] = 0
        self._last[:] = 0
        self._engine.blocks[:, s.CPU_PENDING_STORES] = 0
        self._engine.ctl[s.CTL_SHOWN] = -1
        self._engine.ctl[s.CTL_NOW] = 0
        self._engine.ctl[s.CTL_ORDER_RANDOM] = scrambled(~seed)

    def pending(self, cpu: int) -> list[tuple[int, int, int]]:
        """Return the stores of a CPU that have not landed: (address, size in bytes, value), oldest first."""
        found = []
        for row in self._rows[cpu, : self._engine.blocks[cpu, s.CPU_PENDING_STORES]]:
            address, size, value = (int(row[at]) for at in (s.STORE_ADDRESS, s.STORE_SIZE, s.STORE_VALUE))
            found.append((address, size, value & (1 << 8 * size) - 1))
        return found

    def settle(self) -> int | None:
        """Land every pending store; return a CPU of which one landed in freed memory, if there is any."""
        if self.kind is Ordering.SC:
            return None
        settle(self._engine.ctl)
        late = np.flatnonzero(self._engine.blocks[:, s.CPU_STOP] == Stop.FAULT)
        return int(late[0]) if late.size else None

    def synchronise(self) -> None:
        """Every CPU passes a full barrier: what Linux's locks, IPIs and grace periods see to."""
        self.settle()
        if self.has_views:
            for block in self._engine.blocks:
                catch_up(self._engine.ctl, block)

    def show(self, cpu: int) -> None:
        """Make memory look as ``cpu`` sees it."""
        if self.kind is not Ordering.SC:
            show(self._engine.ctl, self._engine.blocks[cpu])

    def load(self, cpu: int, address: int, size: int) -> int:
        """Load; never early, and what comes later is ordered behind it."""
        self.show(cpu)
        if self.has_views:
            catch_up(self._engine.ctl, self._engine.blocks[cpu])
        return self._engine.memory.load(address, size)

    def store(self, cpu: int, address: int, value: int, size: int, *, release: bool = False) -> None:
        """Store; it may wait. A ``release`` waits for every store before it."""
        self.show(cpu)
        if self.kind is not Ordering.SC:
            if self._is_shared(address, size):
                at = self._push(cpu, address, value, size)
                self._rows[cpu, at, s.STORE_RELEASE] = release
            else:
                self.before_text_store(cpu)
        self._engine.memory.store(address, value, size)

    def update(self, cpu: int, address: int, value: int, size: int) -> None:
        """Store what an atomic makes of the value that `load` has just returned, at once.

        A locked instruction on x86-64; without any ordering on arm64.
        """
        self.show(cpu)
        if self.kind is not Ordering.SC and self._is_shared(address, size):
            ctl, block = self._engine.ctl, self._engine.blocks[cpu]
            at = self._push(cpu, address, value, size)
            self._rows[cpu, at, s.STORE_ATOMIC] = 1
            land_up_to(ctl, block, at)
        self._engine.memory.store(address, value, size)

    def barrier(self, cpu: int, barrier: Barrier) -> None:
        """Order accesses, with what the port has for that barrier.

        Read barriers do nothing: loads of code in Python are never early.
        """
        if self.kind is Ordering.SC:
            return
        self.show(cpu)
        ctl, block = self._engine.ctl, self._engine.blocks[cpu]
        if barrier in (Barrier.MB, Barrier.DSB):
            if self.has_views:
                barrier_all(ctl, block)
            else:
                drain(ctl, block)
        elif barrier is Barrier.WMB:
            self._views[cpu, s.VIEW_GROUP] += 1

    def before_text_store(self, cpu: int) -> None:
        """A store to text lands at once, behind the stores that must precede it."""
        if self.kind is Ordering.SC:
            return
        self.show(cpu)
        ctl, block = self._engine.ctl, self._engine.blocks[cpu]
        if self.kind is Ordering.TSO:
            drain(ctl, block)
            return
        group = self._views[cpu, s.VIEW_GROUP]
        at = int(block[s.CPU_PENDING_STORES]) - 1
        while at >= 0:
            if self._rows[cpu, at, s.STORE_GROUP] < group:
                land_up_to(ctl, block, at)
                at = int(block[s.CPU_PENDING_STORES])
            at -= 1

    def before_reuse(self, cpu: int, address: int, size: int) -> None:
        """``cpu`` gives memory another use: its own stores to it land first."""
        if self.kind is not Ordering.SC:
            self.show(cpu)
            land_overlapping(self._engine.ctl, self._engine.blocks[cpu], address, size)

    def _push(self, cpu: int, address: int, value: int, size: int) -> int:
        block = self._engine.blocks[cpu]
        word = int(np.uint64(value & (1 << 8 * size) - 1).astype(np.int64))
        at = int(push_store(self._engine.ctl, block, address, size, word, block[s.CPU_PC]))
        self._rows[cpu, at, s.STORE_GROUP] = self._views[cpu, s.VIEW_GROUP]
        self._rows[cpu, at, s.STORE_VIEW] = self._engine.ctl[s.CTL_NOW]
        return at

    @staticmethod
    def _is_shared(address: int, size: int) -> bool:
        return SHARED[0] <= address and address + size - 1 <= SHARED[1]
