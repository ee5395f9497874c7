"""One instruction through the pipeline: fetch, dispatch, execute, retire.

Program order is the only order: each instruction finds the earliest cycles that those before it left,
as in ZSim (Sanchez and Kozyrakis, ISCA 2013). docs/cycle-model.md tells the rules.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emu.compiled import jit, merged_jit
from emu.timing.caches import reach
from emu.timing.fetch import fetch, fetch_later, follow, predict
from emu.timing.layout import (
    F_ACQUIRE,
    F_DRAIN,
    F_DRAIN_STORES,
    F_FUSES,
    F_FUSION_HEAD,
    F_KEEPS_STORE,
    F_LOAD_BARRIER,
    F_LOCK,
    F_MICROCODED,
    F_MOVE,
    F_NOP,
    F_RENAMES,
    F_RMW,
    F_SERIAL,
    F_STACK,
    F_STORE_BARRIER,
    F_STORE_DATA_ONLY,
    F_USES_STACK,
    F_VECTOR,
    F_ZERO,
    LOADS_AT,
    LOADS_WORDS,
    NONE,
    P_BRANCH_SLOTS,
    P_DIV_BITS_FREE,
    P_DIV_BITS_PER_CYCLE,
    P_DIV_BITS_UNKNOWN,
    P_ELIMINATES_MOVES,
    P_FUSED_PORTS,
    P_FUSES_BRANCHES,
    P_FUSES_NOPS,
    P_ISSUE_DELAY,
    P_LOAD_AFTER_LOCK,
    P_LOAD_LATENCY,
    P_LOAD_PORTS,
    P_LOAD_QUEUE,
    P_LOCK_WAITS_FOR_OLDER,
    P_MISPREDICT,
    P_MISPREDICT_RETURN,
    P_REP_BYTES_PER_CYCLE,
    P_REP_LONG,
    P_REP_SHORT_BYTES,
    P_RETIRE_WIDTH,
    P_RMW_ONE_AGU,
    P_ROB,
    P_SERIALISE,
    P_STACK_ENGINE,
    P_STORE_DATA_PORTS,
    P_STORE_LATENCY,
    P_STORE_PORTS,
    P_VECTOR_LOAD_EXTRA,
    P_VECTOR_LOADS,
    P_WIDTH,
    R_BLOCK,
    R_BLOCK_DATA,
    R_BRANCH,
    R_BUSY,
    R_DEST0,
    R_DETAIL,
    R_DRAIN,
    R_EXTRA0,
    R_FLAGS,
    R_LATENCY,
    R_LENGTH,
    R_LOAD_ADDRESS0,
    R_LOAD_EXTRA,
    R_LOAD_SIZE,
    R_LOADS,
    R_LOCK,
    R_PORTS,
    R_SLOTS,
    R_SOURCE0,
    R_STORE_ADDRESS0,
    R_STORE_SIZE,
    R_STORES,
    R_UOPS,
    R_WRITEBACK,
    REGISTER_AT,
    ROB_AT,
    ROB_WORDS,
    ROW_WORDS,
    T_ALL_DONE,
    T_BLOCK,
    T_BLOCK_REASON,
    T_CLOCK,
    T_COMMIT,
    T_CPUS,
    T_DISPATCH,
    T_FETCH_REASON,
    T_HEAD_CYCLE,
    T_HEAD_END,
    T_HEAD_PORT,
    T_HEAD_READY,
    T_INSTRUCTIONS,
    T_LAST_PORT,
    T_LOAD_BARRIER,
    T_LOAD_COUNT,
    T_LOADS_DONE,
    T_LOCK_DONE,
    T_MISPREDICTS,
    T_NOP_OPEN,
    T_REPEAT_BYTES,
    T_REPEAT_PC,
    T_REPEAT_START,
    T_RETIRE,
    T_RETIRED,
    T_ROB_COUNT,
    T_SLOTS,
    T_STACK_MOVED,
    V_COMPLETE,
    V_DISPATCH,
    V_DISPATCH_WAIT,
    V_FETCH,
    V_ISSUE,
    V_ISSUE_WAIT,
    V_MISPREDICTED,
    V_READY,
    V_RETIRE,
    X86_STACK_POINTER,
    Branch,
    Detail,
    Wait,
)
from emu.timing.ports import free_port, take_port
from emu.timing.stores import commit_store, load_done, order_stores, queue_free

Words = NDArray[np.int64]

_CALL, _INDIRECT_CALL = int(Branch.CALL), int(Branch.INDIRECT_CALL)
_CONDITIONAL, _RETURN, _OTHER = int(Branch.CONDITIONAL), int(Branch.RETURN), int(Branch.OTHER)
_QUOTIENT_BITS, _COUNT = int(Detail.QUOTIENT_BITS), int(Detail.COUNT)
_NOTHING, _WIDTH, _ROB, _QUEUE = int(Wait.NOTHING), int(Wait.WIDTH), int(Wait.ROB), int(Wait.QUEUE)
_MICROCODE, _DRAIN, _SOURCE, _ADDRESS = (
    int(Wait.MICROCODE),
    int(Wait.DRAIN),
    int(Wait.SOURCE),
    int(Wait.ADDRESS),
)
_PORT, _LOCK, _MISPREDICT = int(Wait.PORT), int(Wait.LOCK), int(Wait.MISPREDICT)


@merged_jit
def latest(cpu: Words, rows: Words, first: int, count: int) -> int:
    """Return when the last of up to ``count`` registers is ready, whose numbers stand at ``first``."""
    ready = 0
    for slot in range(first, first + count):
        register = rows[slot]
        if register == NONE:
            break
        ready = max(ready, cpu[REGISTER_AT + register])
    return ready


@merged_jit
def dispatch(cpu: Words, fetched: int, slots: int, loads: int, stores: int) -> int:
    """Return the cycle in which an instruction enters the back end, in order, a few per cycle."""
    cycle, reason = cpu[T_DISPATCH], _WIDTH
    if fetched > cycle:
        cycle, reason = fetched, cpu[T_FETCH_REASON]
    if cpu[T_BLOCK] > cycle:
        cycle, reason = cpu[T_BLOCK], cpu[T_BLOCK_REASON]
    count = cpu[T_ROB_COUNT] + slots
    room = cpu[ROB_AT + ((count - cpu[P_ROB]) & (ROB_WORDS - 1))]
    if room > cycle:
        cycle, reason = room, _ROB
    if stores and queue_free(cpu) > cycle:
        cycle, reason = queue_free(cpu), _QUEUE
    if loads:
        room = cpu[LOADS_AT + ((cpu[T_LOAD_COUNT] + 1 - cpu[P_LOAD_QUEUE]) & (LOADS_WORDS - 1))]
        if room > cycle:
            cycle, reason = room, _QUEUE
    if cycle > cpu[T_DISPATCH]:
        cpu[T_SLOTS] = 0
    elif cpu[T_SLOTS] + slots <= cpu[P_WIDTH]:
        reason = _NOTHING
    used = cpu[T_SLOTS] + slots
    if cpu[T_SLOTS] >= cpu[P_WIDTH] and slots:
        cycle += 1
        used = slots
    cpu[T_DISPATCH] = cycle
    while used > cpu[P_WIDTH]:
        cpu[T_DISPATCH] += 1
        used -= cpu[P_WIDTH]
    cpu[T_SLOTS] = used
    cpu[V_DISPATCH], cpu[V_DISPATCH_WAIT] = cycle, reason
    return cycle


@merged_jit
def block(cpu: Words, cycle: int, reason: int) -> None:
    """Dispatch nothing more before ``cycle``."""
    if cycle > cpu[T_BLOCK]:
        cpu[T_BLOCK], cpu[T_BLOCK_REASON] = cycle, reason


@merged_jit
def retire(cpu: Words, complete: int, slots: int) -> int:
    """Retire in order, a few per cycle; return the cycle."""
    cycle = max(cpu[T_RETIRE], complete)
    if cycle > cpu[T_RETIRE]:
        cpu[T_RETIRED] = 0
    elif cpu[T_RETIRED] >= cpu[P_RETIRE_WIDTH]:
        cycle += 1
        cpu[T_RETIRED] = 0
    cpu[T_RETIRED] += slots
    cpu[T_RETIRE] = cycle
    for _ in range(slots):
        count = cpu[T_ROB_COUNT] + 1
        cpu[T_ROB_COUNT] = count
        cpu[ROB_AT + (count & (ROB_WORDS - 1))] = cycle
    cpu[T_CLOCK] = cycle
    cpu[V_RETIRE] = cycle
    return cycle


@merged_jit
def is_taken(kind: int, following: int, next_pc: int) -> bool:
    """Tell whether fetch leaves the straight line: jumps and returns do, a call of what follows not."""
    return next_pc != following or kind not in (_CONDITIONAL, _CALL)


@merged_jit
def begin_repeat(cpu: Words, pc: int, entered: int, start: int) -> None:
    """Note that a repeated string instruction has begun: its first repetition is a step as any other."""
    cpu[T_REPEAT_PC], cpu[T_REPEAT_BYTES], cpu[T_REPEAT_START] = pc, 0, entered + start


@merged_jit
def repeat(cpu: Words, shared: Words, load: int, store: int, size: int, more: bool) -> int:
    """Take a further repetition of a string instruction; return the clock.

    Microcode moves blocks: up to some bytes cost nothing more, then there is a longer start and a rate.
    Several of one line are one access of the cache.
    """
    if load != NONE or store != NONE:
        cpu[T_REPEAT_BYTES] += size
        if load != NONE and load & 63 < size:
            cpu[T_REPEAT_START] += reach(cpu, shared, load, False)
        if store != NONE and store & 63 < size:
            cpu[T_REPEAT_START] += reach(cpu, shared, store, True)
    done = cpu[T_REPEAT_START]
    if cpu[T_REPEAT_BYTES] > cpu[P_REP_SHORT_BYTES]:
        done += cpu[P_REP_LONG] + cpu[T_REPEAT_BYTES] // cpu[P_REP_BYTES_PER_CYCLE]
    block(cpu, done, _MICROCODE)
    cpu[T_ALL_DONE] = max(cpu[T_ALL_DONE], done)
    if not more:
        cpu[T_REPEAT_PC] = NONE
        return retire(cpu, done, 0)
    return cpu[T_CLOCK]


@jit
def step(
    cpu: Words,
    shared: Words,
    rows: Words,
    row: int,
    pc: int,
    next_pc: int,
    load: int,
    store: int,
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
        load: address of its first read, -1 if it read nothing.
        store: address of its first write, -1 if it wrote nothing.
        detail: what its latency depends on (`Detail`), -1 if that is not known.
    """
    at = row * ROW_WORDS
    flags, slots, kind, length = (
        rows[at + R_FLAGS],
        rows[at + R_SLOTS],
        rows[at + R_BRANCH],
        rows[at + R_LENGTH],
    )
    loads = rows[at + R_LOADS] if load != NONE else 0
    stores = rows[at + R_STORES] if store != NONE else 0
    cpu[T_INSTRUCTIONS] += 1
    cpu[V_MISPREDICTED] = 0
    if rows[at + R_DETAIL] == _COUNT and cpu[T_REPEAT_PC] == pc:
        size = max(rows[at + R_LOAD_SIZE], rows[at + R_STORE_SIZE])
        return repeat(cpu, shared, load, store, size, next_pc == pc)
    if flags & F_NOP and cpu[P_FUSES_NOPS]:
        slots = 0 if cpu[T_NOP_OPEN] else slots
        cpu[T_NOP_OPEN] = 1 - cpu[T_NOP_OPEN]
    else:
        cpu[T_NOP_OPEN] = 0
    fused = flags & F_FUSES and cpu[T_HEAD_END] == pc and cpu[P_FUSES_BRANCHES]
    if fused:
        slots = 0
    fetched = fetch(cpu, shared, pc, length, slots, flags & F_MICROCODED != 0)
    cpu[V_FETCH] = fetched
    entered = dispatch(cpu, fetched, slots, loads, stores)
    earliest = entered + cpu[P_ISSUE_DELAY]
    wait = _NOTHING

    if flags & F_STACK:
        cpu[T_STACK_MOVED] = cpu[P_STACK_ENGINE]
    elif flags & F_USES_STACK and cpu[T_STACK_MOVED]:
        cpu[T_STACK_MOVED] = 0
        pointer = REGISTER_AT + X86_STACK_POINTER
        cpu[pointer] = max(cpu[pointer], earliest) + 1
    ready = earliest
    if flags & F_ZERO == 0:
        sources = latest(cpu, rows, at + R_SOURCE0, 6)
        if sources > ready:
            ready, wait = sources, _SOURCE
    lock_start = 0
    if flags & F_LOCK:
        lock_start = max(earliest, cpu[T_LOCK_DONE])
        if cpu[P_LOCK_WAITS_FOR_OLDER]:
            lock_start = max(lock_start, cpu[T_LOADS_DONE])
        lock_start = max(lock_start, latest(cpu, rows, at + R_LOAD_ADDRESS0, 2))
        ready = max(ready, lock_start)
        wait = _LOCK
    issue = ready
    if loads:
        address_ready = latest(cpu, rows, at + R_LOAD_ADDRESS0, 2)
        start = max(earliest, address_ready, cpu[T_LOAD_BARRIER], lock_start)
        load_wait = _ADDRESS if address_ready > earliest else _NOTHING
        if cpu[T_LOAD_BARRIER] > max(earliest, address_ready):
            load_wait = _LOCK
        load_ports = cpu[P_LOAD_PORTS]
        if flags & F_RMW and cpu[P_RMW_ONE_AGU]:
            load_ports &= cpu[P_STORE_PORTS]
        if flags & F_VECTOR:
            load_ports &= cpu[P_VECTOR_LOADS]
        issue = take_port(cpu, load_ports, start, 1)
        if (load & 63) + rows[at + R_LOAD_SIZE] > 64:
            take_port(cpu, load_ports, issue, 1)
        for _ in range(1, loads):
            issue = max(issue, take_port(cpu, load_ports, start, 1))
        if issue > start:
            load_wait = _PORT
        extra = rows[at + R_LOAD_EXTRA]
        if flags & F_VECTOR:
            extra += cpu[P_VECTOR_LOAD_EXTRA]
        done, why = load_done(
            cpu, shared, load, rows[at + R_LOAD_SIZE], issue, earliest, extra, flags & F_RENAMES != 0
        )
        if flags & F_LOCK and cpu[T_CPUS] > 1:  # it needs the line itself, not what its own store left
            done = max(done, issue + cpu[P_LOAD_LATENCY] + reach(cpu, shared, load, True))
        count = cpu[T_LOAD_COUNT] + 1
        cpu[T_LOAD_COUNT] = count
        cpu[LOADS_AT + (count & (LOADS_WORDS - 1))] = done
        cpu[T_LOADS_DONE] = max(cpu[T_LOADS_DONE], done)
        if flags & F_ACQUIRE:
            cpu[T_LOAD_BARRIER] = max(cpu[T_LOAD_BARRIER], done)
        if done > ready:
            ready, wait = done, why if why else load_wait
    complete = ready
    uops, ports = rows[at + R_UOPS], rows[at + R_PORTS]
    latency, busy = rows[at + R_LATENCY], rows[at + R_BUSY]
    detailed = rows[at + R_DETAIL]
    if detailed == _QUOTIENT_BITS:
        bits = detail if detail >= 0 else cpu[P_DIV_BITS_UNKNOWN]
        more = max(bits - cpu[P_DIV_BITS_FREE], 0) // cpu[P_DIV_BITS_PER_CYCLE]
        latency += more
        busy += more
    if fused:
        free_port(cpu, cpu[T_HEAD_CYCLE], cpu[T_HEAD_PORT])
        issue = take_port(cpu, cpu[P_FUSED_PORTS], cpu[T_HEAD_READY], 1)
        complete = issue + 1
    elif flags & F_ZERO or (flags & F_MOVE and cpu[P_ELIMINATES_MOVES]):
        issue = ready
        complete = earliest if flags & F_ZERO else ready
    elif uops:
        issue = take_port(cpu, ports, ready, busy)
        for _ in range(1, uops):
            take_port(cpu, ports, ready, 1)
        if issue > ready:
            wait = _PORT
        complete = issue + latency
    if kind and cpu[P_BRANCH_SLOTS]:
        complete = max(complete, take_port(cpu, cpu[P_BRANCH_SLOTS], issue, 1) + 1)
    if flags & F_FUSION_HEAD:
        cpu[T_HEAD_END], cpu[T_HEAD_CYCLE] = pc + length, issue
        cpu[T_HEAD_PORT], cpu[T_HEAD_READY] = cpu[T_LAST_PORT], ready
    else:
        cpu[T_HEAD_END] = NONE
    if flags & F_LOCK:
        complete = max(complete, lock_start + rows[at + R_LOCK])
        cpu[T_LOCK_DONE] = complete
        cpu[T_LOAD_BARRIER] = max(cpu[T_LOAD_BARRIER], lock_start + cpu[P_LOAD_AFTER_LOCK])

    if stores and flags & F_STORE_DATA_ONLY and rows[at + R_DEST0] != NONE and cpu[T_CPUS] > 1:
        owning = reach(cpu, shared, store, True)  # a store-exclusive: it tells whether the line was kept
        if owning:
            complete += owning
            cpu[T_LOAD_BARRIER] = max(cpu[T_LOAD_BARRIER], complete)  # the line is not read while it moves
    for slot in range(4):
        register = rows[at + R_DEST0 + slot]
        if register == NONE:
            break
        cpu[REGISTER_AT + register] = complete + rows[at + R_EXTRA0 + slot]
    if rows[at + R_WRITEBACK] != NONE:
        cpu[REGISTER_AT + rows[at + R_WRITEBACK]] = (
            max(earliest, latest(cpu, rows, at + R_LOAD_ADDRESS0, 2)) + 1
        )

    finished = complete
    if stores:
        start = max(earliest, latest(cpu, rows, at + R_STORE_ADDRESS0, 2))
        if not (flags & F_RMW and cpu[P_RMW_ONE_AGU]):
            for _ in range(stores):
                start = take_port(cpu, cpu[P_STORE_PORTS], start, 1)
        data = sources if flags & F_STORE_DATA_ONLY else complete
        if cpu[P_STORE_DATA_PORTS]:
            data = take_port(cpu, cpu[P_STORE_DATA_PORTS], max(data, earliest), 1)
        finished = max(complete, start + cpu[P_STORE_LATENCY], data)

    branch_right = True
    if kind:
        branch_right = kind != _OTHER and predict(cpu, kind, pc, length, next_pc)
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
    if detailed == _COUNT:
        begin_repeat(cpu, pc, entered, rows[at + R_BLOCK])
    if flags & F_LOAD_BARRIER:
        cpu[T_LOAD_BARRIER] = max(cpu[T_LOAD_BARRIER], cpu[T_LOADS_DONE])
    if flags & F_SERIAL:
        fetch_later(cpu, max(cpu[T_ALL_DONE], finished) + cpu[P_SERIALISE], _DRAIN)
    cpu[T_ALL_DONE] = max(cpu[T_ALL_DONE], finished)
    clock = retire(cpu, finished, slots)
    if stores:
        size = rows[at + R_STORE_SIZE]
        commit_store(
            cpu,
            shared,
            store,
            size,
            data,
            clock,
            flags & F_KEEPS_STORE == 0,
            flags & F_RMW != 0 or kind in (_CALL, _INDIRECT_CALL),
        )
    if flags & F_STORE_BARRIER:
        order_stores(cpu, clock)
    if kind:
        follow(cpu, shared, kind, pc, next_pc, is_taken(kind, pc + length, next_pc), branch_right)
        if not branch_right:
            cpu[T_MISPREDICTS] += 1
            cpu[V_MISPREDICTED] = 1
            penalty = cpu[P_MISPREDICT_RETURN] if kind == _RETURN else cpu[P_MISPREDICT]
            fetch_later(cpu, complete + penalty, _MISPREDICT)
    cpu[V_READY], cpu[V_ISSUE], cpu[V_COMPLETE], cpu[V_ISSUE_WAIT] = ready, issue, complete, wait
    return clock
