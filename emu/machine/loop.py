"""The interleaving loop: one native function that decides who runs, runs it, and sees what happened."""

from __future__ import annotations

import numpy as np
from numba import types
from numpy.typing import NDArray

from emu.machine.compiled import callback, inline_jit, jit, jit_once
from emu.machine.landing import (
    clock,
    land,
    leak_fetch,
    load_word,
    push_interrupt,
    random_word,
    read_register,
    record_event,
    store_word,
    synchronise_fetch,
    text_offset,
    write_register,
)  # fmt: skip
from emu.machine.native import call1, call3, call5, halves, octets, to_address, words
from emu.machine.state import (
    CLASS_HALT,
    CLASS_SERIAL,
    CLASS_SERIAL_BEFORE,
    CLASS_SHADOW,
    CPU_BLOCK_END,
    CPU_BLOCK_START,
    CPU_CLOCK_OFFSET,
    CPU_CTL,
    CPU_EXCEPTION,
    CPU_FAULT_ADDRESS,
    CPU_HALTED,
    CPU_INDEX,
    CPU_INSNS,
    CPU_NEXT_TICK,
    CPU_PAUSED,
    CPU_PC,
    CPU_PENDING,
    CPU_PERCPU,
    CPU_SCRATCH,
    CPU_SHADOW,
    CPU_STALE,
    CPU_STOP,
    CPU_TURN_END,
    CPU_UC,
    CPU_WORDS,
    CTL_BREAK_AT,
    CTL_BREAK_CPU,
    CTL_CLASS,
    CTL_CPU_BLOCKS,
    CTL_CPUS,
    CTL_CURRENT,
    CTL_CYCLE_BUDGET,
    CTL_EMU_START,
    CTL_EMU_STOP,
    CTL_EXACT,
    CTL_INSN_BUDGET,
    CTL_INSN_INDEX,
    CTL_INSNS_DONE,
    CTL_INTERRUPTIBLE,
    CTL_LENGTH,
    CTL_PORT,
    CTL_PROBE,
    CTL_PROBE_TABLE,
    CTL_QUANTUM,
    CTL_REG_A,
    CTL_REG_B,
    CTL_REG_FLAGS,
    CTL_REG_PC,
    CTL_REG_SP,
    CTL_REG_WRITE,
    CTL_ROUND,
    CTL_ROUND_CLOCK,
    CTL_SCHEDULE,
    CTL_SCRIPT,
    CTL_SCRIPT_AT,
    CTL_SCRIPT_SIZE,
    CTL_STOP_CPU,
    CTL_STOP_INFO,
    CTL_STOP_REASON,
    CTL_TEXT_SIZE,
    CTL_TICK,
    CTL_USER_BASE,
    CTL_USER_SIZE,
    CTL_VECTOR_BREAKPOINT,
    CTL_VECTOR_RESCHEDULE,
    CTL_VECTOR_SYNC,
    CTL_VECTOR_SYSCALL,
    CTL_VECTOR_TIMER,
    CTL_WORDS,
    EXCEPTION_SYSCALL,
    IRQ_RESCHEDULE,
    IRQ_SYNC,
    IRQ_TIMER,
    PORT_X86_64,
    PROBE_A,
    PROBE_KIND,
    PROBE_WORDS,
    ProbeKind,
    Schedule,
    Stop,
)  # fmt: skip
from emu.structs import PERCPU
from emu.trace.schema import EventKind

Words = NDArray[np.int64]

