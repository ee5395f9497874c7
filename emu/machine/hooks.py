"""What Unicorn calls while a CPU runs: blocks, instructions, exceptions, refused accesses, pages."""

from __future__ import annotations

from numba import types

from emu.compiled import callback, inline_jit, late_callback, merged_jit
from emu.machine.access import text_offset, write_register
from emu.machine.landing import land
from emu.machine.native import Words, call1, halves, octets, to_address, words
from emu.machine.order_call import order
from emu.machine.stacks import give_way
from emu.machine.stale import synchronise_fetch
from emu.machine.state import (
    CLASS_FENCE,
    CLASS_HALT,
    CLASS_SERIAL,
    CLASS_SERIAL_BEFORE,
    CLASS_SHADOW,
    CPU_BLOCK_END,
    CPU_BLOCK_START,
    CPU_CTL,
    CPU_EXCEPTION,
    CPU_FAULT_ADDRESS,
    CPU_FRESH,
    CPU_HALTED,
    CPU_INSNS,
    CPU_LANDED,
    CPU_LEFT,
    CPU_PAGES,
    CPU_PAUSED,
    CPU_PC,
    CPU_PENDING,
    CPU_PENDING_STORES,
    CPU_REENTER,
    CPU_SHADOW,
    CPU_STACK,
    CPU_STALE,
    CPU_STOP,
    CPU_SYNCED,
    CPU_TURN_END,
    CPU_UC,
    CPU_VIEWS,
    CPU_WORDS,
    CTL_CLASS,
    CTL_DATA_BASE,
    CTL_DATA_SIZE,
    CTL_EMU_STOP,
    CTL_INSN_INDEX,
    CTL_INSNS_DONE,
    CTL_LENGTH,
    CTL_REG_PC,
    CTL_SCHEDULE,
    CTL_TEXT_SIZE,
    CTL_WORDS,
    EXCEPTION_SYSCALL,
    Order,
    Schedule,
)  # fmt: skip
from emu.units import PAGE_SIZE

_QUANTUM = int(Schedule.QUANTUM)
_DRAIN, _FENCES, _RETIRE = int(Order.DRAIN), int(Order.FENCES), int(Order.RETIRE)
_READ_WRITE, _READ_WRITE_EXECUTE = 1 | 2, 1 | 2 | 4  # uc_prot
_UC_MEM_FETCH = 18
_NOWHERE = 1 << 40
"""A guest address with this bit flipped is a physical one where nothing is."""
BLOCK_HOOK = types.void(types.voidptr, types.int64, types.uint32, types.voidptr)
INTERRUPT_HOOK = types.void(types.voidptr, types.uint32, types.voidptr)
FAULT_HOOK = types.boolean(types.voidptr, types.int32, types.int64, types.int32, types.int64, types.voidptr)
SYSCALL_HOOK = types.void(types.voidptr, types.voidptr)
PAGE_HOOK = types.boolean(types.voidptr, types.int64, types.int32, types.voidptr, types.voidptr)


@inline_jit
def count_block(ctl: Words, cpu: Words, end: int) -> None:
    """Add the instructions from the block's start up to ``end`` to the CPU's count."""
    first, last = text_offset(ctl, cpu[CPU_BLOCK_START]), text_offset(ctl, end)
    if first >= 0 and last >= first:
        index = halves(ctl[CTL_INSN_INDEX], ctl[CTL_TEXT_SIZE] + 1)
        count = index[last] - index[first]
        cpu[CPU_INSNS] += count
        ctl[CTL_INSNS_DONE] += count
        if cpu[CPU_PENDING_STORES] > 0:
            order(ctl, cpu, _FENCES, first << 32 | last)


@late_callback(BLOCK_HOOK)
def on_block(uc, address, size, user):  # type: ignore[no-untyped-def]
    """Fast mode: a translation block is about to run, so the one before has run to its end."""
    cpu = words(to_address(user), CPU_WORDS)
    ctl = words(cpu[CPU_CTL], CTL_WORDS)
    start, end = cpu[CPU_BLOCK_START], cpu[CPU_BLOCK_END]
    count_block(ctl, cpu, end)
    cpu[CPU_BLOCK_START] = address
    cpu[CPU_BLOCK_END] = address + size
    due = False
    if cpu[CPU_STALE] > 0 and start != end:  # else no block ran before: the CPU was set to ``end``
        offset = text_offset(ctl, end)
        if offset >= 0 and octets(ctl[CTL_CLASS], ctl[CTL_TEXT_SIZE] + 1)[offset] & CLASS_SERIAL_BEFORE:
            stale = cpu[CPU_STALE]
            synchronise_fetch(ctl, cpu)
            due = cpu[CPU_STALE] != stale  # this block was translated from what was there before
    landed = address != end
    if landed:
        land(ctl, cpu, address)
        due |= cpu[CPU_INSNS] >= cpu[CPU_TURN_END] or cpu[CPU_PENDING] != 0 or cpu[CPU_STOP] != 0
    if due:
        cpu[CPU_BLOCK_END] = address
        cpu[CPU_LANDED] = landed
        cpu[CPU_PAUSED] = 1
        call1(ctl[CTL_EMU_STOP], cpu[CPU_UC])


