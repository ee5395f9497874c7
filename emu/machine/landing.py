"""What happens at a landing: shadow call frames, call rows, events, doors to Python.

A landing is the first instruction after a taken control transfer. Exact and fast
mode call the same function here, so they record the same trace.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emu.machine.compiled import inline_jit, jit, jit_once
from emu.machine.native import call3, call4, halves, octets, words
from emu.machine.state import (
    CALL_WORDS,
    CPU_CLOCK_OFFSET,
    CPU_EXPECTED,
    CPU_HALTED,
    CPU_INDEX,
    CPU_INSNS,
    CPU_PENDING,
    CPU_PERCPU,
    CPU_SCRATCH,
    CPU_STALE,
    CPU_STALE_RANGES,
    CPU_STOP,
    CPU_TASK,
    CPU_TASK_BIAS,
    CPU_TASK_STRUCT,
    CPU_TEXT_HOST,
    CPU_TOP,
    CPU_UC,
    CPU_WORDS,
    CTL_CALL_BUDGET,
    CTL_CALL_CAPACITY,
    CTL_CALL_COUNT,
    CTL_CALL_ROWS,
    CTL_CALLS_DONE,
    CTL_CPU_BLOCKS,
    CTL_CPUS,
    CTL_DATA_BASE,
    CTL_DATA_HOST,
    CTL_DATA_SIZE,
    CTL_EVENT_CAPACITY,
    CTL_EVENT_COUNT,
    CTL_EVENT_ROWS,
    CTL_FETCH,
    CTL_FRAMES,
    CTL_FREE_FRAME,
    CTL_PORT,
    CTL_PROBE,
    CTL_PROBE_TABLE,
    CTL_RANDOM,
    CTL_REG_ARG0,
    CTL_REG_ARG1,
    CTL_REG_LINK,
    CTL_REG_READ,
    CTL_REG_RESULT,
    CTL_REG_SP,
    CTL_REG_WRITE,
    CTL_SEQUENCE,
    CTL_TASKS,
    CTL_TEXT_HOST,
    CTL_TEXT_SIZE,
    CTL_UC_CTL,
    CTL_WAIT_COUNT,
    CTL_WAITS,
    CTL_WARNINGS,
    CTL_WINDOWS,
    EVENT_WORDS,
    FRAME_BELOW,
    FRAME_CALL,
    FRAME_CPU,
    FRAME_DEPTH,
    FRAME_DISPATCH_SEQ,
    FRAME_DISPATCHED,
    FRAME_ENTER,
    FRAME_FLAGS,
    FRAME_INSNS,
    FRAME_INTERRUPT,
    FRAME_KIND,
    FRAME_PARENT,
    FRAME_PATCH,
    FRAME_SEQ,
    FRAME_SITE,
    FRAME_SP,
    FRAME_STATE,
    FRAME_TARGET,
    FRAME_TASK,
    FRAME_WORDS,
    IRQ_RESCHEDULE,
    IRQ_SYNC,
    IRQ_TIMER,
    PORT_X86_64,
    PROBE_A,
    PROBE_KIND,
    PROBE_WORDS,
    STAGE_READY,
    STALE_OFFSET,
    STALE_SIZE,
    STALE_STAGE,
    STALE_WORDS,
    TASK_DEPTH,
    TASK_INSNS,
    TASK_TOP,
    TASK_WORDS,
    WAIT_ADDRESS,
    WAIT_AT_LEAST,
    WAIT_VALUE,
    WAIT_WORDS,
    Fetch,
    ProbeKind,
    Stop,
)  # fmt: skip
from emu.structs import PERCPU, TASK
from emu.trace.schema import NOT_DISPATCHED, CallFlag, EventKind

Words = NDArray[np.int64]

_CURRENT = PERCPU.offset("current_task")
_PREEMPT_COUNT = PERCPU.offset("preempt_count")
_INDEX = TASK.offset("index")
_PATCH_STATE = TASK.offset("patch_state")
_STATE = TASK.offset("state")
_NOT_DISPATCHED = NOT_DISPATCHED
_SITE_END = 16  # no port's landing pad and site together are longer, bytes
_IN_INTERRUPT = 0xFF0000  # HARDIRQ and NMI bits. Source: include/linux/preempt.h

_ENTRY, _BODY, _VERSION = int(ProbeKind.ENTRY), int(ProbeKind.BODY), int(ProbeKind.VERSION)
_STEP, _SEND_IPI, _SWITCH = int(ProbeKind.STEP), int(ProbeKind.SEND_IPI), int(ProbeKind.SWITCH)
_FLAG, _BREAK = int(ProbeKind.FLAG), int(ProbeKind.BREAK)
_HOOKED, _REDIRECTED = int(CallFlag.HOOKED), int(CallFlag.REDIRECTED)
_NESTED, _TAIL, _IRQ = int(CallFlag.NESTED), int(CallFlag.TAIL), int(CallFlag.IRQ)
_EVENT_SWITCH, _EVENT_IPI = int(EventKind.SWITCH), int(EventKind.IPI)
_EVENT_WARN, _EVENT_BUG = int(EventKind.WARN), int(EventKind.BUG)
_EVENT_REFRESH = int(EventKind.REFRESH)
_STOP_CALLS, _STOP_FLUSH, _STOP_STEP = int(Stop.CALLS), int(Stop.FLUSH), int(Stop.STEP)
_STOP_BREAK, _STOP_FRAMES = int(Stop.BREAK), int(Stop.FRAMES)
_FETCH_RANDOM = int(Fetch.RANDOM)

_ROOM = 128  # rows that one landing may add at most before a flush is asked for
_REMOVE_CACHE = (1 << 30) | (2 << 26) | 9  # UC_CTL_WRITE(UC_CTL_TB_REMOVE_CACHE, 2)


@inline_jit
def text_offset(ctl: Words, address: int) -> int:
    """Return the offset of ``address`` in a text array, or -1."""
    for i in range(3):
        delta = address - ctl[CTL_WINDOWS + 3 * i]
        if 0 <= delta < ctl[CTL_WINDOWS + 3 * i + 1]:
            return delta + ctl[CTL_WINDOWS + 3 * i + 2]
    return -1


@inline_jit
def read_register(ctl: Words, cpu: Words, register: int) -> int:
    """Return a 64-bit register of ``cpu``."""
    scratch = cpu.ctypes.data + 8 * CPU_SCRATCH
    cpu[CPU_SCRATCH] = 0
    call3(ctl[CTL_REG_READ], cpu[CPU_UC], register, scratch)
    return cpu[CPU_SCRATCH]


@inline_jit
def write_register(ctl: Words, cpu: Words, register: int, value: int) -> None:
    """Set a 64-bit register of ``cpu``."""
    cpu[CPU_SCRATCH] = value
    call3(ctl[CTL_REG_WRITE], cpu[CPU_UC], register, cpu.ctypes.data + 8 * CPU_SCRATCH)


@inline_jit
def load_word(ctl: Words, address: int) -> int:
    """Return the u64 at a guest data address, 0 outside data."""
    offset = address - ctl[CTL_DATA_BASE]
    if offset < 0 or offset + 8 > ctl[CTL_DATA_SIZE]:
        return 0
    return words(ctl[CTL_DATA_HOST] + offset, 1)[0]


@inline_jit
def store_word(ctl: Words, address: int, value: int) -> bool:
    """Store a u64 at a guest data address; False outside data."""
    offset = address - ctl[CTL_DATA_BASE]
    if offset < 0 or offset + 8 > ctl[CTL_DATA_SIZE]:
        return False
    words(ctl[CTL_DATA_HOST] + offset, 1)[0] = value
    return True


@jit
def random_word(ctl: Words) -> int:
    """Return the next 63 pseudo-random bits (xorshift64*, Vigna 2016)."""
    x = np.uint64(ctl[CTL_RANDOM])
    x ^= x >> np.uint64(12)
    x ^= x << np.uint64(25)
    x ^= x >> np.uint64(27)
    ctl[CTL_RANDOM] = np.int64(x)
    return int((x * np.uint64(0x2545F4914F6CDD1D)) >> np.uint64(1))


@inline_jit
def clock(cpu: Words) -> int:
    """Return a CPU's local clock, cycles."""
    return cpu[CPU_INSNS] + cpu[CPU_CLOCK_OFFSET]


