"""What happens at a landing: shadow call frames, call rows, events, doors to Python.

A landing is the first instruction after a taken control transfer. Exact and fast
mode call the same function here, so they record the same trace.
"""

from __future__ import annotations

from emu.compiled import jit
from emu.machine.access import (
    clock,
    load_word,
    read_register,
    record_event,
    tell_time,
    text_offset,
    write_register,
)
from emu.machine.frames import dispatch_call, enter_call, return_from_calls, set_extent, set_top
from emu.machine.native import Words, halves, words
from emu.machine.order_call import order
from emu.machine.state import (
    CPU_ARRIVALS,
    CPU_CLOCK_OFFSET,
    CPU_EXPECTED,
    CPU_HALTED,
    CPU_HORIZON,
    CPU_INSNS,
    CPU_PENDING,
    CPU_PERCPU,
    CPU_STOP,
    CPU_TASK,
    CPU_TASK_BIAS,
    CPU_TASK_STRUCT,
    CPU_TOP,
    CPU_WORDS,
    CTL_CPU_BLOCKS,
    CTL_CPUS,
    CTL_FRAMES,
    CTL_ORDERING,
    CTL_PROBE,
    CTL_PROBE_TABLE,
    CTL_REG_ARG0,
    CTL_REG_ARG1,
    CTL_REG_RESULT,
    CTL_ROUND,
    CTL_TASKS,
    CTL_TEXT_SIZE,
    CTL_TIME,
    CTL_TIME_LATENCY,
    CTL_WAIT_COUNT,
    CTL_WAITS,
    FRAME_FLAGS,
    FRAME_STATE,
    FRAME_WORDS,
    IRQ_RESCHEDULE,
    IRQ_SYNC,
    IRQ_TIMER,
    PROBE_A,
    PROBE_B,
    PROBE_KIND,
    PROBE_WORDS,
    TASK_INSNS,
    TASK_TOP,
    TASK_WORDS,
    TIME_IPI,
    TIME_SWITCH,
    WAIT_ADDRESS,
    WAIT_AT_LEAST,
    WAIT_VALUE,
    WAIT_WORDS,
    Order,
    ProbeKind,
    Stop,
)  # fmt: skip
from emu.structs import PERCPU, TASK
from emu.trace.schema import NOT_DISPATCHED, EventKind

_CURRENT = PERCPU.offset("current_task")
_INDEX = TASK.offset("index")
_STATE = TASK.offset("state")
_NOT_DISPATCHED = NOT_DISPATCHED
_ENTRY, _BODY, _VERSION = int(ProbeKind.ENTRY), int(ProbeKind.BODY), int(ProbeKind.VERSION)
_STEP, _SEND_IPI, _SWITCH = int(ProbeKind.STEP), int(ProbeKind.SEND_IPI), int(ProbeKind.SWITCH)
_FLAG, _BREAK = int(ProbeKind.FLAG), int(ProbeKind.BREAK)
_EVENT_SWITCH, _EVENT_IPI = int(EventKind.SWITCH), int(EventKind.IPI)
_STOP_STEP = int(Stop.STEP)
_STOP_BREAK = int(Stop.BREAK)
_DRAIN = int(Order.DRAIN)


@jit
def switch_task(ctl: Words, cpu: Words) -> None:
    """This CPU's current has changed: park the old task's frames, take up the new one's."""
    struct = load_word(ctl, cpu[CPU_PERCPU] + _CURRENT)
    index = load_word(ctl, struct + _INDEX)
    old = words(ctl[CTL_TASKS] + 8 * TASK_WORDS * cpu[CPU_TASK], TASK_WORDS)
    old[TASK_TOP] = cpu[CPU_TOP]
    old[TASK_INSNS] = cpu[CPU_INSNS] + cpu[CPU_TASK_BIAS]
    previous = cpu[CPU_TASK]
    state = load_word(ctl, cpu[CPU_TASK_STRUCT] + _STATE)
    cpu[CPU_TASK] = index
    cpu[CPU_TASK_STRUCT] = struct
    new = words(ctl[CTL_TASKS] + 8 * TASK_WORDS * index, TASK_WORDS)
    cpu[CPU_TASK_BIAS] = new[TASK_INSNS] - cpu[CPU_INSNS]
    set_top(ctl, cpu, new[TASK_TOP])
    tell_time(ctl, cpu, TIME_SWITCH, 0, 0)
    record_event(ctl, cpu, _EVENT_SWITCH, previous, state, 0)


