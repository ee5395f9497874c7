"""Exceptions and interrupts: what the hardware does when an instruction traps or a CPU is called away."""

from __future__ import annotations

from emu.compiled import inline_jit, jit
from emu.machine.access import (
    load_word,
    read_register,
    record_event,
    store_word,
    tell_time,
    text_offset,
    write_register,
)
from emu.machine.frames import push_interrupt
from emu.machine.native import Words, call3, halves, words
from emu.machine.order_call import order
from emu.machine.schedule import arrived
from emu.machine.stale import synchronise_fetch
from emu.machine.state import (
    CPU_BLOCK_END,
    CPU_BLOCK_START,
    CPU_BREAK_AT,
    CPU_EXCEPTION,
    CPU_FAULT_ADDRESS,
    CPU_PC,
    CPU_PENDING,
    CPU_PERCPU,
    CPU_REENTER,
    CPU_SCRATCH,
    CPU_STOP,
    CPU_UC,
    CPU_VIEWS,
    CTL_ORDERING,
    CTL_PORT,
    CTL_PROBE,
    CTL_PROBE_TABLE,
    CTL_REG_A,
    CTL_REG_B,
    CTL_REG_FLAGS,
    CTL_REG_SP,
    CTL_REG_WRITE,
    CTL_STOP_INFO,
    CTL_TEXT_SIZE,
    CTL_USER_BASE,
    CTL_USER_SIZE,
    CTL_VECTOR_BREAKPOINT,
    CTL_VECTOR_RESCHEDULE,
    CTL_VECTOR_SYNC,
    CTL_VECTOR_SYSCALL,
    CTL_VECTOR_TIMER,
    EXCEPTION_SYSCALL,
    IRQ_RESCHEDULE,
    IRQ_SYNC,
    IRQ_TIMER,
    PORT_X86_64,
    PROBE_A,
    PROBE_KIND,
    PROBE_WORDS,
    TIME_BREAKPOINT,
    TIME_FAULT,
    TIME_INTERRUPT,
    TIME_SYSCALL,
    Order,
    ProbeKind,
    Stop,
)  # fmt: skip
from emu.machine.unicorn_errors import (
    INSN_INVALID,
    READ_PROT,
    READ_UNMAPPED,
    WRITE_PROT,
    WRITE_UNMAPPED,
)
from emu.structs import PERCPU
from emu.trace.schema import EventKind

_TOP_OF_STACK = PERCPU.offset("top_of_stack")
_WARN, _BUG = int(ProbeKind.WARN), int(ProbeKind.BUG)
_EVENT_WARN, _EVENT_BUG = int(EventKind.WARN), int(EventKind.BUG)
_EVENT_BREAKPOINT, _EVENT_FAULT = int(EventKind.BREAKPOINT), int(EventKind.FAULT)
_STOP_FAULT, _STOP_BUG = int(Stop.FAULT), int(Stop.BUG)
_STOP_EXCEPTION = int(Stop.EXCEPTION)
_EXCEPTION, _CATCH_UP = int(Order.EXCEPTION), int(Order.CATCH_UP)
_RFLAGS_IF = 0x200  # Source: Intel SDM vol. 1, 3.4.3
_PSTATE_I = 0x80  # Source: Arm ARM DDI 0487, C5.2, DAIF
_CS, _SS = 0x8, 0x10
_FAULT_FETCH = 2
_INT3, _ARM_SVC, _ARM_BRK = 3, 2, 7


@jit
def set_pc(ctl: Words, cpu: Words, pc: int) -> None:
    """Move a CPU to ``pc``, which counts as arrived at."""
    cpu[CPU_PC] = pc
    cpu[CPU_BLOCK_START] = pc
    cpu[CPU_BLOCK_END] = pc
    cpu[CPU_REENTER] = 1


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
    if ctl[CTL_ORDERING]:
        order(ctl, cpu, _EXCEPTION, 0)
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
    pending = arrived(cpu)
    if pending & IRQ_SYNC:
        bit, vector = IRQ_SYNC, ctl[CTL_VECTOR_SYNC]
    elif pending & IRQ_TIMER:
        bit, vector = IRQ_TIMER, ctl[CTL_VECTOR_TIMER]
    else:
        bit, vector = IRQ_RESCHEDULE, ctl[CTL_VECTOR_RESCHEDULE]
    cpu[CPU_PENDING] &= ~bit
    if cpu[CPU_VIEWS] and bit != IRQ_TIMER:
        order(ctl, cpu, _CATCH_UP, 0)  # who sent it had its stores land first: see send_ipi
    pc = cpu[CPU_PC]
    if not in_user_text(ctl, pc):
        push_interrupt(ctl, cpu, pc)
    tell_time(ctl, cpu, TIME_INTERRUPT, 0, 0)
    return enter_exception(ctl, cpu, vector)


@inline_jit
def fault_kind(error: int) -> int:
    """Return the events table's kind of a Unicorn error: 0 load, 1 store, 2 fetch or undefined."""
    if error in (READ_UNMAPPED, READ_PROT):
        return 0
    if error in (WRITE_UNMAPPED, WRITE_PROT):
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
        tell_time(ctl, cpu, TIME_SYSCALL, 0, 0)
        set_pc(ctl, cpu, ctl[CTL_VECTOR_SYSCALL])
        return
    if not x86 and exception == _ARM_SVC + 1 and in_user_text(ctl, pc):
        tell_time(ctl, cpu, TIME_SYSCALL, 0, 0)
        enter_exception(ctl, cpu, ctl[CTL_VECTOR_SYSCALL])
        return
    if x86 and exception == _INT3 + 1:
        record_event(ctl, cpu, _EVENT_BREAKPOINT, pc - 1, 0, 0)
        cpu[CPU_BREAK_AT] = pc - 1
        tell_time(ctl, cpu, TIME_BREAKPOINT, pc - 1, 0)
        if enter_exception(ctl, cpu, ctl[CTL_VECTOR_BREAKPOINT]):
            return
    offset = text_offset(ctl, pc)
    if offset >= 0 and (error == INSN_INVALID or exception == _ARM_BRK + 1):
        row = halves(ctl[CTL_PROBE], ctl[CTL_TEXT_SIZE])[offset]
        probe = words(ctl[CTL_PROBE_TABLE] + 8 * PROBE_WORDS * row, PROBE_WORDS)
        if probe[PROBE_KIND] == _WARN:
            record_event(ctl, cpu, _EVENT_WARN, pc, 0, 0)
            tell_time(ctl, cpu, TIME_FAULT, pc, 0)
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
        cpu[CPU_BREAK_AT] = pc
        tell_time(ctl, cpu, TIME_BREAKPOINT, pc, 0)
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
