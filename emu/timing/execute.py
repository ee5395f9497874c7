"""Out of order: registers that become ready, loads, operations on ports, results."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emu.compiled import jit, merged_jit
from emu.timing.caches import reach
from emu.timing.layout import (
    ALWAYS_READY,
    F_ACQUIRE,
    F_DETAIL,
    F_FUSION_HEAD,
    F_LOCK,
    F_MOVE,
    F_RENAMES,
    F_RMW,
    F_STACK,
    F_STORE_DATA_ONLY,
    F_VECTOR,
    F_ZERO,
    LOADED_AT,
    LOADS_AT,
    LOADS_WORDS,
    NEVER_READ,
    NONE,
    P_BRANCH_SLOTS,
    P_DIV_BITS_FREE,
    P_DIV_BITS_PER_CYCLE,
    P_DIV_BITS_UNKNOWN,
    P_DIV_OVERLAP,
    P_ELIMINATES_MOVES,
    P_FORWARD_OPERAND,
    P_FUSED_PORTS,
    P_LOAD_LATENCY,
    P_LOAD_PORTS,
    P_LOAD_TO_ADDRESS,
    P_LOCK_WAITS_FOR_OLDER,
    P_RMW_ONE_AGU,
    P_STORE_DATA_PORTS,
    P_STORE_LATENCY,
    P_STORE_PORTS,
    P_VECTOR_LOAD_EXTRA,
    P_VECTOR_LOADS,
    R_BUSY,
    R_DEST0,
    R_DETAIL,
    R_EXTRA0,
    R_LATENCY,
    R_LOAD_ADDRESS0,
    R_LOAD_EXTRA,
    R_LOAD_SIZE,
    R_PORTS,
    R_SOURCE0,
    R_STORE_ADDRESS0,
    R_UOPS,
    R_WRITEBACK,
    REGISTER_AT,
    T_CPUS,
    T_HEAD_CYCLE,
    T_HEAD_END,
    T_HEAD_PORT,
    T_HEAD_READY,
    T_LAST_PORT,
    T_LOAD_BARRIER,
    T_LOAD_COUNT,
    T_LOADS_DONE,
    T_LOCK_DONE,
    Detail,
    Wait,
)
from emu.timing.ports import free_port, take_more_ports, take_port
from emu.timing.stores import load_done

Words = NDArray[np.int64]
Rows = NDArray[np.int32]

_QUOTIENT_BITS = int(Detail.QUOTIENT_BITS)
_NOTHING, _ADDRESS, _PORT, _LOCK = int(Wait.NOTHING), int(Wait.ADDRESS), int(Wait.PORT), int(Wait.LOCK)
_REGISTER = 127
"""Mask of register numbers: it tells the compiler that none is negative."""


@merged_jit
def register_ready(cpu: Words, rows: Rows, slot: int) -> int:
    """Return when the register whose number stands at ``slot`` of the rows is ready."""
    return cpu[REGISTER_AT + (rows[slot] & _REGISTER)]


@merged_jit
def sources_ready(cpu: Words, rows: Rows, at: int) -> int:
    """Return when the last source of the instruction at ``at`` is ready. Few have more than three."""
    first = at + R_SOURCE0
    ready = max(register_ready(cpu, rows, first), register_ready(cpu, rows, first + 1))
    ready = max(ready, register_ready(cpu, rows, first + 2))
    if rows[first + 3] != ALWAYS_READY:
        for slot in range(first + 3, first + 6):
            ready = max(ready, register_ready(cpu, rows, slot))
    return ready


@merged_jit
def address_ready(cpu: Words, rows: Rows, first: int) -> int:
    """Return when both registers of an address are ready, whose numbers stand at ``first``."""
    return max(register_ready(cpu, rows, first), register_ready(cpu, rows, first + 1))


@merged_jit
def load_address_ready(cpu: Words, rows: Rows, first: int) -> int:
    """Return when a load has both registers of its address; another load's result is its base sooner."""
    base = register_ready(cpu, rows, first)
    if cpu[P_LOAD_TO_ADDRESS] and cpu[LOADED_AT + (rows[first] & _REGISTER)] == base:
        base -= cpu[P_LOAD_TO_ADDRESS]
    return max(base, register_ready(cpu, rows, first + 1))