@jit_once("void(int64[::1], int64[::1], int64, int64, int64, int64)")
def record_event(ctl: Words, cpu: Words, kind: int, a: int, b: int, c: int) -> None:
    """Append one EVENTS row; the buffer is emptied by Python before it can be full."""
    if kind in (_EVENT_WARN, _EVENT_BUG):
        ctl[CTL_WARNINGS] += 1
    n = ctl[CTL_EVENT_COUNT]
    if n >= ctl[CTL_EVENT_CAPACITY]:
        return
    row = words(ctl[CTL_EVENT_ROWS] + 8 * EVENT_WORDS * n, EVENT_WORDS)
    row[0] = ctl[CTL_SEQUENCE]
    row[1] = clock(cpu)
    row[2] = cpu[CPU_INDEX]
    row[3] = kind
    row[4] = cpu[CPU_TASK]
    row[5] = a
    row[6] = b
    row[7] = c
    ctl[CTL_SEQUENCE] += 1
    ctl[CTL_EVENT_COUNT] = n + 1
    if n + _ROOM >= ctl[CTL_EVENT_CAPACITY] and cpu[CPU_STOP] == 0:
        cpu[CPU_STOP] = _STOP_FLUSH


@jit
def refresh_range(ctl: Words, cpu: Words, offset: int, size: int) -> int:
    """Let a CPU fetch what text memory holds in a range of text offsets; return its guest address."""
    private = octets(cpu[CPU_TEXT_HOST] + offset, size)
    coherent = octets(ctl[CTL_TEXT_HOST] + offset, size)
    for i in range(size):
        private[i] = coherent[i]
    address = offset
    for i in range(3):
        delta = offset - ctl[CTL_WINDOWS + 3 * i + 2]
        if 0 <= delta < ctl[CTL_WINDOWS + 3 * i + 1]:
            address = delta + ctl[CTL_WINDOWS + 3 * i]
    call4(ctl[CTL_UC_CTL], cpu[CPU_UC], _REMOVE_CACHE, address, address + size)
    return address


