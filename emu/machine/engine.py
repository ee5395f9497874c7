"""The machine itself: Unicorn instances over one memory, their control block, and the native loop."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from unicorn import unicorn_const
from unicorn.unicorn_py3.unicorn import UcContext

from emu.arch.port import Port
from emu.build.memory_map import DATA_BASE, USER_TEXT
from emu.machine import state as s
from emu.machine.clocks import CycleClocks
from emu.machine.fetch import FetchModel
from emu.machine.frames import fill_call_row
from emu.machine.loop import run_loop
from emu.machine.memory import TEXT_SIZE, Memory, page_aligned
from emu.machine.native import function_address
from emu.machine.ordering import MemoryOrdering, scrambled
from emu.machine.registers import engine_cpu, register_number
from emu.machine.stacks import SWITCHABLE, Stacks
from emu.machine.state import Fetch, Ordering, Schedule, Stop
from emu.machine.text import TextTables, windows
from emu.machine.traps import interrupts_enabled
from emu.machine.virtual_cpu import CpuMaker, fence_stacks
from emu.timing import CpuModel
from emu.trace.schema import CallFlag, calls_from_words, events_from_words
from emu.units import PAGE_SIZE

FRAME_POOL = 1 << 16
"""Shadow frames: traced calls that can be open at a time over all tasks."""
ROWS = 1 << 15
"""Rows of calls and of events that are buffered before they are handed on."""
UNLIMITED = 1 << 61
_MAX_WAITS = 1 << 13


_MANY = 16
"""Engines that come between two collections."""
_engines: weakref.WeakSet[Engine] = weakref.WeakSet()


def _collect_unused() -> None:
    """Free unused engines: cycles keep them until a collection, which counts objects, not 40 MiB each."""
    if len(_engines) % _MANY == _MANY - 1:  # not at each one beyond: all may be in use
        gc.collect()


class Engine:
    """CPUs of one port over one memory.

    Args:
        port: which architecture.
        cpus: 1 to 64.
        slots: for each CPU, the stack slots of its tasks; all others' stacks it sees without guard pages.
        exact: one instruction at a time, else full speed between landings.
        schedule: who runs next; fast mode needs ``Schedule.QUANTUM``.
        fetch: when text stores of one CPU reach the others' instruction fetch.
        seed: of everything that is drawn.
        quantum: mean instructions of a turn.
        tick: cycles between timer interrupts on each CPU, 0 = none.
        ordering: which outcomes of loads and stores a run can show; one of the port's.
        cpu_model: what tells how long instructions take, one of the port's; exact mode only. None: a cycle.

    Under an ordering that must look at every instruction (all but SC, on arm64) a machine that is not exact
    runs its turns instruction by instruction.
    """

    def __init__(
        self,
        port: Port,
        *,
        cpus: int,
        slots: list[list[int]],
        exact: bool,
        schedule: Schedule,
        fetch: Fetch,
        seed: int,
        quantum: int,
        tick: int,
        ordering: Ordering = Ordering.SC,
        cpu_model: CpuModel | None = None,
    ) -> None:
        _collect_unused()
        assert exact or cpu_model is None, "only exact mode sees every instruction"
        assert exact or schedule is Schedule.QUANTUM, "fast mode runs turns"
        self.port, self.cpus = port, cpus
        tasks = max((slot for own in slots for slot in own), default=-1) + 1
        self.memory = Memory(tasks=tasks)
        self._ordering = ordering
        self.tables = TextTables(port, fences=ordering is Ordering.TSO)
        self.ctl = np.zeros(s.CTL_WORDS, np.int64)
        self.blocks = np.zeros((cpus, s.CPU_WORDS), np.int64)
        self.frames = np.zeros((FRAME_POOL, s.FRAME_WORDS), np.int64)
        self.tasks = np.zeros((max(tasks, 1), s.TASK_WORDS), np.int64)
        self._timed = cpu_model is not None
        self.call_rows = np.zeros((ROWS, s.TIMED_CALL_WORDS), np.int64)
        self.event_rows = np.zeros((ROWS, s.EVENT_WORDS), np.int64)
        self.waits = np.zeros((_MAX_WAITS, s.WAIT_WORDS), np.int64)
        self._script = np.zeros((1, 2), np.int64)
        exact = exact or self._decodes_as_it_runs()
        self._fill_control(exact=exact, schedule=schedule, seed=seed, quantum=quantum, tick=tick)
        self._pages = np.ones((cpus, self.memory.data.size // PAGE_SIZE), np.uint8)
        self._text = [page_aligned(TEXT_SIZE) for _ in range(cpus)]
        for pages, own in zip(self._pages, slots, strict=True):
            fence_stacks(pages, own)
        maker = CpuMaker(
            port=port, ctl=self.ctl, data=self.memory.data, ordering=ordering, timed=self._timed,
            has_views=self._decodes_as_it_runs(),
        )  # fmt: skip
        self._uc = [
            maker.make(index, block, text=text, pages=pages)
            for index, (block, text, pages) in enumerate(
                zip(self.blocks, self._text, self._pages, strict=True)
            )
        ]
        self.stacks = Stacks(self.blocks) if exact and SWITCHABLE else None
        self.order = MemoryOrdering(self, ordering, seed)
        self.fetch = FetchModel(self, self._text, fetch)
        self.clocks = None if cpu_model is None else CycleClocks(self, cpu_model, self._text)
        self.frames[:-1, s.FRAME_BELOW] = np.arange(1, FRAME_POOL)
        self.frames[-1, s.FRAME_BELOW] = -1
        self.tasks[:, s.TASK_TOP] = -1
        self.on_flush: Callable[[], None] = lambda: None
        _engines.add(self)

    # --- making -------------------------------------------------------------------------------

    def _decodes_as_it_runs(self) -> bool:
        return self._ordering is not Ordering.SC and engine_cpu(self.port).hardware == s.PORT_ARM64

    def _fill_control(self, *, exact: bool, schedule: Schedule, seed: int, quantum: int, tick: int) -> None:
        ctl, memory, tables = self.ctl, self.memory, self.tables
        cpu, registers = engine_cpu(self.port), self.port.registers
        ctl[s.CTL_CPUS] = self.cpus
        for field, array in (
            (s.CTL_CPU_BLOCKS, self.blocks), (s.CTL_DATA_HOST, memory.data),
            (s.CTL_TEXT_HOST, memory.text), (s.CTL_INSN_INDEX, tables.index),
            (s.CTL_LENGTH, tables.length), (s.CTL_CLASS, tables.classes),
            (s.CTL_PROBE, tables.probe), (s.CTL_PROBE_TABLE, tables.probes),
            (s.CTL_FRAMES, self.frames), (s.CTL_TASKS, self.tasks),
            (s.CTL_CALL_ROWS, self.call_rows), (s.CTL_EVENT_ROWS, self.event_rows),
            (s.CTL_WAITS, self.waits), (s.CTL_REGIONS, tables.regions),
        ):  # fmt: skip
            ctl[field] = array.ctypes.data
        for field, name in (
            (s.CTL_EMU_START, "uc_emu_start"), (s.CTL_EMU_STOP, "uc_emu_stop"),
            (s.CTL_REG_READ, "uc_reg_read"), (s.CTL_REG_WRITE, "uc_reg_write"),
            (s.CTL_UC_CTL, "uc_ctl"),
        ):  # fmt: skip
            ctl[field] = function_address(name)
        for field, name in (
            (s.CTL_REG_PC, registers.pc), (s.CTL_REG_SP, registers.sp),
            (s.CTL_REG_RESULT, registers.result), (s.CTL_REG_ARG0, registers.args[0]),
            (s.CTL_REG_ARG1, registers.args[1]),
        ):  # fmt: skip
            ctl[field] = register_number(self.port, name)
        ctl[s.CTL_REG_FLAGS], ctl[s.CTL_REG_LINK] = cpu.flags, cpu.link
        ctl[s.CTL_REG_A], ctl[s.CTL_REG_B] = cpu.entry_a, cpu.entry_b
        ctl[s.CTL_DATA_BASE], ctl[s.CTL_DATA_SIZE] = DATA_BASE, memory.data.size
        ctl[s.CTL_TEXT_SIZE] = TEXT_SIZE
        ctl[s.CTL_FRAME_COUNT] = FRAME_POOL
        ctl[s.CTL_CALL_CAPACITY] = ctl[s.CTL_EVENT_CAPACITY] = ROWS
        ctl[s.CTL_CALL_BUDGET] = ctl[s.CTL_INSN_BUDGET] = ctl[s.CTL_CYCLE_BUDGET] = UNLIMITED
        ctl[s.CTL_RANDOM] = scrambled(seed)
        ctl[s.CTL_SCHEDULE], ctl[s.CTL_QUANTUM], ctl[s.CTL_TICK] = schedule, quantum, tick
        ctl[s.CTL_PORT], ctl[s.CTL_EXACT] = cpu.hardware, exact
        ctl[s.CTL_CURRENT] = ctl[s.CTL_ROUND] = -1
        ctl[s.CTL_INTERRUPTIBLE] = 1
        ctl[s.CTL_USER_BASE], ctl[s.CTL_USER_SIZE] = USER_TEXT.base, USER_TEXT.size
        ctl[s.CTL_WINDOWS : s.CTL_WINDOWS + 9] = np.array(windows()).ravel()

    # --- running ------------------------------------------------------------------------------

    def run(self, *, calls: int = UNLIMITED, instructions: int = UNLIMITED, cycles: int = UNLIMITED) -> Stop:
        """Run until something needs Python or a budget is used up, and return why.

        Args:
            calls: completed traced calls in all, since the machine was made.
            instructions: executed ones of all CPUs, likewise.
            cycles: local clock that every CPU has to reach.
        """
        ctl = self.ctl
        ctl[s.CTL_CALL_BUDGET], ctl[s.CTL_INSN_BUDGET], ctl[s.CTL_CYCLE_BUDGET] = calls, instructions, cycles
        while True:
            if ctl[s.CTL_CALLS_DONE] >= calls:
                late = not self.settle()
                self.on_flush()
                return Stop.FAULT if late else Stop.CALLS
            run_loop(ctl.ctypes.data)
            reason = Stop(int(ctl[s.CTL_STOP_REASON]))
            if reason is Stop.DECODE:
                assert self.clocks is not None, "nobody else asks for it"
                self.clocks.decode(self.stopped_cpu)
                continue
            if (
                reason is Stop.FLUSH
                or ctl[s.CTL_EVENT_COUNT] > ROWS // 2
                or ctl[s.CTL_CALL_COUNT] > ROWS // 2
            ):
                self.on_flush()
            if reason not in (Stop.FLUSH, Stop.STEP) and not self.settle():
                self.on_flush()
                return Stop.FAULT
            if reason is not Stop.FLUSH:
                return reason

    def settle(self) -> bool:
        """Let every pending store land; False if one landed in freed memory, which counts as a fault then."""
        late = self.order.settle()
        if late is not None:
            self.ctl[s.CTL_STOP_CPU] = late
        return late is None

    @property
    def stopped_cpu(self) -> int:
        """Number of the CPU that the last stop concerns, -1 if none."""
        return int(self.ctl[s.CTL_STOP_CPU])

    @property
    def stop_info(self) -> int:
        """What the last stop brought along; see `Stop`."""
        return int(self.ctl[s.CTL_STOP_INFO])

    def script(self, turns: list[tuple[int, int]]) -> None:
        """Run exactly (cpu, instructions) in this order from now on (``Schedule.SCRIPT``)."""
        self._script = np.array(turns, np.int64).reshape(-1, 2)
        self.ctl[s.CTL_SCRIPT], self.ctl[s.CTL_SCRIPT_SIZE] = self._script.ctypes.data, len(turns)
        self.ctl[s.CTL_SCRIPT_AT] = 0

    def set_schedule(self, schedule: Schedule) -> None:
        """Choose who runs next from now on (exact mode)."""
        assert self.ctl[s.CTL_EXACT], "fast mode runs turns"
        self.ctl[s.CTL_SCHEDULE] = schedule
        self.ctl[s.CTL_CURRENT] = -1
        self.ctl[s.CTL_INTERRUPTIBLE] = 1

    def stop_tick(self, cpu: int) -> None:
        """Let a CPU have no timer interrupts from now on."""
        self.blocks[cpu, s.CPU_NEXT_TICK] = s.NO_TICK

    def set_vectors(self, *, sync: int, timer: int, reschedule: int, trap: int, syscall: int) -> None:
        """Say where the guest's exception and interrupt entries are."""
        self.ctl[s.CTL_VECTOR_SYNC : s.CTL_VECTOR_SYSCALL + 1] = (
            sync,
            timer,
            reschedule,
            trap,
            syscall,
        )

    def start(
        self, cpu: int, *, pc: int, argument: int, percpu: int, task: int, task_struct: int, clock: int = 0
    ) -> None:
        """Point a CPU at its first instruction.

        Args:
            argument: value of argument register 0.
            percpu: guest address of its per-CPU area.
            task: index of the task it starts as; ``task_struct`` its guest address.
            clock: its local clock then, cycles.
        """
        block = self.blocks[cpu]
        block[s.CPU_PC], block[s.CPU_PERCPU] = pc, percpu
        block[s.CPU_TASK], block[s.CPU_TASK_STRUCT] = task, task_struct
        block[s.CPU_CLOCK_OFFSET] = clock
        self.write_register(cpu, self.port.registers.args[0], argument)

    def interrupt(self, cpu: int, irq: int, *, sender: int = 0) -> None:
        """Raise interrupt ``irq`` (``IRQ_*``) on a CPU; one that was halted wakes at the sender's time."""
        block, arrival = self.blocks[cpu], self.clock(sender)
        if self.clocks is not None:
            if cpu != sender:
                arrival = self.clocks.send_ipi(sender)
            if not block[s.CPU_PENDING] & irq:
                block[s.CPU_ARRIVALS + irq.bit_length() - 1] = arrival
            self.ctl[s.CTL_ROUND] = self.cpus  # a new round, which takes it into account
        block[s.CPU_PENDING] |= irq
        if block[s.CPU_HALTED]:
            block[s.CPU_HALTED] = 0
            block[s.CPU_CLOCK_OFFSET] += max(0, arrival - self.clock(cpu))

    def wait_for(self, conditions: list[tuple[int, int, bool]]) -> None:
        """Keep the patching CPU waiting until every (address, value, at least) holds; see `Condition`."""
        assert len(conditions) <= _MAX_WAITS, "one condition per CPU or task"
        for row, (address, value, at_least) in zip(self.waits, conditions, strict=False):
            row[:] = address, np.uint64(value).astype(np.int64), at_least
        self.ctl[s.CTL_WAIT_COUNT] = len(conditions)

    # --- looking ------------------------------------------------------------------------------

    def read_register(self, cpu: int, name: str) -> int:
        """Return a register by the port's name for it; the PC as the loop knows it."""
        if name == self.port.registers.pc:
            return int(self.blocks[cpu, s.CPU_PC])
        return int(self._uc[cpu].reg_read(register_number(self.port, name)))

    def interrupts_enabled(self, cpu: int) -> bool:
        """Return whether a CPU takes interrupts now."""
        return bool(interrupts_enabled(self.ctl, self.blocks[cpu]))

    def write_register(self, cpu: int, name: str, value: int) -> None:
        """Set a register by the port's name for it."""
        self._uc[cpu].reg_write(register_number(self.port, name), value)
        self.blocks[cpu, s.CPU_REENTER] = 1

    def clock(self, cpu: int) -> int:
        """Return a CPU's local clock, cycles."""
        return int(self.blocks[cpu, s.CPU_INSNS] + self.blocks[cpu, s.CPU_CLOCK_OFFSET])

    def instructions(self) -> int:
        """Return how many instructions all CPUs have executed."""
        return int(self.ctl[s.CTL_INSNS_DONE])

    def calls_done(self) -> int:
        """Return how many traced calls have completed."""
        return int(self.ctl[s.CTL_CALLS_DONE])

    def take_rows(self) -> tuple[NDArray[np.void], NDArray[np.void]]:
        """Return the calls and events recorded since the last time, and forget them."""
        words = s.TIMED_CALL_WORDS if self._timed else s.CALL_WORDS
        calls = calls_from_words(_unsigned(self.call_rows[: self.ctl[s.CTL_CALL_COUNT], :words]))
        events = events_from_words(_unsigned(self.event_rows[: self.ctl[s.CTL_EVENT_COUNT]]))
        self.ctl[s.CTL_CALL_COUNT] = self.ctl[s.CTL_EVENT_COUNT] = 0
        return calls, events

    def save_cpu(self, cpu: int) -> UcContext:
        """Return a CPU's registers, for `restore_cpu`."""
        return self._uc[cpu].context_save()

    def restore_cpu(self, cpu: int, saved: UcContext) -> None:
        """Give a CPU the registers that it had."""
        self._uc[cpu].context_restore(saved)
        self.blocks[cpu, s.CPU_REENTER] = 1

    def restore_blocks(self, saved: NDArray[np.int64]) -> None:
        """Give all CPUs the blocks that they had; a turn under way goes on where the block says.

        Args:
            saved: copy of ``blocks``.
        """
        stacks = self.blocks[:, s.CPU_STACK].copy()
        self.blocks[:] = saved
        self.blocks[:, s.CPU_STACK], self.blocks[:, s.CPU_REENTER] = stacks, 1

    def open_calls(self) -> NDArray[np.void]:
        """Return the calls that have not returned, marked UNFINISHED, in order of entry."""
        rows, words = [], s.TIMED_CALL_WORDS if self._timed else s.CALL_WORDS
        for cpu in self.blocks:
            self.tasks[cpu[s.CPU_TASK], s.TASK_TOP] = cpu[s.CPU_TOP]
        for top in self.tasks[:, s.TASK_TOP]:
            while top >= 0:
                frame = self.frames[top]
                if frame[s.FRAME_KIND] == s.FRAME_CALL:
                    row = np.zeros(words, np.int64)
                    fill_call_row(row, frame)
                    row[10] |= CallFlag.UNFINISHED
                    rows.append(row)
                top = frame[s.FRAME_BELOW]
        rows.sort(key=lambda row: int(row[0]))
        return calls_from_words(_unsigned(np.array(rows, np.int64).reshape(-1, words)))

    def forget_task(self, index: int) -> None:
        """Let go of the open calls of a task that is over: its number will be another's."""
        top = self.tasks[index, s.TASK_TOP]
        while top >= 0:
            frame = self.frames[top]
            below = frame[s.FRAME_BELOW]
            frame[s.FRAME_BELOW], self.ctl[s.CTL_FREE_FRAME] = self.ctl[s.CTL_FREE_FRAME], top
            top = below
        self.tasks[index] = 0
        self.tasks[index, s.TASK_TOP] = -1

    def protect(self, address: int, *, accessible: bool) -> None:
        """Fence data pages off from every CPU, or give them back.

        Args:
            address: start of one page.
        """
        self._pages[:, (address - DATA_BASE) // PAGE_SIZE] = accessible
        for uc in self._uc:
            uc.ctl(unicorn_const.UC_CTL_TLB_FLUSH, unicorn_const.UC_CTL_IO_WRITE)


def _unsigned(rows: NDArray[np.int64]) -> NDArray[np.uint64]:
    return rows.view(np.uint64)
