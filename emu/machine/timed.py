"""What the cycle model is told while CPUs run, and which part of a call each cycle goes into.

A CPU's clock is its cycle model's: each of these functions leaves it so that
``access.clock`` gives the cycle in which the newest instruction retired, or, behind an
event, the cycle in which the CPU can go on.
"""

from __future__ import annotations

from numba import types

from emu.compiled import inline_jit, jit, late_callback, merged_jit
from emu.machine.access import clock, read_register, text_offset
from emu.machine.hooks import BLOCK_HOOK, complete_instruction, pause
from emu.machine.native import Words, halves, octets, to_address, words
from emu.machine.ordering_hooks import ACCESS_HOOK
from emu.machine.schedule import look_up_row
from emu.machine.state import (
    CPU_CLOCK_OFFSET,
    CPU_CTL,
    CPU_FRESH,
    CPU_HORIZON,
    CPU_INSNS,
    CPU_LOADED,
    CPU_OFFSET,
    CPU_PC,
    CPU_PENDING,
    CPU_ROW,
    CPU_ROW_FLAGS,
    CPU_STALE,
    CPU_STOP,
    CPU_STORED,
    CPU_SYNCED,
    CPU_TEXT_HOST,
    CPU_TIME,
    CPU_TOP,
    CPU_TURN_END,
    CPU_UNCOVERED,
    CPU_WORDS,
    CTL_FRAMES,
    CTL_INSN_BUDGET,
    CTL_INSNS_DONE,
    CTL_PORT,
    CTL_REG_ARG0,
    CTL_REG_RESULT,
    CTL_REGIONS,
    CTL_SCHEDULE,
    CTL_TEXT_SIZE,
    CTL_TIME_ROWS,
    CTL_TIME_SHARED,
    CTL_WORDS,
    FRAME_CALL,
    FRAME_END,
    FRAME_FLAGS,
    FRAME_IN_BODY,
    FRAME_KIND,
    FRAME_PARTS,
    FRAME_STATE,
    FRAME_TARGET,
    FRAME_WORDS,
    PART_BODY,
    PART_HANDLER,
    PART_MISPREDICT,
    PART_SITE,
    PORT_X86_64,
    TIME_BREAKPOINT,
    TIME_FAULT,
    TIME_INSTRUCTION,
    TIME_INTERRUPT,
    TIME_IPI,
    TIME_SWITCH,
    TIME_SYSCALL,
    TIME_WAIT,
    Schedule,
    Stop,
)  # fmt: skip
from emu.timing import Detail, Event, Wait, enter_exception, send_ipi, step, switch_context, wait_until
from emu.timing.layout import F_DETAIL, R_DETAIL, ROW_WORDS, T_CLOCK, V_DISPATCH, V_DISPATCH_WAIT
from emu.trace.schema import NOT_DISPATCHED, CallFlag

_NOT_DISPATCHED = NOT_DISPATCHED
_HOOKED = int(CallFlag.HOOKED)
_QUANTUM, _LEAST = int(Schedule.QUANTUM), int(Schedule.LEAST_CLOCK)
_STOP_DECODE = int(Stop.DECODE)
_WAIT_MISPREDICT = int(Wait.MISPREDICT)
_QUOTIENT_BITS = int(Detail.QUOTIENT_BITS)
_BREAKPOINT, _INTERRUPT = int(Event.BREAKPOINT), int(Event.INTERRUPT)
_SYSCALL, _FAULT = int(Event.SYSCALL), int(Event.FAULT)
_NONE = -1
_UC_MEM_WRITE = 17
TIME_FUNCTION = types.void(types.int64, types.voidptr, types.int64, types.int64)


@inline_jit
def model_of(cpu: Words) -> Words:
    """View a CPU's cycle model."""
    return words(cpu[CPU_TIME], 1)


@inline_jit
def set_clock(cpu: Words, cycle: int, ahead: int) -> None:
    """Set a CPU's clock, for when ``ahead`` further instructions have been counted."""
    cpu[CPU_CLOCK_OFFSET] = cycle - cpu[CPU_INSNS] - ahead


@jit
def attribute(ctl: Words, cpu: Words, pc: int, cycles: int, mispredicted: int) -> None:
    """Count cycles that ended with the instruction at ``pc`` to a part of the call under way.

    What belongs to no part of it stays over: callees, interrupts, other exceptions.

    Args:
        mispredicted: those of them in which nothing could be dispatched because of a wrong prediction.
    """
    frame = words(ctl[CTL_FRAMES] + 8 * FRAME_WORDS * cpu[CPU_TOP], FRAME_WORDS)
    offset = text_offset(ctl, pc)
    if frame[FRAME_KIND] != FRAME_CALL or offset < 0:
        return
    region = octets(ctl[CTL_REGIONS], ctl[CTL_TEXT_SIZE])[offset]
    dispatching = frame[FRAME_FLAGS] & _HOOKED and frame[FRAME_STATE] == _NOT_DISPATCHED
    if region:
        part = region - 1
    elif frame[FRAME_TARGET] <= pc < frame[FRAME_END]:
        part = PART_BODY
        frame[FRAME_IN_BODY] = 1
    elif dispatching:
        part = PART_HANDLER  # what it calls counts as its own
    elif frame[FRAME_IN_BODY] == 0:
        part = PART_SITE  # a breakpoint at the site, a veneer
    else:
        return
    if mispredicted > 0:
        frame[FRAME_PARTS + PART_MISPREDICT] += mispredicted
    frame[FRAME_PARTS + part] += cycles - mispredicted


