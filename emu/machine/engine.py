"""The machine itself: Unicorn instances over one memory, their control block, and the native loop."""

from __future__ import annotations

import ctypes
import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from unicorn import arm64_const, unicorn_const, x86_const
from unicorn.unicorn_py3.unicorn import Uc, UcContext, UcError, uclib

from emu.arch.port import Port
from emu.build.memory_map import (
    DATA_BASE,
    KERNEL_STACK,
    SLOT_SIZE,
    STACKS_BASE,
    TEXT_WINDOWS,
    USER_STACK,
    USER_TEXT,
)  # fmt: skip
from emu.machine import state as s
from emu.machine.clocks import CycleClocks
from emu.machine.fetch import FetchModel
from emu.machine.frames import fill_call_row
from emu.machine.hooks import on_block, on_fault, on_instruction, on_interrupt, on_page, on_syscall
from emu.machine.loop import run_loop
from emu.machine.memory import TEXT_SIZE, Memory, page_aligned
from emu.machine.native import function_address
from emu.machine.ordering import SHARED, MemoryOrdering, scrambled
from emu.machine.ordering_hooks import ordering_hooks
from emu.machine.registers import engine_cpu, new_cpu, register_number
from emu.machine.state import Fetch, Ordering, Schedule, Stop
from emu.machine.text import TextTables, windows
from emu.machine.timed import on_access, on_timed_instruction
from emu.machine.traps import interrupts_enabled
from emu.timing import CpuModel
from emu.trace.schema import CallFlag, calls_from_words, events_from_words
from emu.units import PAGE_SIZE

FRAME_POOL = 1 << 16
"""Shadow frames: traced calls that can be open at a time over all tasks."""
ROWS = 1 << 15
"""Rows of calls and of events that are buffered before they are handed on."""
TCG_BUFFER = 16 << 20
"""Bytes of virtual space for translated code, per CPU (Unicorn's default is 1 GiB)."""
UNLIMITED = 1 << 61
_MAX_WAITS = 1 << 13
_X86_INS_SYSCALL = x86_const.UC_X86_INS_SYSCALL

_ACCESS_FAULTS = (
    unicorn_const.UC_HOOK_MEM_READ_UNMAPPED
    | unicorn_const.UC_HOOK_MEM_WRITE_UNMAPPED
    | unicorn_const.UC_HOOK_MEM_FETCH_UNMAPPED
    | unicorn_const.UC_HOOK_MEM_READ_PROT
    | unicorn_const.UC_HOOK_MEM_WRITE_PROT
    | unicorn_const.UC_HOOK_MEM_FETCH_PROT
)

_EVERYWHERE = 1, 0
"""Begin and end of a hook without bounds, as Unicorn has it."""

_GDT = (0, 0x00AF9B000000FFFF, 0x00CF93000000FFFF)
"""Null, 64-bit code, data. Source: Intel SDM vol. 3A, 3.4.5."""


_SCR_EL3_RW = (1, 1, 3, 6, 0, 0x400)
"""Lower exception levels are AArch64: without it each ERET counts as an illegal return and sets PSTATE.IL.

(CRn, CRm, op0, op1, op2, value). Source: Arm ARM DDI 0487, D19.2, SCR_EL3.RW.
"""


_engines: weakref.WeakSet[Engine] = weakref.WeakSet()
_MANY = 4


