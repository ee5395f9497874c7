"""Who runs next, and for how long."""

from __future__ import annotations

from emu.compiled import inline_jit, jit, merged_jit
from emu.machine.access import clock, random_word, tell_time, text_offset
from emu.machine.native import Words, halves, words
from emu.machine.state import (
    CPU_ARRIVALS,
    CPU_CLOCK_OFFSET,
    CPU_HALTED,
    CPU_HORIZON,
    CPU_INSNS,
    CPU_NEXT_TICK,
    CPU_OFFSET,
    CPU_PC,
    CPU_PENDING,
    CPU_ROW,
    CPU_ROW_FLAGS,
    CPU_ROWS_AT,
    CPU_TURN_END,
    CPU_WORDS,
    CTL_CPU_BLOCKS,
    CTL_CPUS,
    CTL_CYCLE_BUDGET,
    CTL_INSN_BUDGET,
    CTL_INSNS_DONE,
    CTL_LEAD,
    CTL_ROUND,
    CTL_ROUND_CLOCK,
    CTL_SCHEDULE,
    CTL_SCRIPT,
    CTL_SCRIPT_AT,
    CTL_SCRIPT_SIZE,
    CTL_TEXT_SIZE,
    CTL_TICK,
    CTL_TIME,
    CTL_TIME_ROWS,
    IRQ_TIMER,
    TIME_WAIT,
    Schedule,
)  # fmt: skip
from emu.timing.layout import R_FLAGS, ROW_WORDS

_QUANTUM, _RANDOM = int(Schedule.QUANTUM), int(Schedule.RANDOM)
_LEAST = int(Schedule.LEAST_CLOCK)
_SCRIPT = int(Schedule.SCRIPT)
_FOREVER = 1 << 62
_TIMER_AT = 1  # of its bit


@jit
def arrived(cpu: Words) -> int:
    """Return the pending interrupts of a CPU that have arrived by its clock, ``IRQ_*`` bits."""
    pending = cpu[CPU_PENDING]
    for i in range(3):
        if cpu[CPU_ARRIVALS + i] > clock(cpu):
            pending &= ~(1 << i)
    return pending


@jit
def first_arrival(cpu: Words) -> int:
    """Return the clock at which the first pending interrupt of a CPU arrives, or has arrived."""
    first = _FOREVER
    for i in range(3):
        if cpu[CPU_PENDING] >> i & 1:
            first = min(first, cpu[CPU_ARRIVALS + i])
    return first


@jit
def wake_time(ctl: Words, cpu: Words) -> int:
    """Return the clock at which a CPU can run next."""
    if cpu[CPU_HALTED] == 0:
        return clock(cpu)
    if cpu[CPU_PENDING] != 0:
        return max(clock(cpu), first_arrival(cpu))
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
def next_behind(ctl: Words, behind: int) -> int:
    """Return the least clock at which a CPU other than ``behind`` can run."""
    best = _FOREVER
    for i in range(ctl[CTL_CPUS]):
        if i != behind:
            best = min(best, wake_time(ctl, words(ctl[CTL_CPU_BLOCKS] + 8 * CPU_WORDS * i, CPU_WORDS)))
    return best


@inline_jit
def limit_lead(ctl: Words, cpu: Words) -> None:
    """Let a CPU's turn end where this round does, or its tick comes, or no CPU is to go on."""
    horizon = min(ctl[CTL_ROUND_CLOCK], ctl[CTL_CYCLE_BUDGET] - 1)
    if ctl[CTL_TICK] > 0:
        horizon = min(horizon, cpu[CPU_NEXT_TICK] - 1)
    cpu[CPU_HORIZON] = horizon


@merged_jit
def look_up_row(ctl: Words, cpu: Words) -> bool:
    """Find the cycle model's row of the instruction at a CPU's PC; False if Python must decode it first."""
    offset = text_offset(ctl, cpu[CPU_PC])
    cpu[CPU_OFFSET] = offset
    if offset < 0:
        return True
    row = halves(cpu[CPU_ROWS_AT], ctl[CTL_TEXT_SIZE])[offset]
    cpu[CPU_ROW] = row
    if row > 0:  # which also brings it into the host's cache while the instruction runs
        cpu[CPU_ROW_FLAGS] = halves(ctl[CTL_TIME_ROWS], 1)[(row - 1) * ROW_WORDS + R_FLAGS]
    return row != 0


@jit
def next_of_round(ctl: Words) -> int:
    """Return the next CPU by number that is not ahead of this round's clock; negative as `furthest_behind`.

    A round runs every CPU once that stands at the least clock of all; so CPUs stay within one instruction of
    each other, at a cost per instruction that does not grow with their number. With a cycle model it
    runs every CPU up to ``CTL_LEAD`` cycles beyond the least clock, or, if one stands there alone, to the
    next one's.
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
        if ctl[CTL_TIME] != 0:
            ctl[CTL_ROUND_CLOCK] = max(ctl[CTL_ROUND_CLOCK] + ctl[CTL_LEAD], next_behind(ctl, behind))
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


@jit
def begin_turn(ctl: Words, cpu: Words) -> bool:
    """Let time pass for a CPU that is about to run; False if it stays halted."""
    if cpu[CPU_HALTED] and cpu[CPU_PENDING]:
        cpu[CPU_CLOCK_OFFSET] += max(0, first_arrival(cpu) - clock(cpu))
    elif cpu[CPU_HALTED]:
        schedule = ctl[CTL_SCHEDULE]
        by_clock = schedule in (_QUANTUM, _LEAST)
        if by_clock:
            cpu[CPU_CLOCK_OFFSET] += max(0, cpu[CPU_NEXT_TICK] - clock(cpu))
        else:
            cpu[CPU_CLOCK_OFFSET] += 1
    if ctl[CTL_TICK] > 0 and clock(cpu) >= cpu[CPU_NEXT_TICK]:
        cpu[CPU_PENDING] |= IRQ_TIMER
        cpu[CPU_ARRIVALS + _TIMER_AT] = 0
        cpu[CPU_NEXT_TICK] += ctl[CTL_TICK]
    if cpu[CPU_PENDING]:
        cpu[CPU_HALTED] = 0
    tell_time(ctl, cpu, TIME_WAIT, 0, 0)
    return cpu[CPU_HALTED] == 0


@inline_jit
def limit_turn(ctl: Words, cpu: Words) -> None:
    """Let a CPU's turn end at the first landing behind the instruction budget."""
    left = ctl[CTL_INSN_BUDGET] - ctl[CTL_INSNS_DONE]
    cpu[CPU_TURN_END] = min(cpu[CPU_TURN_END], cpu[CPU_INSNS] + left)