_TOP_OF_STACK = PERCPU.offset("top_of_stack")
_WARN, _BUG = int(ProbeKind.WARN), int(ProbeKind.BUG)
_EVENT_WARN, _EVENT_BUG = int(EventKind.WARN), int(EventKind.BUG)
_EVENT_BREAKPOINT, _EVENT_FAULT = int(EventKind.BREAKPOINT), int(EventKind.FAULT)
_STOP_INSTRUCTIONS, _STOP_CYCLES = int(Stop.INSTRUCTIONS), int(Stop.CYCLES)
_STOP_FAULT, _STOP_BUG, _STOP_IDLE = int(Stop.FAULT), int(Stop.BUG), int(Stop.IDLE)
_STOP_SCRIPT, _STOP_EXCEPTION = int(Stop.SCRIPT), int(Stop.EXCEPTION)
_QUANTUM, _RANDOM = int(Schedule.QUANTUM), int(Schedule.RANDOM)
_ROUND_ROBIN, _LEAST = int(Schedule.ROUND_ROBIN), int(Schedule.LEAST_CLOCK)
_SCRIPT = int(Schedule.SCRIPT)

_RFLAGS_IF = 0x200  # Source: Intel SDM vol. 1, 3.4.3
_PSTATE_I = 0x80  # Source: Arm ARM DDI 0487, C5.2, DAIF
_CS, _SS = 0x8, 0x10
_UC_INVALID_INSN = 10
_UC_READ_UNMAPPED, _UC_WRITE_UNMAPPED, _UC_READ_PROT, _UC_WRITE_PROT = 6, 7, 13, 12
_FAULT_FETCH = 2
_INT3, _ARM_SVC, _ARM_BRK = 3, 2, 7
_FOREVER = 1 << 62
_END = 0x7FFF_FFFF_FFFF_FFF0
"""Where Unicorn stops in silence: an address without code. 0 would hide a call through a null pointer."""
_FETCH_UNMAPPED = 8

BLOCK_HOOK = types.void(types.voidptr, types.int64, types.uint32, types.voidptr)
INTERRUPT_HOOK = types.void(types.voidptr, types.uint32, types.voidptr)
FAULT_HOOK = types.boolean(types.voidptr, types.int32, types.int64, types.int32, types.int64, types.voidptr)
SYSCALL_HOOK = types.void(types.voidptr, types.voidptr)


@inline_jit
def count_block(ctl: Words, cpu: Words, end: int) -> None:
    """Add the instructions from the block's start up to ``end`` to the CPU's count."""
    first, last = text_offset(ctl, cpu[CPU_BLOCK_START]), text_offset(ctl, end)
    if first >= 0 and last >= first:
        index = halves(ctl[CTL_INSN_INDEX], ctl[CTL_TEXT_SIZE] + 1)
        count = index[last] - index[first]
        cpu[CPU_INSNS] += count
        ctl[CTL_INSNS_DONE] += count


@callback(BLOCK_HOOK)
def on_block(uc, address, size, user):  # type: ignore[no-untyped-def]
    """Fast mode: a translation block is about to run, so the one before has run to its end."""
    cpu = words(to_address(user), CPU_WORDS)
    ctl = words(cpu[CPU_CTL], CTL_WORDS)
    start, end = cpu[CPU_BLOCK_START], cpu[CPU_BLOCK_END]
    count_block(ctl, cpu, end)
    cpu[CPU_BLOCK_START] = address
    cpu[CPU_BLOCK_END] = address + size
    if cpu[CPU_STALE] > 0 and start != end:  # else no block ran before: the CPU was set to ``end``
        offset = text_offset(ctl, end)
        if offset >= 0 and octets(ctl[CTL_CLASS], ctl[CTL_TEXT_SIZE] + 1)[offset] & CLASS_SERIAL_BEFORE:
            synchronise_fetch(ctl, cpu)
    if address != end:
        land(ctl, cpu, address)
        if cpu[CPU_INSNS] >= cpu[CPU_TURN_END] or cpu[CPU_PENDING] != 0 or cpu[CPU_STOP] != 0:
            cpu[CPU_BLOCK_END] = address
            cpu[CPU_PAUSED] = 1
            call1(ctl[CTL_EMU_STOP], cpu[CPU_UC])