@jit
def first_step(cpu: Words, rows: Rows, at: int, earliest: int) -> int:
    """Take the port of an operation before the instruction's own; return when that has its result."""
    return (
        take_port(cpu, rows[at + R_PORTS], max(earliest, address_ready(cpu, rows, at + R_LOAD_ADDRESS0)), 1)
        + 1
    )


@jit
def lock_start(cpu: Words, rows: Rows, at: int, earliest: int) -> int:
    """Return when a locked operation can start: behind the one before, and behind older loads if it must."""
    start = max(earliest, cpu[T_LOCK_DONE])
    if cpu[P_LOCK_WAITS_FOR_OLDER]:
        start = max(start, cpu[T_LOADS_DONE])
    return max(start, address_ready(cpu, rows, at + R_LOAD_ADDRESS0))


@merged_jit
def load(
    cpu: Words, shared: Words, rows: Rows, at: int, flags: int, loads: int, address: int,
    earliest: int, locked_from: int,
) -> tuple[int, int]:  # fmt: skip
    """Load the operand at ``address``; return when it is there and what it waited for (`Wait`)."""
    addressed, barrier = load_address_ready(cpu, rows, at + R_LOAD_ADDRESS0), cpu[T_LOAD_BARRIER]
    start = max(max(earliest, addressed), max(barrier, locked_from))
    wait = _ADDRESS if addressed > earliest else _NOTHING
    if barrier > max(earliest, addressed):
        wait = _LOCK
    ports = cpu[P_LOAD_PORTS]
    if flags & F_RMW and cpu[P_RMW_ONE_AGU]:
        ports &= cpu[P_STORE_PORTS]
    extra, size = rows[at + R_LOAD_EXTRA], rows[at + R_LOAD_SIZE]
    if flags & F_VECTOR:
        ports &= cpu[P_VECTOR_LOADS]
        extra += cpu[P_VECTOR_LOAD_EXTRA]
    later = 0 if flags & (F_RMW | F_STACK) or rows[at + R_UOPS] == 0 else cpu[P_FORWARD_OPERAND]
    issue = take_port(cpu, ports, start, 1)
    if (address & 63) + size > 64:
        take_more_ports(cpu, ports, issue, 1)
    if loads > 1:
        issue = max(issue, take_more_ports(cpu, ports, start, loads - 1))
    if issue > start:
        wait = _PORT
    done, why = load_done(cpu, shared, address, size, issue, earliest, extra, later, flags)
    if flags & F_LOCK and cpu[T_CPUS] > 1:  # it needs the line itself, not what its own store left
        done = max(done, issue + cpu[P_LOAD_LATENCY] + reach(cpu, shared, address, True))
    count = cpu[T_LOAD_COUNT] + 1
    cpu[T_LOAD_COUNT] = count
    cpu[LOADS_AT + (count & (LOADS_WORDS - 1))] = done
    cpu[T_LOADS_DONE] = max(cpu[T_LOADS_DONE], done)
    if flags & F_ACQUIRE:
        cpu[T_LOAD_BARRIER] = max(barrier, done)
    return done, why if why else wait


@jit
def quotient_time(cpu: Words, bits: int) -> int:
    """Return the cycles that a division takes beyond the least."""
    if bits < 0:
        bits = cpu[P_DIV_BITS_UNKNOWN]
    return max(bits - cpu[P_DIV_BITS_FREE], 0) // cpu[P_DIV_BITS_PER_CYCLE]