@merged_jit
def complete_instruction(ctl: Words, cpu: Words, offset: int, reached: int) -> bool:
    """Account for the instruction at CPU_PC, which has led to ``reached``; True if that is a landing.

    Args:
        offset: of CPU_PC in a text array, -1 if it is not in text.
    """
    pc = cpu[CPU_PC]
    if cpu[CPU_VIEWS]:
        order(ctl, cpu, _RETIRE, 0)
    cpu[CPU_PC] = reached
    cpu[CPU_INSNS] += 1
    ctl[CTL_INSNS_DONE] += 1
    length = 0
    if offset >= 0:
        length = octets(ctl[CTL_LENGTH], ctl[CTL_TEXT_SIZE])[offset]
        kind = octets(ctl[CTL_CLASS], ctl[CTL_TEXT_SIZE] + 1)[offset]
        if kind & CLASS_SERIAL and cpu[CPU_STALE] > 0:
            synchronise_fetch(ctl, cpu)
        if kind & CLASS_HALT:
            cpu[CPU_HALTED] = 1
        if kind & CLASS_FENCE:
            order(ctl, cpu, _DRAIN, 0)
        cpu[CPU_SHADOW] = kind & CLASS_SHADOW
    if reached != pc + length:
        land(ctl, cpu, reached)
        return True
    return False


@inline_jit
def pause(ctl: Words, cpu: Words, address: int, landed: bool) -> None:
    """Let the loop decide what is next, before the instruction at ``address``."""
    cpu[CPU_LANDED] = landed
    cpu[CPU_PAUSED] = 1
    if cpu[CPU_STACK]:
        give_way(ctl, cpu)
        if cpu[CPU_REENTER] == 0:
            return
        cpu[CPU_LEFT] = 1
    # a PC that is set spares Unicorn the search for where in its block it is
    write_register(ctl, cpu, ctl[CTL_REG_PC], address)
    call1(ctl[CTL_EMU_STOP], cpu[CPU_UC])


@late_callback(BLOCK_HOOK)
def on_instruction(uc, address, size, user):  # type: ignore[no-untyped-def]
    """Exact mode: an instruction is about to run, so the one before has completed."""
    cpu = words(to_address(user), CPU_WORDS)
    if cpu[CPU_FRESH]:
        cpu[CPU_FRESH] = 0
        octets(cpu[CPU_SYNCED], 1)[0] = 1
        return
    ctl = words(cpu[CPU_CTL], CTL_WORDS)
    stale = cpu[CPU_STALE]
    landed = complete_instruction(ctl, cpu, text_offset(ctl, cpu[CPU_PC]), address)
    due = landed and (cpu[CPU_INSNS] >= cpu[CPU_TURN_END] or cpu[CPU_PENDING] != 0)
    if due or ctl[CTL_SCHEDULE] != _QUANTUM or cpu[CPU_STOP] != 0 or cpu[CPU_STALE] != stale:
        pause(ctl, cpu, address, landed)


@callback(INTERRUPT_HOOK)
def on_interrupt(uc, number, user):  # type: ignore[no-untyped-def]
    """An exception: note it and stop; the loop does what the hardware would."""
    cpu = words(to_address(user), CPU_WORDS)
    ctl = words(cpu[CPU_CTL], CTL_WORDS)
    cpu[CPU_EXCEPTION] = number + 1
    call1(ctl[CTL_EMU_STOP], cpu[CPU_UC])


@late_callback(SYSCALL_HOOK)
def on_syscall(uc, user):  # type: ignore[no-untyped-def]
    """The x86-64 SYSCALL instruction."""
    cpu = words(to_address(user), CPU_WORDS)
    ctl = words(cpu[CPU_CTL], CTL_WORDS)
    cpu[CPU_EXCEPTION] = EXCEPTION_SYSCALL
    call1(ctl[CTL_EMU_STOP], cpu[CPU_UC])


@callback(FAULT_HOOK)
def on_fault(uc, kind, address, size, value, user):  # type: ignore[no-untyped-def]
    """An access to memory that is not there or not allowed: keep its address, refuse it."""
    cpu = words(to_address(user), CPU_WORDS)
    ctl = words(cpu[CPU_CTL], CTL_WORDS)
    if 0 <= (address ^ _NOWHERE) - ctl[CTL_DATA_BASE] < ctl[CTL_DATA_SIZE]:  # see on_page
        address ^= _NOWHERE
    cpu[CPU_FAULT_ADDRESS] = address
    return False


@callback(PAGE_HOOK)
def on_page(uc, address, kind, entry, user):  # type: ignore[no-untyped-def]
    """The first access to a page: say where it lies, and that data is not executable.

    Data that the CPU may not access lies where nothing is, and so does all data when it is to be executed.
    """
    cpu = words(to_address(user), CPU_WORDS)
    ctl = words(cpu[CPU_CTL], CTL_WORDS)
    page = words(to_address(entry), 2)  # uc_tlb_entry: uint64_t paddr, uc_prot perms
    page[0] = address
    page[1] = _READ_WRITE_EXECUTE  # the mapping says what is allowed
    offset = address - ctl[CTL_DATA_BASE]
    if 0 <= offset < ctl[CTL_DATA_SIZE]:
        if kind == _UC_MEM_FETCH or octets(cpu[CPU_PAGES] + offset // PAGE_SIZE, 1)[0] == 0:
            page[0] = address ^ _NOWHERE
        else:
            page[1] = _READ_WRITE
    return True