@callback(INTERRUPT_HOOK)
def on_interrupt(uc, number, user):  # type: ignore[no-untyped-def]
    """An exception: note it and stop; the loop does what the hardware would."""
    cpu = words(to_address(user), CPU_WORDS)
    ctl = words(cpu[CPU_CTL], CTL_WORDS)
    cpu[CPU_EXCEPTION] = number + 1
    call1(ctl[CTL_EMU_STOP], cpu[CPU_UC])


@callback(SYSCALL_HOOK)
def on_syscall(uc, user):  # type: ignore[no-untyped-def]
    """The x86-64 SYSCALL instruction."""
    cpu = words(to_address(user), CPU_WORDS)
    ctl = words(cpu[CPU_CTL], CTL_WORDS)
    cpu[CPU_EXCEPTION] = EXCEPTION_SYSCALL
    call1(ctl[CTL_EMU_STOP], cpu[CPU_UC])


@callback(FAULT_HOOK)
def on_fault(uc, kind, address, size, value, user):  # type: ignore[no-untyped-def]
    """An access to memory that is not there or not allowed: keep its address, refuse it."""
    words(to_address(user), CPU_WORDS)[CPU_FAULT_ADDRESS] = address
    return False


@jit
def set_pc(ctl: Words, cpu: Words, pc: int) -> None:
    """Move a CPU to ``pc``, which counts as arrived at."""
    cpu[CPU_PC] = pc
    cpu[CPU_BLOCK_START] = pc
    cpu[CPU_BLOCK_END] = pc


@jit
def in_user_text(ctl: Words, pc: int) -> bool:
    """Tell whether ``pc`` is in user text."""
    return 0 <= pc - ctl[CTL_USER_BASE] < ctl[CTL_USER_SIZE]


@jit
def interrupts_enabled(ctl: Words, cpu: Words) -> bool:
    """Tell whether the CPU takes interrupts now."""
    flags = read_register(ctl, cpu, ctl[CTL_REG_FLAGS])
    if ctl[CTL_PORT] == PORT_X86_64:
        return flags & _RFLAGS_IF != 0
    return flags & _PSTATE_I == 0


@jit
def write_spsr(ctl: Words, cpu: Words, value: int) -> None:
    """Set SPSR_EL1 (op0 3, op1 0, CRn 4, CRm 0, op2 0) through Unicorn's uc_arm64_cp_reg."""
    cpu[CPU_SCRATCH] = 4  # crn, crm
    cpu[CPU_SCRATCH + 1] = 3  # op0, op1
    cpu[CPU_SCRATCH + 2] = 0  # op2
    cpu[CPU_SCRATCH + 3] = value
    call3(ctl[CTL_REG_WRITE], cpu[CPU_UC], ctl[CTL_REG_B], cpu.ctypes.data + 8 * CPU_SCRATCH)


@jit
def enter_exception(ctl: Words, cpu: Words, vector: int) -> bool:
    """Do what the hardware does on an interrupt or exception; False if there is no stack to do it on."""
    pc = cpu[CPU_PC]
    flags = read_register(ctl, cpu, ctl[CTL_REG_FLAGS])
    if ctl[CTL_PORT] == PORT_X86_64:
        sp = read_register(ctl, cpu, ctl[CTL_REG_SP])
        frame = sp
        if in_user_text(ctl, pc):
            frame = load_word(ctl, cpu[CPU_PERCPU] + _TOP_OF_STACK)
        frame = (frame & -16) - 40
        ok = store_word(ctl, frame, pc)
        ok &= store_word(ctl, frame + 8, _CS)
        ok &= store_word(ctl, frame + 16, flags)
        ok &= store_word(ctl, frame + 24, sp)
        ok &= store_word(ctl, frame + 32, _SS)
        if not ok:
            return False
        write_register(ctl, cpu, ctl[CTL_REG_SP], frame)
        write_register(ctl, cpu, ctl[CTL_REG_FLAGS], flags & ~_RFLAGS_IF)
    else:
        write_register(ctl, cpu, ctl[CTL_REG_A], pc)
        write_spsr(ctl, cpu, flags)
        write_register(ctl, cpu, ctl[CTL_REG_FLAGS], flags | _PSTATE_I)
        synchronise_fetch(ctl, cpu)  # exception entry is a context synchronisation event
    set_pc(ctl, cpu, vector)
    return True