@merged_jit
def execute(
    cpu: Words, rows: Rows, at: int, flags: int, kind: int, end: int, fused: bool, ready: int, earliest: int,
    detail: int,
) -> tuple[int, int]:  # fmt: skip
    """Take the ports that an instruction needs; return when it issues and when it is complete.

    Args:
        kind: `Branch`.
        end: address behind it.
        fused: it goes together with the instruction before it, whose port it takes over.
        ready: when its operands are; ``earliest``: when it could have issued without waiting for them.
        detail: of the step.
    """
    uops = rows[at + R_UOPS]
    issue = complete = ready
    if flags & F_ZERO:
        uops, complete = 0, earliest
    elif flags & F_MOVE and cpu[P_ELIMINATES_MOVES]:
        uops = 0
    from_cycle = ready
    ports, latency, busy = rows[at + R_PORTS], rows[at + R_LATENCY], rows[at + R_BUSY]
    if flags & F_DETAIL and rows[at + R_DETAIL] == _QUOTIENT_BITS:
        more = quotient_time(cpu, detail)
        latency += more
        busy += max(more - cpu[P_DIV_OVERLAP], 0)
    if fused:
        free_port(cpu, cpu[T_HEAD_CYCLE], cpu[T_HEAD_PORT])
        from_cycle, ports, latency, busy, uops = cpu[T_HEAD_READY], cpu[P_FUSED_PORTS], 1, 1, 1
    if uops:
        issue = take_port(cpu, ports, from_cycle, busy)
        if uops > 1:
            take_more_ports(cpu, ports, ready, uops - 1)
        complete = issue + latency
    if kind and cpu[P_BRANCH_SLOTS]:
        complete = max(complete, take_port(cpu, cpu[P_BRANCH_SLOTS], issue, 1) + 1)
    if flags & F_FUSION_HEAD:
        cpu[T_HEAD_END], cpu[T_HEAD_CYCLE] = end, issue
        cpu[T_HEAD_PORT], cpu[T_HEAD_READY] = cpu[T_LAST_PORT], ready
    else:
        cpu[T_HEAD_END] = NONE
    return issue, complete


@merged_jit
def write_results(cpu: Words, rows: Rows, at: int, flags: int, complete: int, earliest: int) -> None:
    """Say when the registers that an instruction writes are ready. Few write more than two."""
    first = at + R_DEST0
    cpu[REGISTER_AT + (rows[first] & _REGISTER)] = complete + rows[at + R_EXTRA0]
    cpu[REGISTER_AT + (rows[first + 1] & _REGISTER)] = complete + rows[at + R_EXTRA0 + 1]
    if rows[first + 2] != NEVER_READ:
        for slot in range(2, 4):
            cpu[REGISTER_AT + (rows[first + slot] & _REGISTER)] = complete + rows[at + R_EXTRA0 + slot]
    if flags & F_RENAMES and cpu[P_LOAD_TO_ADDRESS] and rows[at + R_UOPS] == 0:
        cpu[LOADED_AT + (rows[first] & _REGISTER)] = complete  # of a pair only the first
    if rows[at + R_WRITEBACK] != NEVER_READ:
        updated = max(earliest, address_ready(cpu, rows, at + R_LOAD_ADDRESS0)) + 1
        cpu[REGISTER_AT + (rows[at + R_WRITEBACK] & _REGISTER)] = updated


@merged_jit
def store_operand(
    cpu: Words, rows: Rows, at: int, flags: int, stores: int, sources: int, complete: int, earliest: int
) -> tuple[int, int]:
    """Find the address and the data of a store; return when the data is there, and when both are."""
    start = max(earliest, address_ready(cpu, rows, at + R_STORE_ADDRESS0))
    if not (flags & F_RMW and cpu[P_RMW_ONE_AGU]):
        for _ in range(stores):
            start = take_port(cpu, cpu[P_STORE_PORTS], start, 1)
    data = sources if flags & F_STORE_DATA_ONLY else complete
    if cpu[P_STORE_DATA_PORTS]:
        data = take_port(cpu, cpu[P_STORE_DATA_PORTS], max(data, earliest), 1)
    return data, max(complete, max(start + cpu[P_STORE_LATENCY], data))