@jit
def synchronise_fetch(ctl: Words, cpu: Words) -> None:
    """Context synchronisation: every stale range whose maintenance is complete is fetched anew."""
    kept = 0
    count = cpu[CPU_STALE]
    ranges = words(cpu[CPU_STALE_RANGES], STALE_WORDS * count)
    for i in range(count):
        if ranges[STALE_WORDS * i + STALE_STAGE] == STAGE_READY:
            offset = ranges[STALE_WORDS * i + STALE_OFFSET]
            size = ranges[STALE_WORDS * i + STALE_SIZE]
            address = refresh_range(ctl, cpu, offset, size)
            record_event(ctl, cpu, _EVENT_REFRESH, address, size, 1)
        else:
            for j in range(STALE_WORDS):
                ranges[STALE_WORDS * kept + j] = ranges[STALE_WORDS * i + j]
            kept += 1
    cpu[CPU_STALE] = kept


@jit
def leak_fetch(ctl: Words, cpu: Words) -> None:
    """Let a CPU happen to fetch one stale byte (x86-64) or word (arm64) early, now and then."""
    if ctl[CTL_FETCH] != _FETCH_RANDOM or random_word(ctl) & 7 != 0:
        return
    count = cpu[CPU_STALE]
    ranges = words(cpu[CPU_STALE_RANGES], STALE_WORDS * count)
    chosen = STALE_WORDS * (random_word(ctl) % count)
    offset, size = ranges[chosen + STALE_OFFSET], ranges[chosen + STALE_SIZE]
    unit = 4
    if ctl[CTL_PORT] == PORT_X86_64:
        unit = 1
    part = random_word(ctl) % size // unit * unit
    address = refresh_range(ctl, cpu, offset + part, unit)
    record_event(ctl, cpu, _EVENT_REFRESH, address, unit, 0)