@jit
def send_ipi(ctl: Words, cpu: Words) -> None:
    """The guest raises an interrupt on another CPU: arguments (cpu, kind).

    What the CPU has stored before lands first, as by the barriers in Linux's weak_wrmsr_fence (x86) and
    gic_ipi_send_mask (arm64).
    """
    if ctl[CTL_ORDERING]:
        order(ctl, cpu, _DRAIN, 0)
    target = read_register(ctl, cpu, ctl[CTL_REG_ARG0])
    kind = read_register(ctl, cpu, ctl[CTL_REG_ARG1])
    if 0 <= target < ctl[CTL_CPUS]:
        bit, at = IRQ_SYNC, 0
        if kind == 1:
            bit, at = IRQ_TIMER, 1
        elif kind == 2:
            bit, at = IRQ_RESCHEDULE, 2
        other = words(ctl[CTL_CPU_BLOCKS] + 8 * CPU_WORDS * target, CPU_WORDS)
        tell_time(ctl, cpu, TIME_IPI, 0, 0)
        arrival = clock(cpu) + ctl[CTL_TIME_LATENCY]
        if ctl[CTL_TIME]:
            if other[CPU_PENDING] & bit == 0:
                other[CPU_ARRIVALS + at] = arrival
            cpu[CPU_HORIZON] = min(cpu[CPU_HORIZON], arrival)
            ctl[CTL_ROUND] = ctl[CTL_CPUS]  # a new round, which takes it into account
        other[CPU_PENDING] |= bit
        if other[CPU_HALTED]:  # it has been asleep until now
            other[CPU_HALTED] = 0
            other[CPU_CLOCK_OFFSET] += max(0, arrival - clock(other))
        record_event(ctl, cpu, _EVENT_IPI, kind, target, 0)


@jit
def still_waiting(ctl: Words) -> bool:
    """Tell whether one of the conditions that the patching CPU waits for does not hold yet."""
    count = ctl[CTL_WAIT_COUNT]
    waits = words(ctl[CTL_WAITS], WAIT_WORDS * count)
    for i in range(count):
        found = load_word(ctl, waits[WAIT_WORDS * i + WAIT_ADDRESS])
        value = waits[WAIT_WORDS * i + WAIT_VALUE]
        if waits[WAIT_WORDS * i + WAIT_AT_LEAST]:
            if found < value:
                return True
        elif found == value:
            return True
    return False


@jit
def land(ctl: Words, cpu: Words, address: int) -> None:
    """Account for the arrival at ``address`` by a taken control transfer."""
    if cpu[CPU_EXPECTED] == address and return_from_calls(ctl, cpu, address):
        return
    offset = text_offset(ctl, address)
    if offset < 0:
        return
    row = halves(ctl[CTL_PROBE], ctl[CTL_TEXT_SIZE])[offset]
    if row == 0:
        return
    probe = words(ctl[CTL_PROBE_TABLE] + 8 * PROBE_WORDS * row, PROBE_WORDS)
    kind = probe[PROBE_KIND]
    if kind == _ENTRY:
        enter_call(ctl, cpu, probe[PROBE_A])
        set_extent(ctl, cpu, probe[PROBE_B])
    elif kind == _BODY:
        dispatch_call(ctl, cpu, probe[PROBE_A], 0)
    elif kind == _VERSION:
        if not dispatch_call(ctl, cpu, address, probe[PROBE_A]):
            enter_call(ctl, cpu, address)
        set_extent(ctl, cpu, probe[PROBE_B])
    elif kind == _STEP:
        if ctl[CTL_WAIT_COUNT] > 0 and still_waiting(ctl):
            write_register(ctl, cpu, ctl[CTL_REG_RESULT], 1)
        else:
            cpu[CPU_STOP] = _STOP_STEP
    elif kind == _SEND_IPI:
        send_ipi(ctl, cpu)
    elif kind == _SWITCH:
        switch_task(ctl, cpu)
    elif kind == _FLAG:
        if cpu[CPU_TOP] >= 0:
            frame = words(ctl[CTL_FRAMES] + 8 * FRAME_WORDS * cpu[CPU_TOP], FRAME_WORDS)
            if frame[FRAME_STATE] == _NOT_DISPATCHED:
                frame[FRAME_FLAGS] |= probe[PROBE_A]
    elif kind == _BREAK:
        cpu[CPU_STOP] = _STOP_BREAK
