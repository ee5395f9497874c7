"""One instruction through the pipeline: fetch, dispatch, execute, retire.

Program order is the only order: each instruction finds the earliest cycles that those before it left,
as in ZSim (Sanchez and Kozyrakis, ISCA 2013). docs/cycle-model.md tells the rules.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emu.compiled import jit, merged_jit
from emu.timing.caches import reach
from emu.timing.dispatch import block, dispatch, retire
from emu.timing.execute import (
    execute,
    first_step,
    load,
    lock_start,
    sources_ready,
    store_operand,
    write_results,
)
from emu.timing.fetch import fetch, fetch_later, follow, predict
from emu.timing.layout import (
    F_DETAIL,
    F_DRAIN,
    F_DRAIN_STORES,
    F_FUSES,
    F_HOLDS,
    F_KEEPS_STORE,
    F_LOAD_BARRIER,
    F_LOCK,
    F_MICROCODED,
    F_NOP,
    F_RMW,
    F_SERIAL,
    F_STACK,
    F_STORE_BARRIER,
    F_STORE_DATA_ONLY,
    F_TWO_STEPS,
    F_USES_STACK,
    F_ZERO,
    NEVER_READ,
    NONE,
    P_FUSES_BRANCHES,
    P_FUSES_NOPS,
    P_ISSUE_DELAY,
    P_LOAD_AFTER_LOCK,
    P_LOCK_MOVED,
    P_MISPREDICT,
    P_MISPREDICT_RETURN,
    P_SERIALISE,
    P_STACK_ENGINE,
    R_BLOCK,
    R_BLOCK_DATA,
    R_BRANCH,
    R_DEST0,
    R_DETAIL,
    R_DRAIN,
    R_FLAGS,
    R_LENGTH,
    R_LOAD_SIZE,
    R_LOADS,
    R_LOCK,
    R_SLOTS,
    R_STORE_SIZE,
    R_STORES,
    REGISTER_AT,
    ROW_WORDS,
    T_ALL_DONE,
    T_COMMIT,
    T_CPUS,
    T_HEAD_END,
    T_INSTRUCTIONS,
    T_LOAD_BARRIER,
    T_LOADS_DONE,
    T_LOCK_ADDRESS,
    T_LOCK_DONE,
    T_MISPREDICTS,
    T_NOP_OPEN,
    T_REPEAT_PC,
    T_STACK_MOVED,
    V_COMPLETE,
    V_FETCH,
    V_ISSUE,
    V_ISSUE_WAIT,
    V_MISPREDICTED,
    V_READY,
    X86_STACK_POINTER,
    Branch,
    Detail,
    Wait,
)
from emu.timing.stores import commit_store, order_stores
from emu.timing.strings import begin_repeat, repeat

Words = NDArray[np.int64]
Rows = NDArray[np.int32]

_CALL, _INDIRECT_CALL = int(Branch.CALL), int(Branch.INDIRECT_CALL)
_CONDITIONAL, _RETURN, _OTHER = int(Branch.CONDITIONAL), int(Branch.RETURN), int(Branch.OTHER)
_COUNT = int(Detail.COUNT)
_NOTHING, _MICROCODE, _DRAIN = int(Wait.NOTHING), int(Wait.MICROCODE), int(Wait.DRAIN)
_SOURCE, _PORT, _LOCK, _MISPREDICT = int(Wait.SOURCE), int(Wait.PORT), int(Wait.LOCK), int(Wait.MISPREDICT)


@merged_jit
def is_taken(kind: int, following: int, next_pc: int) -> bool:
    """Tell whether fetch leaves the straight line: jumps and returns do, a call of what follows not."""
    return next_pc != following or kind not in (_CONDITIONAL, _CALL)


@merged_jit
def slots_taken(cpu: Words, slots: int, flags: int, kind: int, fused: bool) -> int:
    """Return the dispatch slots that an instruction takes: none if it shares that of the one before.

    A NOP does behind another NOP, on some CPUs behind any one instruction but a branch.
    """
    if flags & F_NOP and cpu[P_FUSES_NOPS]:
        slots = 0 if cpu[T_NOP_OPEN] else slots
        cpu[T_NOP_OPEN] = 1 - cpu[T_NOP_OPEN]
    else:
        cpu[T_NOP_OPEN] = 1 if cpu[P_FUSES_NOPS] > 1 and not kind else 0
    return 0 if fused else slots


@jit
def end_lock(cpu: Words, rows: Rows, at: int, address: int, start: int, complete: int) -> int:
    """Keep what is behind a locked operation from starting before it; return when that is complete.

    One at another address than the last takes at least a time of its own.
    """
    least = rows[at + R_LOCK]
    if address != cpu[T_LOCK_ADDRESS]:
        least = max(least, cpu[P_LOCK_MOVED])
        cpu[T_LOCK_ADDRESS] = address
    complete = max(complete, start + least)
    cpu[T_LOCK_DONE] = complete
    cpu[T_LOAD_BARRIER] = max(cpu[T_LOAD_BARRIER], start + cpu[P_LOAD_AFTER_LOCK])
    return complete


@jit
def hold_back(cpu: Words, rows: Rows, at: int, pc: int, entered: int, ready: int, finished: int) -> int:
    """Let an instruction drain, serialise, block dispatch or bar loads; return when it is finished."""
    flags = rows[at + R_FLAGS]
    if flags & F_DRAIN:
        drained = max(cpu[T_ALL_DONE], entered)
        if flags & F_DRAIN_STORES:
            drained = max(drained, cpu[T_COMMIT])
        block(cpu, drained + rows[at + R_DRAIN], _DRAIN)
        finished = max(finished, drained)
    if rows[at + R_BLOCK]:
        block(cpu, entered + rows[at + R_BLOCK], _MICROCODE)
        if rows[at + R_BLOCK_DATA]:
            block(cpu, ready + rows[at + R_BLOCK_DATA], _MICROCODE)
    if rows[at + R_DETAIL] == _COUNT:
        begin_repeat(cpu, pc, entered, rows[at + R_BLOCK])
    if flags & F_LOAD_BARRIER:
        cpu[T_LOAD_BARRIER] = max(cpu[T_LOAD_BARRIER], cpu[T_LOADS_DONE])
    if flags & F_SERIAL:
        fetch_later(cpu, max(cpu[T_ALL_DONE], finished) + cpu[P_SERIALISE], _DRAIN)
    return finished


@merged_jit
def step(
    cpu: Words,
    shared: Words,
    rows: Rows,
    row: int,
    pc: int,
    next_pc: int,
    loaded: int,
    stored: int,
    detail: int,
) -> int:
    """Take one executed instruction through the pipeline; return the cycle in which it retired.

    Args:
        cpu: of `new_cpu`.
        shared: of `new_shared`.
        rows: ``RowTable.array``.
        row: number of the instruction's row.
        pc: its address.
        next_pc: address that is executed next.
        loaded: address of its first read, -1 if it read nothing.
        stored: address of its first write, -1 if it wrote nothing.
        detail: what its latency depends on (`Detail`), -1 if that is not known.
    """
    at = row * ROW_WORDS
    flags, kind, end = rows[at + R_FLAGS], rows[at + R_BRANCH], pc + rows[at + R_LENGTH]
    loads = rows[at + R_LOADS] if loaded != NONE else 0
    stores = rows[at + R_STORES] if stored != NONE else 0
    cpu[T_INSTRUCTIONS] += 1
    cpu[V_MISPREDICTED] = 0
    if flags & F_DETAIL and rows[at + R_DETAIL] == _COUNT and cpu[T_REPEAT_PC] == pc:
        size = max(rows[at + R_LOAD_SIZE], rows[at + R_STORE_SIZE])
        return repeat(cpu, shared, loaded, stored, size, next_pc == pc)
    fused = flags & F_FUSES != 0 and cpu[T_HEAD_END] == pc and cpu[P_FUSES_BRANCHES] != 0
    slots = slots_taken(cpu, rows[at + R_SLOTS], flags, kind, fused)
    fetched = fetch(cpu, shared, pc, rows[at + R_LENGTH], slots, flags & F_MICROCODED != 0)
    cpu[V_FETCH] = fetched
    entered = dispatch(cpu, fetched, slots, loads, stores or flags & F_STORE_BARRIER)
    earliest = entered + cpu[P_ISSUE_DELAY]

    if flags & F_STACK:
        cpu[T_STACK_MOVED] = cpu[P_STACK_ENGINE]
    elif flags & F_USES_STACK and cpu[T_STACK_MOVED]:
        cpu[T_STACK_MOVED] = 0
        pointer = REGISTER_AT + X86_STACK_POINTER
        cpu[pointer] = max(cpu[pointer], earliest) + 1
    sources = sources_ready(cpu, rows, at)
    ready, wait, locked_from = earliest, _NOTHING, 0
    if sources > ready and flags & F_ZERO == 0:
        ready, wait = sources, _SOURCE
    if flags & F_TWO_STEPS:
        added = first_step(cpu, rows, at, earliest)
        if added > ready:
            ready, wait = added, _SOURCE
    if flags & F_LOCK:
        locked_from = lock_start(cpu, rows, at, earliest)
        ready, wait = max(ready, locked_from), _LOCK
    if loads:
        done, why = load(cpu, shared, rows, at, flags, loads, loaded, earliest, locked_from)
        if done > ready:
            ready, wait = done, why
    issue, complete = execute(cpu, rows, at, flags, kind, end, fused, ready, earliest, detail)
    if issue > ready and not fused:
        wait = _PORT
    if flags & F_LOCK:
        complete = end_lock(cpu, rows, at, loaded, locked_from, complete)
    if stores and flags & F_STORE_DATA_ONLY and cpu[T_CPUS] > 1 and rows[at + R_DEST0] != NEVER_READ:
        owning = reach(cpu, shared, stored, True)  # a store-exclusive: it tells whether the line was kept
        if owning:
            complete += owning
            cpu[T_LOAD_BARRIER] = max(cpu[T_LOAD_BARRIER], complete)  # the line is not read while it moves
    write_results(cpu, rows, at, flags, complete, earliest)
    data = finished = complete
    if stores:
        data, finished = store_operand(cpu, rows, at, flags, stores, sources, complete, earliest)

    right = True
    if kind:
        right = kind != _OTHER and predict(cpu, kind, pc, rows[at + R_LENGTH], next_pc)
    if flags & F_HOLDS:
        finished = hold_back(cpu, rows, at, pc, entered, ready, finished)
    cpu[T_ALL_DONE] = max(cpu[T_ALL_DONE], finished)
    clock = retire(cpu, finished, slots)
    if stores:
        pairs = flags & F_RMW != 0 or kind in (_CALL, _INDIRECT_CALL)
        renames = flags & F_KEEPS_STORE == 0
        commit_store(cpu, shared, stored, rows[at + R_STORE_SIZE], data, clock, renames, pairs)
    if flags & F_STORE_BARRIER:
        order_stores(cpu, clock)
    if kind:
        follow(cpu, shared, kind, pc, next_pc, is_taken(kind, end, next_pc), right)
        if not right:
            cpu[T_MISPREDICTS] += 1
            cpu[V_MISPREDICTED] = 1
            penalty = cpu[P_MISPREDICT_RETURN] if kind == _RETURN else cpu[P_MISPREDICT]
            fetch_later(cpu, complete + penalty, _MISPREDICT)
    cpu[V_READY], cpu[V_ISSUE], cpu[V_COMPLETE], cpu[V_ISSUE_WAIT] = ready, issue, complete, wait
    return clock
