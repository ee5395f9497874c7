"""The interleaving loop: one native function that decides who runs, runs it, and sees what happened."""

from __future__ import annotations

from emu.compiled import jit, jit_once
from emu.machine.access import clock, random_word, read_register, tell_time, text_offset
from emu.machine.hooks import complete_instruction, count_block
from emu.machine.native import Words, call5, words
from emu.machine.order_call import order
from emu.machine.schedule import arrived, begin_turn, choose_cpu, limit_lead, limit_turn, look_up_row
from emu.machine.stacks import enter_cpu
from emu.machine.stale import leak_fetch
from emu.machine.state import (
    CPU_BLOCK_END,
    CPU_BLOCK_START,
    CPU_CLOCK_OFFSET,
    CPU_ERROR,
    CPU_EXCEPTION,
    CPU_FRESH,
    CPU_HALTED,
    CPU_INSNS,
    CPU_LANDED,
    CPU_NEXT_TICK,
    CPU_PAUSED,
    CPU_PC,
    CPU_PENDING,
    CPU_SHADOW,
    CPU_STACK,
    CPU_STALE,
    CPU_STOP,
    CPU_TURN_END,
    CPU_UC,
    CPU_VIEWS,
    CPU_WORDS,
    CTL_CPU_BLOCKS,
    CTL_CURRENT,
    CTL_EMU_START,
    CTL_EXACT,
    CTL_INSN_BUDGET,
    CTL_INSNS_DONE,
    CTL_INTERRUPTIBLE,
    CTL_ORDERING,
    CTL_QUANTUM,
    CTL_REG_PC,
    CTL_SCHEDULE,
    CTL_STOP_CPU,
    CTL_STOP_INFO,
    CTL_STOP_REASON,
    CTL_TICK,
    CTL_TIME,
    CTL_WORDS,
    TIME_INSTRUCTION,
    Order,
    Schedule,
    Stop,
)  # fmt: skip
from emu.machine.traps import deliver_interrupt, handle_trap, interrupts_enabled

_STOP_INSTRUCTIONS, _STOP_CYCLES = int(Stop.INSTRUCTIONS), int(Stop.CYCLES)
_STOP_FAULT, _STOP_IDLE = int(Stop.FAULT), int(Stop.IDLE)
_STOP_SCRIPT, _STOP_DECODE = int(Stop.SCRIPT), int(Stop.DECODE)
_QUANTUM = int(Schedule.QUANTUM)
_SHOW, _DRAIN, _ABANDON = int(Order.SHOW), int(Order.DRAIN), int(Order.ABANDON)


@jit
def run_instructions(ctl: Words, cpu: Words) -> bool:
    """Run to the end of the turn, or until the loop is needed; True if that is at a landing."""
    cpu[CPU_PAUSED] = 0
    if cpu[CPU_STACK]:
        enter_cpu(ctl, cpu)
    else:
        cpu[CPU_FRESH] = 1
        cpu[CPU_ERROR] = call5(ctl[CTL_EMU_START], cpu[CPU_UC], cpu[CPU_PC], 0, 0, 0)
    if cpu[CPU_PAUSED]:
        return cpu[CPU_LANDED] != 0
    pc, error = cpu[CPU_PC], cpu[CPU_ERROR]
    reached = read_register(ctl, cpu, ctl[CTL_REG_PC])
    if error == 0 and cpu[CPU_EXCEPTION] == 0:
        tell_time(ctl, cpu, TIME_INSTRUCTION, pc, reached)
        return complete_instruction(ctl, cpu, text_offset(ctl, pc), reached)
    cpu[CPU_PC] = reached
    if cpu[CPU_VIEWS]:
        order(ctl, cpu, _ABANDON, 0)
    if reached != pc:
        cpu[CPU_INSNS] += 1
        ctl[CTL_INSNS_DONE] += 1
        if ctl[CTL_TIME]:
            cpu[CPU_CLOCK_OFFSET] -= 1  # the exception is what takes time
    handle_trap(ctl, cpu, error)
    return False


@jit
def run_turn(ctl: Words, cpu: Words) -> bool:
    """Run at full speed to the end of the turn, or until the loop is needed; True if that is at a landing."""
    cpu[CPU_PAUSED] = 0
    cpu[CPU_BLOCK_START] = cpu[CPU_PC]
    cpu[CPU_BLOCK_END] = cpu[CPU_PC]
    cpu[CPU_ERROR] = call5(ctl[CTL_EMU_START], cpu[CPU_UC], cpu[CPU_PC], 0, 0, 0)
    error = cpu[CPU_ERROR]  # an int64 here as there, so that `handle_trap` is compiled once
    cpu[CPU_PC] = read_register(ctl, cpu, ctl[CTL_REG_PC])
    if error != 0 or cpu[CPU_EXCEPTION] != 0:
        count_block(ctl, cpu, cpu[CPU_PC])
        handle_trap(ctl, cpu, error)
        return False
    if cpu[CPU_PAUSED]:
        return cpu[CPU_LANDED] != 0
    count_block(ctl, cpu, cpu[CPU_PC])
    cpu[CPU_HALTED] = 1
    return False


@jit_once("void(int64[::1], int64, int64)")
def stop(ctl: Words, reason: int, cpu: int) -> None:
    """Leave the loop for ``reason``."""
    ctl[CTL_STOP_REASON] = reason
    ctl[CTL_STOP_CPU] = cpu


@jit
def run_loop(control: int) -> None:
    """Interleave the CPUs until something needs Python; CTL_STOP_REASON says what."""
    ctl = words(control, CTL_WORDS)
    ctl[CTL_STOP_REASON] = 0
    in_turns = ctl[CTL_SCHEDULE] == _QUANTUM
    exact, ordered, timed = ctl[CTL_EXACT] != 0, ctl[CTL_ORDERING] != 0, ctl[CTL_TIME] != 0
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
            elif timed:
                limit_lead(ctl, cpu)
            if cpu[CPU_STALE] > 0:
                leak_fetch(ctl, cpu)
        if ordered:
            order(ctl, cpu, _SHOW, 0)
        taken = interruptible and cpu[CPU_PENDING] != 0 and cpu[CPU_SHADOW] == 0
        if taken and timed:
            taken = arrived(cpu) != 0
        if taken and interrupts_enabled(ctl, cpu) and not deliver_interrupt(ctl, cpu):
            ctl[CTL_STOP_INFO] = 0
            stop(ctl, _STOP_FAULT, chosen)
            return
        if timed and not look_up_row(ctl, cpu):
            ctl[CTL_CURRENT] = chosen  # its turn goes on when that is decoded
            ctl[CTL_INTERRUPTIBLE] = interruptible and not taken
            stop(ctl, _STOP_DECODE, chosen)
            return
        landed = run_instructions(ctl, cpu) if exact else run_turn(ctl, cpu)
        if ordered and cpu[CPU_HALTED]:
            order(ctl, cpu, _DRAIN, 0)
        interruptible, last = landed, chosen
        over = cpu[CPU_HALTED] != 0 or (landed and cpu[CPU_INSNS] >= cpu[CPU_TURN_END])
        if over or not in_turns:
            ctl[CTL_CURRENT] = -1
        if cpu[CPU_STOP]:
            reason = cpu[CPU_STOP]
            cpu[CPU_STOP] = 0
            ctl[CTL_INTERRUPTIBLE] = interruptible
            stop(ctl, reason, chosen)
            return