@jit_once("int64(int64[::1], int64[::1], int64)")
def push_frame(ctl: Words, cpu: Words, kind: int) -> int:
    """Link a frame of the pool on top of the current task and return its index, -1 if none is left."""
    index = ctl[CTL_FREE_FRAME]
    if index < 0:
        cpu[CPU_STOP] = _STOP_FRAMES
        return -1
    frame = words(ctl[CTL_FRAMES] + 8 * FRAME_WORDS * index, FRAME_WORDS)
    ctl[CTL_FREE_FRAME] = frame[FRAME_BELOW]
    frame[FRAME_KIND] = kind
    frame[FRAME_BELOW] = cpu[CPU_TOP]
    cpu[CPU_TOP] = index
    return index


@jit
def pop_frame(ctl: Words, cpu: Words) -> None:
    """Give the top frame back to the pool."""
    index = cpu[CPU_TOP]
    frame = words(ctl[CTL_FRAMES] + 8 * FRAME_WORDS * index, FRAME_WORDS)
    below = frame[FRAME_BELOW]
    frame[FRAME_BELOW] = ctl[CTL_FREE_FRAME]
    ctl[CTL_FREE_FRAME] = index
    set_top(ctl, cpu, below)


@jit
def set_top(ctl: Words, cpu: Words, index: int) -> None:
    """Make ``index`` the current task's top frame."""
    cpu[CPU_TOP] = index
    cpu[CPU_EXPECTED] = -1
    if index >= 0:
        frame = words(ctl[CTL_FRAMES] + 8 * FRAME_WORDS * index, FRAME_WORDS)
        cpu[CPU_EXPECTED] = frame[FRAME_PARENT]


@jit
def push_interrupt(ctl: Words, cpu: Words, pc: int) -> None:
    """Remember that ``pc`` was landed on already when an interrupt came, so that its return is no landing."""
    index = push_frame(ctl, cpu, FRAME_INTERRUPT)
    if index < 0:
        return
    frame = words(ctl[CTL_FRAMES] + 8 * FRAME_WORDS * index, FRAME_WORDS)
    frame[FRAME_PARENT] = pc
    frame[FRAME_SP] = read_register(ctl, cpu, ctl[CTL_REG_SP])
    cpu[CPU_EXPECTED] = pc


@inline_jit
def fill_call_row(row: Words, frame: Words) -> None:
    """Put what a frame knows into a CALLS row; exit, instructions and result are not among it."""
    row[0] = frame[FRAME_SEQ]
    row[1] = frame[FRAME_DISPATCH_SEQ]
    row[2] = frame[FRAME_CPU]
    row[3] = frame[FRAME_TASK]
    row[4] = frame[FRAME_SITE]
    row[5] = frame[FRAME_PARENT]
    row[6] = frame[FRAME_TARGET]
    row[7] = frame[FRAME_PATCH]
    row[8] = frame[FRAME_STATE]
    row[9] = frame[FRAME_DEPTH]
    row[10] = frame[FRAME_FLAGS]
    row[11] = frame[FRAME_ENTER]
    row[12] = frame[FRAME_DISPATCHED]