@jit
def deliver_interrupt(ctl: Words, cpu: Words) -> bool:
    """Enter the handler of the most urgent pending interrupt; False if that was impossible."""
    pending = cpu[CPU_PENDING]
    if pending & IRQ_SYNC:
        bit, vector = IRQ_SYNC, ctl[CTL_VECTOR_SYNC]
    elif pending & IRQ_TIMER:
        bit, vector = IRQ_TIMER, ctl[CTL_VECTOR_TIMER]
    else:
        bit, vector = IRQ_RESCHEDULE, ctl[CTL_VECTOR_RESCHEDULE]
    cpu[CPU_PENDING] = pending & ~bit
    pc = cpu[CPU_PC]
    if not in_user_text(ctl, pc):
        push_interrupt(ctl, cpu, pc)
    return enter_exception(ctl, cpu, vector)


@inline_jit
def fault_kind(error: int) -> int:
    """Return the events table's kind of a Unicorn error: 0 load, 1 store, 2 fetch or undefined."""
    if error in (_UC_READ_UNMAPPED, _UC_READ_PROT):
        return 0
    if error in (_UC_WRITE_UNMAPPED, _UC_WRITE_PROT):
        return 1
    return _FAULT_FETCH


@jit
def handle_trap(ctl: Words, cpu: Words, error: int) -> None:
    """React to whatever ended an instruction abnormally; sets CPU_STOP when the guest can't go on."""
    exception = cpu[CPU_EXCEPTION]
    cpu[CPU_EXCEPTION] = 0
    pc = cpu[CPU_PC]
    cpu[CPU_BLOCK_START] = pc
    cpu[CPU_BLOCK_END] = pc
    x86 = ctl[CTL_PORT] == PORT_X86_64
    if x86 and exception == EXCEPTION_SYSCALL and in_user_text(ctl, pc):
        flags = read_register(ctl, cpu, ctl[CTL_REG_FLAGS])
        write_register(ctl, cpu, ctl[CTL_REG_A], pc)
        write_register(ctl, cpu, ctl[CTL_REG_B], flags)
        write_register(ctl, cpu, ctl[CTL_REG_FLAGS], flags & ~_RFLAGS_IF)
        set_pc(ctl, cpu, ctl[CTL_VECTOR_SYSCALL])
        return
    if not x86 and exception == _ARM_SVC + 1 and in_user_text(ctl, pc):
        enter_exception(ctl, cpu, ctl[CTL_VECTOR_SYSCALL])
        return
    if x86 and exception == _INT3 + 1:
        record_event(ctl, cpu, _EVENT_BREAKPOINT, pc - 1, 0, 0)
        ctl[CTL_BREAK_CPU] = cpu[CPU_INDEX]
        ctl[CTL_BREAK_AT] = pc - 1
        if enter_exception(ctl, cpu, ctl[CTL_VECTOR_BREAKPOINT]):
            return
    offset = text_offset(ctl, pc)
    if offset >= 0 and (error == _UC_INVALID_INSN or exception == _ARM_BRK + 1):
        row = halves(ctl[CTL_PROBE], ctl[CTL_TEXT_SIZE])[offset]
        probe = words(ctl[CTL_PROBE_TABLE] + 8 * PROBE_WORDS * row, PROBE_WORDS)
        if probe[PROBE_KIND] == _WARN:
            record_event(ctl, cpu, _EVENT_WARN, pc, 0, 0)
            skip = 2  # ud2
            if not x86:
                skip = 4  # brk
            set_pc(ctl, cpu, pc + skip)
            return
        if probe[PROBE_KIND] == _BUG:
            record_event(ctl, cpu, _EVENT_BUG, pc, 0, 0)
            cpu[CPU_STOP] = _STOP_BUG
            ctl[CTL_STOP_INFO] = probe[PROBE_A]
            return
    if not x86 and exception == _ARM_BRK + 1:
        record_event(ctl, cpu, _EVENT_BREAKPOINT, pc, 0, 0)
        ctl[CTL_BREAK_CPU] = cpu[CPU_INDEX]
        ctl[CTL_BREAK_AT] = pc
        enter_exception(ctl, cpu, ctl[CTL_VECTOR_BREAKPOINT])
        return
    if error != 0:
        record_event(ctl, cpu, _EVENT_FAULT, cpu[CPU_FAULT_ADDRESS], pc, fault_kind(error))
        cpu[CPU_STOP] = _STOP_FAULT
        ctl[CTL_STOP_INFO] = error
    else:
        record_event(ctl, cpu, _EVENT_FAULT, pc, pc, _FAULT_FETCH)
        cpu[CPU_STOP] = _STOP_EXCEPTION
        ctl[CTL_STOP_INFO] = exception - 1