def _collect_unused() -> None:
    """Free unused engines: cycles keep them until a collection, which counts objects, not 40 MiB each."""
    if len(_engines) >= _MANY:
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
        self._uc = [self._make_cpu(index, slots[index]) for index in range(cpus)]
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

    def _make_cpu(self, index: int, slots: list[int]) -> Uc:
        uc = new_cpu(self.port)
        uc.ctl_set_tcg_buffer_size(TCG_BUFFER)
        uc.ctl_set_tlb_mode(unicorn_const.UC_TLB_VIRTUAL)
        uc.ctl_exits_enabled(True)  # and there are none: nothing ends a run at an address
        offset = 0
        for window in TEXT_WINDOWS:
            address = self._text[index].ctypes.data + offset
            uc.mem_map_ptr(window.base, window.size, _READ | unicorn_const.UC_PROT_EXEC, address)
            offset += window.size
        data = self.memory.data
        uc.mem_map_ptr(DATA_BASE, data.size, _READ | unicorn_const.UC_PROT_WRITE, data.ctypes.data)
        self._fence_stacks(index, slots)
        block = self.blocks[index]
        block[s.CPU_CTL], block[s.CPU_INDEX] = self.ctl.ctypes.data, index
        block[s.CPU_UC] = ctypes.cast(uc._uch, ctypes.c_void_p).value or 0
        block[s.CPU_TOP] = block[s.CPU_EXPECTED] = -1
        block[s.CPU_PAGES] = self._pages[index].ctypes.data
        block[s.CPU_TEXT_HOST] = self._text[index].ctypes.data
        block[s.CPU_NEXT_TICK] = self.ctl[s.CTL_TICK]
        self._add_hooks(uc, block)
        if self.ctl[s.CTL_PORT] == s.PORT_X86_64:
            self._load_gdt(uc)
        else:
            uc.reg_write(arm64_const.UC_ARM64_REG_CP_REG, _SCR_EL3_RW)
        return uc

    def _fence_stacks(self, cpu: int, own: list[int]) -> None:
        """Leave guard pages around the stacks of the CPU's own tasks."""
        for slot in own:
            first = (STACKS_BASE + slot * SLOT_SIZE - DATA_BASE) // PAGE_SIZE
            pages = self._pages[cpu, first : first + SLOT_SIZE // PAGE_SIZE]
            pages[:] = 0
            for low, high in (KERNEL_STACK, USER_STACK):
                pages[low // PAGE_SIZE : high // PAGE_SIZE] = 1

    def _add_hooks(self, uc: Uc, block: NDArray[np.int64]) -> None:
        user = ctypes.c_void_p(block.ctypes.data)
        data_end = DATA_BASE + self.memory.data.size
        hooks: list[tuple[int, Any, tuple[int, int], tuple[ctypes.c_int, ...]]] = [
            (unicorn_const.UC_HOOK_INTR, on_interrupt, _EVERYWHERE, ()),
            (unicorn_const.UC_HOOK_TLB_FILL, on_page, _EVERYWHERE, ()),
            # not over data: where memory hooks apply, every store goes through a slow path
            (_ACCESS_FAULTS, on_fault, (0, DATA_BASE - 1), ()),
            (_ACCESS_FAULTS, on_fault, (data_end, (1 << 64) - 1), ()),
        ]
        if self._timed:
            accesses = unicorn_const.UC_HOOK_MEM_READ | unicorn_const.UC_HOOK_MEM_WRITE
            hooks += [
                (unicorn_const.UC_HOOK_CODE, on_timed_instruction, _EVERYWHERE, ()),
                (accesses, on_access, _EVERYWHERE, ()),
            ]
        elif self.ctl[s.CTL_EXACT]:
            hooks.append((unicorn_const.UC_HOOK_CODE, on_instruction, _EVERYWHERE, ()))
        else:
            hooks.append((unicorn_const.UC_HOOK_BLOCK, on_block, _EVERYWHERE, ()))
        if self._ordering is not Ordering.SC:
            access = ordering_hooks(has_views=self._decodes_as_it_runs())
            hooks.append((unicorn_const.UC_HOOK_MEM_WRITE, access.store, SHARED, ()))
        if self._decodes_as_it_runs():
            hooks += [
                (unicorn_const.UC_HOOK_MEM_READ, access.load, SHARED, ()),
                *(
                    (unicorn_const.UC_HOOK_MEM_READ, access.literal, (text.base, text.end - 1), ())
                    for text in TEXT_WINDOWS
                ),
            ]
        if self.ctl[s.CTL_PORT] == s.PORT_X86_64:
            hooks.append(
                (unicorn_const.UC_HOOK_INSN, on_syscall, _EVERYWHERE, (ctypes.c_int(_X86_INS_SYSCALL),))
            )
        for kind, function, (begin, end), extra in hooks:
            handle = ctypes.c_size_t()
            error = uclib.uc_hook_add(
                uc._uch, ctypes.byref(handle), kind, ctypes.c_void_p(function.address), user,
                ctypes.c_uint64(begin), ctypes.c_uint64(end), *extra,
            )  # fmt: skip
            if error:
                raise UcError(error)

    def _load_gdt(self, uc: Uc) -> None:

        table = DATA_BASE  # the first bytes of kernel data are the engine's
        self.memory.data[: 8 * len(_GDT)].view(np.uint64)[:] = _GDT
        uc.reg_write(x86_const.UC_X86_REG_GDTR, (0, table, 8 * len(_GDT) - 1, 0))
        uc.reg_write(x86_const.UC_X86_REG_CS, 0x8)
        for register in (x86_const.UC_X86_REG_SS, x86_const.UC_X86_REG_DS, x86_const.UC_X86_REG_ES):
            uc.reg_write(register, 0x10)

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


_READ = unicorn_const.UC_PROT_READ


def _unsigned(rows: NDArray[np.int64]) -> NDArray[np.uint64]:
    return rows.view(np.uint64)