@jit
def finish_call(ctl: Words, cpu: Words, frame: Words, result: int, more_flags: int) -> None:
    """Write the CALLS row of a frame whose call has returned."""
    n = ctl[CTL_CALL_COUNT]
    row = words(ctl[CTL_CALL_ROWS] + 8 * CALL_WORDS * n, CALL_WORDS)
    fill_call_row(row, frame)
    row[10] |= more_flags
    row[13] = clock(cpu)
    row[14] = cpu[CPU_INSNS] + cpu[CPU_TASK_BIAS] - frame[FRAME_INSNS]
    row[15] = result
    ctl[CTL_CALL_COUNT] = n + 1
    ctl[CTL_CALLS_DONE] += 1
    if ctl[CTL_CALLS_DONE] >= ctl[CTL_CALL_BUDGET] and cpu[CPU_STOP] == 0:
        cpu[CPU_STOP] = _STOP_CALLS
    if n + _ROOM >= ctl[CTL_CALL_CAPACITY]:
        cpu[CPU_STOP] = _STOP_FLUSH


@jit
def resume_at_site(ctl: Words, cpu: Words, address: int) -> None:
    """A call that was interrupted before its site ran is decided only now, by the site as it is now."""
    if cpu[CPU_TOP] < 0:
        return
    frame = words(ctl[CTL_FRAMES] + 8 * FRAME_WORDS * cpu[CPU_TOP], FRAME_WORDS)
    if frame[FRAME_KIND] != FRAME_CALL or frame[FRAME_FLAGS] & _HOOKED:
        return
    start, end = text_offset(ctl, frame[FRAME_SITE]), text_offset(ctl, address)
    if start < 0 or not 0 <= end - start < _SITE_END:
        return
    rows = halves(ctl[CTL_PROBE], ctl[CTL_TEXT_SIZE])
    for offset in range(start, end + 1):
        if words(ctl[CTL_PROBE_TABLE] + 8 * PROBE_WORDS * rows[offset], PROBE_WORDS)[PROBE_KIND] == _BODY:
            return  # the site lies behind already
    frame[FRAME_DISPATCH_SEQ] = ctl[CTL_SEQUENCE]
    ctl[CTL_SEQUENCE] += 1