@inline_jit
def arrived_nowhere(cpu: Words, pc: int) -> int:
    """Make the arrival at `_END` the fault that it would be anywhere else; return its number."""
    cpu[CPU_FAULT_ADDRESS] = pc
    return _FETCH_UNMAPPED


@jit
def step_instruction(ctl: Words, cpu: Words) -> bool:
    """Run one instruction; True if it ended in a landing."""
    pc = cpu[CPU_PC]
    error = call5(ctl[CTL_EMU_START], cpu[CPU_UC], pc, _END, 0, 1)
    if error == 0 and pc == _END:
        error = arrived_nowhere(cpu, pc)
    reached = read_register(ctl, cpu, ctl[CTL_REG_PC])
    cpu[CPU_PC] = reached
    trapped = error != 0 or cpu[CPU_EXCEPTION] != 0
    if not trapped or reached != pc:
        cpu[CPU_INSNS] += 1
        ctl[CTL_INSNS_DONE] += 1
    if trapped:
        handle_trap(ctl, cpu, error)
        return False
    offset = text_offset(ctl, pc)
    length = 0
    if offset >= 0:
        length = octets(ctl[CTL_LENGTH], ctl[CTL_TEXT_SIZE])[offset]
        kind = octets(ctl[CTL_CLASS], ctl[CTL_TEXT_SIZE] + 1)[offset]
        if kind & CLASS_SERIAL and cpu[CPU_STALE] > 0:
            synchronise_fetch(ctl, cpu)
        if kind & CLASS_HALT:
            cpu[CPU_HALTED] = 1
        cpu[CPU_SHADOW] = kind & CLASS_SHADOW
    if reached != pc + length:
        land(ctl, cpu, reached)
        return True
    return False


@jit
def run_turn(ctl: Words, cpu: Words) -> bool:
    """Run at full speed up to a landing that ends the turn or needs the loop; True if it is one."""
    cpu[CPU_PAUSED] = 0
    cpu[CPU_BLOCK_START] = cpu[CPU_PC]
    cpu[CPU_BLOCK_END] = cpu[CPU_PC]
    error = call5(ctl[CTL_EMU_START], cpu[CPU_UC], cpu[CPU_PC], _END, 0, 0)
    cpu[CPU_PC] = read_register(ctl, cpu, ctl[CTL_REG_PC])
    if error == 0 and cpu[CPU_PC] == _END:
        error = arrived_nowhere(cpu, _END)
    if error != 0 or cpu[CPU_EXCEPTION] != 0:
        count_block(ctl, cpu, cpu[CPU_PC])
        handle_trap(ctl, cpu, error)
        return False
    if cpu[CPU_PAUSED]:
        return True
    count_block(ctl, cpu, cpu[CPU_PC])
    cpu[CPU_HALTED] = 1
    return False


