"""Shadow frames: which traced calls are open on each task, and the CALLS row each becomes."""

from __future__ import annotations

from emu.compiled import inline_jit, jit, jit_once
from emu.machine.access import clock, load_word, read_register, text_offset
from emu.machine.native import Words, halves, words
from emu.machine.state import (
    CALL_WORDS,
    CPU_EXPECTED,
    CPU_INDEX,
    CPU_INSNS,
    CPU_PERCPU,
    CPU_STOP,
    CPU_TASK,
    CPU_TASK_BIAS,
    CPU_TASK_STRUCT,
    CPU_TOP,
    CTL_CALL_BUDGET,
    CTL_CALL_CAPACITY,
    CTL_CALL_COUNT,
    CTL_CALL_ROWS,
    CTL_CALLS_DONE,
    CTL_FRAMES,
    CTL_FREE_FRAME,
    CTL_PORT,
    CTL_PROBE,
    CTL_PROBE_TABLE,
    CTL_REG_LINK,
    CTL_REG_RESULT,
    CTL_REG_SP,
    CTL_SEQUENCE,
    CTL_TASKS,
    CTL_TEXT_SIZE,
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
    PORT_X86_64,
    PROBE_KIND,
    PROBE_WORDS,
    TASK_DEPTH,
    TASK_WORDS,
    ProbeKind,
    Stop,
)  # fmt: skip
from emu.structs import PERCPU, TASK
from emu.trace.schema import NOT_DISPATCHED, CallFlag

_PREEMPT_COUNT = PERCPU.offset("preempt_count")
_PATCH_STATE = TASK.offset("patch_state")
_NOT_DISPATCHED = NOT_DISPATCHED
_SITE_END = 16  # no port's landing pad and site together are longer, bytes
_IN_INTERRUPT = 0xFF0000  # HARDIRQ and NMI bits. Source: include/linux/preempt.h
_BODY = int(ProbeKind.BODY)
_HOOKED, _REDIRECTED = int(CallFlag.HOOKED), int(CallFlag.REDIRECTED)
_NESTED, _TAIL, _IRQ = int(CallFlag.NESTED), int(CallFlag.TAIL), int(CallFlag.IRQ)
_STOP_CALLS, _STOP_FLUSH = int(Stop.CALLS), int(Stop.FLUSH)
_STOP_FRAMES = int(Stop.FRAMES)
_ROOM = 128  # rows that one landing may add at most before a flush is asked for


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