@jit
def quotient_bits(ctl: Words, cpu: Words, pc: int) -> int:
    """Return the significant bits of the result of the division at ``pc``, which has just completed.

    x86-64: of RAX, which a 32-bit division extends with zeros; arm64: of its destination register.
    """
    register, narrow = ctl[CTL_REG_RESULT], False
    if ctl[CTL_PORT] != PORT_X86_64:
        word = halves(cpu[CPU_TEXT_HOST] + text_offset(ctl, pc), 1)[0]
        if word & 31 > 28:
            return _NONE
        register = ctl[CTL_REG_ARG0] + (word & 31)  # X0 and on
        narrow = word >= 0  # sf, the top bit, is 0: W registers
    value = read_register(ctl, cpu, register)
    if narrow:
        value = value << 32 >> 32
    value = abs(value)
    bits = 0
    while value > 0:
        value >>= 1
        bits += 1
    return bits


@merged_jit
def time_instruction(ctl: Words, cpu: Words, pc: int, reached: int) -> None:
    """Take an instruction that has completed through the pipeline; it is counted next."""
    row = cpu[CPU_ROW] - 1
    if row < 0:
        cpu[CPU_UNCOVERED] = pc
        cpu[CPU_STOP] = _STOP_DECODE
        set_clock(cpu, clock(cpu), 1)
        return
    model, rows = model_of(cpu), halves(ctl[CTL_TIME_ROWS], 1)
    before = model[T_CLOCK]
    detail = _NONE
    if cpu[CPU_ROW_FLAGS] & F_DETAIL and rows[row * ROW_WORDS + R_DETAIL] == _QUOTIENT_BITS:
        detail = quotient_bits(ctl, cpu, pc)
    cycle = step(
        model,
        words(ctl[CTL_TIME_SHARED], 1),
        rows,
        row,
        pc,
        reached,
        cpu[CPU_LOADED],
        cpu[CPU_STORED],
        detail,
    )
    cpu[CPU_LOADED] = _NONE
    cpu[CPU_STORED] = _NONE
    set_clock(cpu, cycle, 1)
    if cycle > before and cpu[CPU_TOP] >= 0:
        mispredicted = 0
        if model[V_DISPATCH_WAIT] == _WAIT_MISPREDICT:
            mispredicted = min(max(model[V_DISPATCH] - before, 0), cycle - before)
        attribute(ctl, cpu, pc, cycle - before, mispredicted)


@late_callback(TIME_FUNCTION)
def on_time(kind, block, a, b):  # type: ignore[no-untyped-def]
    """Tell a CPU's cycle model what has happened: ``TIME_*``."""
    cpu = words(to_address(block), CPU_WORDS)
    ctl = words(cpu[CPU_CTL], CTL_WORDS)
    if kind == TIME_INSTRUCTION:
        time_instruction(ctl, cpu, a, b)
        return
    model, shared = model_of(cpu), words(ctl[CTL_TIME_SHARED], 1)
    before = model[T_CLOCK]
    if kind == TIME_WAIT:
        wait_until(model, clock(cpu))
    elif kind == TIME_INTERRUPT:
        enter_exception(model, shared, _INTERRUPT)
    elif kind == TIME_SYSCALL:
        enter_exception(model, shared, _SYSCALL)
    elif kind == TIME_BREAKPOINT:
        enter_exception(model, shared, _BREAKPOINT)
    elif kind == TIME_FAULT:
        enter_exception(model, shared, _FAULT)
    elif kind == TIME_SWITCH:
        switch_context(model)
    elif kind == TIME_IPI:
        send_ipi(model)
    cpu[CPU_LOADED] = _NONE
    cpu[CPU_STORED] = _NONE
    set_clock(cpu, model[T_CLOCK], 0)
    if cpu[CPU_TOP] >= 0 and kind in (TIME_BREAKPOINT, TIME_FAULT):
        attribute(ctl, cpu, a, model[T_CLOCK] - before, 0)


@late_callback(BLOCK_HOOK)
def on_timed_instruction(uc, address, size, user):  # type: ignore[no-untyped-def]
    """Exact mode with a cycle model: `hooks.on_instruction`, and the one before goes through the pipeline."""
    cpu = words(to_address(user), CPU_WORDS)
    if cpu[CPU_FRESH]:
        cpu[CPU_FRESH] = 0
        octets(cpu[CPU_SYNCED], 1)[0] = 1
        return
    ctl = words(cpu[CPU_CTL], CTL_WORDS)
    stale = cpu[CPU_STALE]
    time_instruction(ctl, cpu, cpu[CPU_PC], address)
    landed = complete_instruction(ctl, cpu, cpu[CPU_OFFSET], address)
    over = cpu[CPU_STOP] != 0 or cpu[CPU_STALE] != stale or not look_up_row(ctl, cpu)
    over |= landed and cpu[CPU_PENDING] != 0
    schedule = ctl[CTL_SCHEDULE]
    if schedule == _LEAST:
        over |= clock(cpu) > cpu[CPU_HORIZON] or ctl[CTL_INSNS_DONE] >= ctl[CTL_INSN_BUDGET]
    elif schedule == _QUANTUM:
        over |= landed and cpu[CPU_INSNS] >= cpu[CPU_TURN_END]
    else:
        over = True
    if over:
        pause(ctl, cpu, address, landed)


@late_callback(ACCESS_HOOK)
def on_access(uc, kind, address, size, value, user):  # type: ignore[no-untyped-def]
    """A load or store: the first of its instruction is what the cycle model is told."""
    cpu = words(to_address(user), CPU_WORDS)
    if kind == _UC_MEM_WRITE:
        if cpu[CPU_STORED] == _NONE:
            cpu[CPU_STORED] = address
    elif cpu[CPU_LOADED] == _NONE:
        cpu[CPU_LOADED] = address