@jit
def return_from_calls(ctl: Words, cpu: Words, address: int) -> bool:
    """Close every frame that returns to ``address`` now; True if that was the return of an interrupt."""
    sp = read_register(ctl, cpu, ctl[CTL_REG_SP])
    flags = 0
    for _ in range(_ROOM // 2):
        if cpu[CPU_EXPECTED] != address:
            return False
        frame = words(ctl[CTL_FRAMES] + 8 * FRAME_WORDS * cpu[CPU_TOP], FRAME_WORDS)
        if frame[FRAME_SP] != sp:
            return False
        if frame[FRAME_KIND] == FRAME_INTERRUPT:
            pop_frame(ctl, cpu)
            resume_at_site(ctl, cpu, address)
            return True
        below = frame[FRAME_BELOW]
        leaves_with_callee = 0
        if flags:
            leaves_with_callee = _TAIL
        finish_call(ctl, cpu, frame, read_register(ctl, cpu, ctl[CTL_REG_RESULT]), leaves_with_callee)
        flags = 1
        words(ctl[CTL_TASKS] + 8 * TASK_WORDS * cpu[CPU_TASK], TASK_WORDS)[TASK_DEPTH] -= 1
        pop_frame(ctl, cpu)
        if below < 0:
            return False
    return False


@jit
def enter_call(ctl: Words, cpu: Words, site: int) -> None:
    """Open a frame: the traced function at ``site`` was called."""
    sp = read_register(ctl, cpu, ctl[CTL_REG_SP])
    if ctl[CTL_PORT] == PORT_X86_64:
        parent = load_word(ctl, sp)
        sp += 8
    else:
        parent = read_register(ctl, cpu, ctl[CTL_REG_LINK])
    nested = cpu[CPU_TOP] >= 0
    index = push_frame(ctl, cpu, FRAME_CALL)
    if index < 0:
        return
    frame = words(ctl[CTL_FRAMES] + 8 * FRAME_WORDS * index, FRAME_WORDS)
    task = words(ctl[CTL_TASKS] + 8 * TASK_WORDS * cpu[CPU_TASK], TASK_WORDS)
    frame[FRAME_SEQ] = frame[FRAME_DISPATCH_SEQ] = ctl[CTL_SEQUENCE]
    ctl[CTL_SEQUENCE] += 1
    frame[FRAME_CPU] = cpu[CPU_INDEX]
    frame[FRAME_TASK] = cpu[CPU_TASK]
    frame[FRAME_SITE] = site
    frame[FRAME_PARENT] = parent
    frame[FRAME_SP] = sp
    frame[FRAME_TARGET] = site
    frame[FRAME_PATCH] = 0
    frame[FRAME_STATE] = _NOT_DISPATCHED
    frame[FRAME_DEPTH] = min(task[TASK_DEPTH], 255)
    task[TASK_DEPTH] += 1
    flags = 0
    if nested:
        flags |= _NESTED
    if load_word(ctl, cpu[CPU_PERCPU] + _PREEMPT_COUNT) & _IN_INTERRUPT:
        flags |= _IRQ
    frame[FRAME_FLAGS] = flags
    frame[FRAME_ENTER] = clock(cpu)
    frame[FRAME_DISPATCHED] = clock(cpu)
    frame[FRAME_INSNS] = cpu[CPU_INSNS] + cpu[CPU_TASK_BIAS]
    cpu[CPU_EXPECTED] = parent


@jit_once("boolean(int64[::1], int64[::1], int64, int64)")
def dispatch_call(ctl: Words, cpu: Words, target: int, patch: int) -> bool:
    """The trampoline of the top frame has handed over to ``target``; False if no call waits for that."""
    if cpu[CPU_TOP] < 0:
        return False
    frame = words(ctl[CTL_FRAMES] + 8 * FRAME_WORDS * cpu[CPU_TOP], FRAME_WORDS)
    hooked = frame[FRAME_KIND] == FRAME_CALL and frame[FRAME_FLAGS] & _HOOKED
    if not hooked or frame[FRAME_STATE] != _NOT_DISPATCHED:
        return False
    if patch:
        frame[FRAME_FLAGS] |= _REDIRECTED
    frame[FRAME_DISPATCH_SEQ] = ctl[CTL_SEQUENCE]
    ctl[CTL_SEQUENCE] += 1
    frame[FRAME_TARGET] = target
    frame[FRAME_PATCH] = patch
    frame[FRAME_DISPATCHED] = clock(cpu)
    frame[FRAME_STATE] = load_word(ctl, cpu[CPU_TASK_STRUCT] + _PATCH_STATE)
    return True


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
    record_event(ctl, cpu, _EVENT_SWITCH, previous, state, 0)


@jit
def send_ipi(ctl: Words, cpu: Words) -> None:
    """The guest raises an interrupt on another CPU: arguments (cpu, kind)."""
    target = read_register(ctl, cpu, ctl[CTL_REG_ARG0])
    kind = read_register(ctl, cpu, ctl[CTL_REG_ARG1])
    if 0 <= target < ctl[CTL_CPUS]:
        bit = IRQ_SYNC
        if kind == 1:
            bit = IRQ_TIMER
        elif kind == 2:
            bit = IRQ_RESCHEDULE
        other = words(ctl[CTL_CPU_BLOCKS] + 8 * CPU_WORDS * target, CPU_WORDS)
        other[CPU_PENDING] |= bit
        if other[CPU_HALTED]:  # it has been asleep until now
            other[CPU_HALTED] = 0
            other[CPU_CLOCK_OFFSET] += max(0, clock(cpu) - clock(other))
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
    elif kind == _BODY:
        dispatch_call(ctl, cpu, probe[PROBE_A], 0)
    elif kind == _VERSION:
        if not dispatch_call(ctl, cpu, address, probe[PROBE_A]):
            enter_call(ctl, cpu, address)
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