@jit
def wake_time(ctl: Words, cpu: Words) -> int:
    """Return the clock at which a CPU can run next."""
    if cpu[CPU_HALTED] == 0 or cpu[CPU_PENDING] != 0:
        return clock(cpu)
    if ctl[CTL_TICK] == 0:
        return _FOREVER
    return max(clock(cpu), cpu[CPU_NEXT_TICK])


@jit
def furthest_behind(ctl: Words) -> int:
    """Return the CPU that can run at the least clock, -1 if none ever can; ties go to the lower number."""
    best, chosen = _FOREVER, -1
    for i in range(ctl[CTL_CPUS]):
        cpu = words(ctl[CTL_CPU_BLOCKS] + 8 * CPU_WORDS * i, CPU_WORDS)
        time = wake_time(ctl, cpu)
        if time < best:
            best, chosen = time, i
    if chosen >= 0 and best >= ctl[CTL_CYCLE_BUDGET]:
        return -2
    return chosen


@jit
def next_of_round(ctl: Words) -> int:
    """Return the next CPU by number that is not ahead of this round's clock; negative as `furthest_behind`.

    A round runs every CPU once that stands at the least clock of all; so CPUs stay within one instruction of
    each other, at a cost per instruction that does not grow with their number.
    """
    while True:
        for i in range(ctl[CTL_ROUND] + 1, ctl[CTL_CPUS]):
            cpu = words(ctl[CTL_CPU_BLOCKS] + 8 * CPU_WORDS * i, CPU_WORDS)
            if wake_time(ctl, cpu) <= ctl[CTL_ROUND_CLOCK]:
                ctl[CTL_ROUND] = i
                return i
        behind = furthest_behind(ctl)
        if behind < 0:
            return behind
        first = words(ctl[CTL_CPU_BLOCKS] + 8 * CPU_WORDS * behind, CPU_WORDS)
        ctl[CTL_ROUND_CLOCK] = wake_time(ctl, first)
        ctl[CTL_ROUND] = -1


@jit
def choose_cpu(ctl: Words) -> int:
    """Return whose turn it is, or a negative: -1 nobody can ever run, -2 cycle budget, -3 script used up."""
    schedule = ctl[CTL_SCHEDULE]
    if schedule == _QUANTUM:
        return furthest_behind(ctl)
    if schedule == _LEAST:
        return next_of_round(ctl)
    if schedule == _SCRIPT:
        while ctl[CTL_SCRIPT_AT] < ctl[CTL_SCRIPT_SIZE]:
            entry = words(ctl[CTL_SCRIPT] + 16 * ctl[CTL_SCRIPT_AT], 2)
            if entry[1] > 0:
                entry[1] -= 1
                return entry[0]
            ctl[CTL_SCRIPT_AT] += 1
        return -3
    behind = furthest_behind(ctl)
    if behind < 0:
        return behind
    if words(ctl[CTL_CPU_BLOCKS] + 8 * CPU_WORDS * behind, CPU_WORDS)[CPU_HALTED]:
        return behind
    if schedule == _RANDOM:
        return random_word(ctl) % ctl[CTL_CPUS]
    ctl[CTL_ROUND] = (ctl[CTL_ROUND] + 1) % ctl[CTL_CPUS]
    return ctl[CTL_ROUND]


@jit_once("void(int64[::1], int64, int64)")
def stop(ctl: Words, reason: int, cpu: int) -> None:
    """Leave the loop for ``reason``."""
    ctl[CTL_STOP_REASON] = reason
    ctl[CTL_STOP_CPU] = cpu


@jit
def begin_turn(ctl: Words, cpu: Words) -> bool:
    """Let time pass for a CPU that is about to run; False if it stays halted."""
    if cpu[CPU_HALTED] and cpu[CPU_PENDING] == 0:
        schedule = ctl[CTL_SCHEDULE]
        by_clock = schedule in (_QUANTUM, _LEAST)
        if by_clock:
            cpu[CPU_CLOCK_OFFSET] += max(0, cpu[CPU_NEXT_TICK] - clock(cpu))
        else:
            cpu[CPU_CLOCK_OFFSET] += 1
    if ctl[CTL_TICK] > 0 and clock(cpu) >= cpu[CPU_NEXT_TICK]:
        cpu[CPU_PENDING] |= IRQ_TIMER
        cpu[CPU_NEXT_TICK] += ctl[CTL_TICK]
    if cpu[CPU_PENDING]:
        cpu[CPU_HALTED] = 0
    return cpu[CPU_HALTED] == 0


