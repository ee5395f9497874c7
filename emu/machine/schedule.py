"""Who runs next, and for how long."""

from __future__ import annotations

from emu.compiled import inline_jit, jit
from emu.machine.access import clock, random_word
from emu.machine.native import Words, words
from emu.machine.state import (
    CPU_CLOCK_OFFSET,
    CPU_HALTED,
    CPU_INSNS,
    CPU_NEXT_TICK,
    CPU_PENDING,
    CPU_TURN_END,
    CPU_WORDS,
    CTL_CPU_BLOCKS,
    CTL_CPUS,
    CTL_CYCLE_BUDGET,
    CTL_INSN_BUDGET,
    CTL_INSNS_DONE,
    CTL_ROUND,
    CTL_ROUND_CLOCK,
    CTL_SCHEDULE,
    CTL_SCRIPT,
    CTL_SCRIPT_AT,
    CTL_SCRIPT_SIZE,
    CTL_TICK,
    IRQ_TIMER,
    Schedule,
)  # fmt: skip

_QUANTUM, _RANDOM = int(Schedule.QUANTUM), int(Schedule.RANDOM)
_LEAST = int(Schedule.LEAST_CLOCK)
_SCRIPT = int(Schedule.SCRIPT)
_FOREVER = 1 << 62


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