@inline_jit
def limit_turn(ctl: Words, cpu: Words) -> None:
    """Let a CPU's turn end at the first landing behind the instruction budget."""
    left = ctl[CTL_INSN_BUDGET] - ctl[CTL_INSNS_DONE]
    cpu[CPU_TURN_END] = min(cpu[CPU_TURN_END], cpu[CPU_INSNS] + left)


@jit
def run_loop(control: int) -> None:
    """Interleave the CPUs until something needs Python; CTL_STOP_REASON says what."""
    ctl = words(control, CTL_WORDS)
    ctl[CTL_STOP_REASON] = 0
    in_turns = ctl[CTL_SCHEDULE] == _QUANTUM
    exact = ctl[CTL_EXACT] != 0
    interruptible = ctl[CTL_INTERRUPTIBLE] != 0
    chosen = ctl[CTL_CURRENT]
    if chosen >= 0:  # in the middle of a turn, which may be longer than what is left to run now
        limit_turn(ctl, words(ctl[CTL_CPU_BLOCKS] + 8 * CPU_WORDS * chosen, CPU_WORDS))
    last = chosen
    while True:
        chosen = ctl[CTL_CURRENT]
        fresh = chosen < 0
        if fresh:
            # asked between turns only: a turn ends at a landing, in exact mode as in fast mode
            if ctl[CTL_INSNS_DONE] >= ctl[CTL_INSN_BUDGET]:
                ctl[CTL_INTERRUPTIBLE] = 1
                stop(ctl, _STOP_INSTRUCTIONS, last)
                return
            chosen = choose_cpu(ctl)
            if chosen == -1:
                stop(ctl, _STOP_IDLE, -1)
                return
            if chosen == -2:
                stop(ctl, _STOP_CYCLES, -1)
                return
            if chosen == -3:
                stop(ctl, _STOP_SCRIPT, -1)
                return
            interruptible = True
        cpu = words(ctl[CTL_CPU_BLOCKS] + 8 * CPU_WORDS * chosen, CPU_WORDS)
        if fresh:
            if not begin_turn(ctl, cpu):
                continue
            if in_turns:
                ctl[CTL_CURRENT] = chosen
                length = 1 + random_word(ctl) % (2 * ctl[CTL_QUANTUM])
                if ctl[CTL_TICK] > 0:
                    length = min(length, max(1, cpu[CPU_NEXT_TICK] - clock(cpu)))
                cpu[CPU_TURN_END] = cpu[CPU_INSNS] + length
                limit_turn(ctl, cpu)
            if cpu[CPU_STALE] > 0:
                leak_fetch(ctl, cpu)
        taken = interruptible and cpu[CPU_PENDING] != 0 and cpu[CPU_SHADOW] == 0
        if taken and interrupts_enabled(ctl, cpu) and not deliver_interrupt(ctl, cpu):
            ctl[CTL_STOP_INFO] = 0
            stop(ctl, _STOP_FAULT, chosen)
            return
        landed = step_instruction(ctl, cpu) if exact else run_turn(ctl, cpu)
        interruptible, last = landed, chosen
        over = cpu[CPU_HALTED] != 0 or (landed and cpu[CPU_INSNS] >= cpu[CPU_TURN_END])
        if in_turns and over:
            ctl[CTL_CURRENT] = -1
        if cpu[CPU_STOP]:
            reason = cpu[CPU_STOP]
            cpu[CPU_STOP] = 0
            ctl[CTL_INTERRUPTIBLE] = interruptible
            stop(ctl, reason, chosen)
            return
