"""What a CPU has seen: loads of Ordering.ARM64 that may be early, without foresight.

Time is counted in stores that have landed. Every load is satisfied at some time: no
earlier than its *floor* (what barriers, acquires, the registers of its address and
the CPU's earlier accesses to the same bytes have seen), no later than now. It returns
what memory held then, and its result register has seen that time.

This is the view machine of Promising-Arm without promises (Pulte, Pichon-Pharabod, Kang,
Lee, Hur 2019, "Promising-ARM/RISC-V: a simpler and faster operational concurrency model"), but
stores land late and out of order instead (`store_buffer`). Why that is sound, and
what it never shows: docs/adr/0006-runtime-memory-ordering.md.
"""

from __future__ import annotations

from emu.compiled import inline_jit, jit
from emu.machine.a64_roles import (
    ACQUIRE,
    ACQUIRE_PC,
    ATOMIC,
    CONTEXT,
    LOAD,
    LOAD_EXCLUSIVE,
    ORDER_ALL,
    ORDER_LOADS,
    ORDER_STORES,
    RELEASE,
    STORE,
    STORE_EXCLUSIVE,
    WAIT_STORES,
    roles,
)  # fmt: skip
from emu.machine.access import text_offset
from emu.machine.native import Words, halves, words
from emu.machine.state import (
    BORROWS_MAX,
    COHERENCE_SLOTS,
    CPU_COHERENCE,
    CPU_FORWARDS,
    CPU_INDEX,
    CPU_PC,
    CPU_PENDING_STORES,
    CPU_TEXT_HOST,
    CPU_VIEWS,
    CTL_LANDED,
    CTL_LAST_LANDED,
    CTL_NOW,
    CTL_ORDERING,
    FORWARD_ADDRESS,
    FORWARD_ATOMIC,
    FORWARD_SIZE,
    FORWARD_TIME,
    FORWARD_VIEW,
    FORWARD_WORDS,
    LANDED_BEFORE,
    LANDED_CPU,
    LANDED_GRANULE,
    LANDED_MASK,
    LANDED_OLD,
    LANDED_ROWS,
    LANDED_WORDS,
    LAST_SLOTS,
    STORE_ADDRESS,
    STORE_ATOMIC,
    STORE_GROUP,
    STORE_RELEASE,
    STORE_SIZE,
    STORE_VIEW,
    STORE_WORDS,
    VIEW_BORROWED,
    VIEW_BORROWS,
    VIEW_FAILED,
    VIEW_FLAGS,
    VIEW_FLOOR,
    VIEW_GROUP,
    VIEW_LOADED,
    VIEW_MONITOR,
    VIEW_MONITOR_TIME,
    VIEW_READS,
    VIEW_RELEASED,
    VIEW_SP,
    VIEW_VECTOR,
    VIEW_WORDS,
    VIEW_WRITES,
    VIEW_ZERO,
    Ordering,
)  # fmt: skip
from emu.machine.store_buffer import (
    coherence_slot,
    drain,
    land_overlapping,
    land_up_to,
    last_slot,
    mask_of,
    order_random,
    overlaps,
    peek,
    poke,
    push_store,
    store_rows,
)  # fmt: skip

_TSO = int(Ordering.TSO)
_MONITOR_GRANULE = 16
"""Bytes. # assumed: Arm ARM B2.12 allows 16 to 2048; the least makes for the fewest failures."""


@inline_jit
def views(cpu: Words) -> Words:
    """View what the CPU has seen."""
    return words(cpu[CPU_VIEWS], VIEW_WORDS)


@inline_jit
def raise_view(view: Words, which: int, time: int) -> None:
    """Let ``which`` have seen ``time``."""
    if view[which] < time:
        view[which] = time


@jit
def instruction_word(ctl: Words, cpu: Words) -> int:
    """Return the A64 instruction under way, as its CPU fetched it; 0 outside text."""
    offset = text_offset(ctl, cpu[CPU_PC])
    if offset < 0:
        return 0
    return int(halves(cpu[CPU_TEXT_HOST] + offset, 1)[0]) & 0xFFFFFFFF


@jit
def borrow(ctl: Words, view: Words, address: int, size: int, value: int) -> None:
    """Let memory hold ``value`` until the instruction under way is done."""
    count = view[VIEW_BORROWED]
    if count == BORROWS_MAX:  # no instruction makes so many single-copy atomic loads
        return
    at = VIEW_BORROWS + 3 * count
    view[at], view[at + 1], view[at + 2] = address, size, peek(ctl, address, size)
    poke(ctl, address, size, value)
    view[VIEW_BORROWED] = count + 1


@jit
def give_back(ctl: Words, view: Words) -> None:
    """Undo what was borrowed, newest first."""
    for i in range(view[VIEW_BORROWED] - 1, -1, -1):
        at = VIEW_BORROWS + 3 * i
        poke(ctl, view[at], view[at + 1], view[at + 2])
    view[VIEW_BORROWED] = 0


@jit
def unmoved(cpu: Words, address: int, size: int, floor: int, acquires: bool) -> int:
    """Return what a load has seen that finds no store newer than the CPU has seen in its granule.

    Reading the CPU's own store says nothing about when that landed, only what it depended on: rf within a CPU
    is not part of the model's ordered-before, but from an atomic to an acquire.
    """
    slot = coherence_slot(address)
    seen = words(cpu[CPU_COHERENCE], COHERENCE_SLOTS)[slot]
    if seen <= floor:
        return floor
    forward = words(cpu[CPU_FORWARDS] + 8 * FORWARD_WORDS * slot, FORWARD_WORDS)
    start = forward[FORWARD_ADDRESS]
    if forward[FORWARD_TIME] != seen or (acquires and forward[FORWARD_ATOMIC]):
        return seen
    if start <= address and address + size <= start + forward[FORWARD_SIZE]:
        return max(floor, forward[FORWARD_VIEW])
    return seen


@jit
def satisfy(ctl: Words, cpu: Words, address: int, size: int, floor: int, fresh: bool, acquires: bool) -> int:
    """Choose when a load within one granule is satisfied, lend it memory of that time, and return the time.

    None of the CPU's pending stores overlaps it.

    Args:
        floor: the earliest time, coherence apart.
        fresh: the latest possible, now.
        acquires: it is an acquire.
    """
    last, table = words(ctl[CTL_LAST_LANDED], LAST_SLOTS), words(cpu[CPU_COHERENCE], COHERENCE_SLOTS)
    slot = coherence_slot(address)
    floor = max(floor, ctl[CTL_NOW] - LANDED_ROWS)
    least = max(floor, table[slot])
    at = last[last_slot(address)]
    granule, shift = address & -8, 8 * (address & 7)
    mask = mask_of(size) << shift
    stale, seen = False, False
    old = 0
    while at > least:
        row = words(ctl[CTL_LANDED] + 8 * LANDED_WORDS * (at & (LANDED_ROWS - 1)), LANDED_WORDS)
        if row[LANDED_GRANULE] == granule and row[LANDED_MASK] & mask:
            if fresh or order_random(ctl) & 1:
                seen = True
                break
            if not stale:
                old, stale = peek(ctl, address, size) << shift, True
            old = (old & ~row[LANDED_MASK]) | (row[LANDED_OLD] & row[LANDED_MASK])
        at = row[LANDED_BEFORE]
    if stale:
        borrow(ctl, views(cpu), address, size, (old >> shift) & mask_of(size))
    if seen:
        table[slot] = at
        return max(floor, at)
    return unmoved(cpu, address, size, floor, acquires)


@jit
def load_time(
    ctl: Words, cpu: Words, address: int, size: int, floor: int, fresh: bool, acquires: bool
) -> int:
    """Return when a load is satisfied, and lend it memory of that time.

    A load that lies within one pending store forwards from it; one that lies within it partly makes it land.
    """
    rows = store_rows(cpu)
    for i in range(cpu[CPU_PENDING_STORES] - 1, -1, -1):
        if overlaps(rows, i, address, size):
            at = STORE_WORDS * i
            start = rows[at + STORE_ADDRESS]
            if start <= address and address + size <= start + rows[at + STORE_SIZE]:
                return max(floor, rows[at + STORE_VIEW])
            land_overlapping(ctl, cpu, address, size)
            break
    table = words(cpu[CPU_COHERENCE], COHERENCE_SLOTS)
    if (address & 7) + size > 8:  # not single-copy atomic; taken as it is now
        for part in (address, address + 8):
            slot = coherence_slot(part)
            table[slot] = max(table[slot], ctl[CTL_NOW])
        return ctl[CTL_NOW]
    return satisfy(ctl, cpu, address, size, floor, fresh, acquires)


@jit
def monitor_holds(ctl: Words, cpu: Words, view: Words, address: int) -> bool:
    """Tell whether nobody else has stored to the granule of the exclusive monitor since it was set."""
    granule = address // _MONITOR_GRANULE
    if view[VIEW_MONITOR] != granule:
        return False
    since = view[VIEW_MONITOR_TIME]
    if ctl[CTL_NOW] - since >= LANDED_ROWS:
        return False
    for at in range(since + 1, ctl[CTL_NOW] + 1):
        row = words(ctl[CTL_LANDED] + 8 * LANDED_WORDS * (at & (LANDED_ROWS - 1)), LANDED_WORDS)
        if row[LANDED_CPU] != cpu[CPU_INDEX] and row[LANDED_GRANULE] // _MONITOR_GRANULE == granule:
            return False
    return True


@jit
def order_load(ctl: Words, cpu: Words, word: int, address: int, size: int) -> None:
    """An instruction is about to load: decide what."""
    view = views(cpu)
    kind, base, index, _, _, _, _, _ = roles(word)
    if kind & STORE_EXCLUSIVE:  # the engine's comparison with what the load-exclusive saw
        land_overlapping(ctl, cpu, address, size)
        if not monitor_holds(ctl, cpu, view, address):
            borrow(ctl, view, address, size, ~peek(ctl, address, size))
            view[VIEW_FAILED] = 1
        return
    if kind & ATOMIC and kind & RELEASE:
        drain(ctl, cpu)
    floor = max(view[VIEW_FLOOR], view[base], view[index])
    if kind & ACQUIRE:
        rows, i = store_rows(cpu), cpu[CPU_PENDING_STORES] - 1
        while i >= 0:
            if rows[STORE_WORDS * i + STORE_RELEASE]:
                land_up_to(ctl, cpu, i)
                i = cpu[CPU_PENDING_STORES]
            i -= 1
        floor = max(floor, view[VIEW_RELEASED])
    fresh = ctl[CTL_ORDERING] == _TSO
    if kind & (ATOMIC | LOAD_EXCLUSIVE):
        land_overlapping(ctl, cpu, address, size)
        fresh = True
    acquires = kind & (ACQUIRE | ACQUIRE_PC) != 0
    time = load_time(ctl, cpu, address, size, floor, fresh, acquires)
    if kind & LOAD_EXCLUSIVE:
        view[VIEW_MONITOR] = address // _MONITOR_GRANULE
        view[VIEW_MONITOR_TIME] = ctl[CTL_NOW]
    raise_view(view, VIEW_LOADED, time)
    raise_view(view, VIEW_READS, time)
    if acquires:
        raise_view(view, VIEW_FLOOR, time)


@jit
def order_store(ctl: Words, cpu: Words, word: int, address: int, size: int, value: int) -> None:
    """An instruction is about to store: let it wait, or land at once."""
    view = views(cpu)
    if view[VIEW_FAILED]:
        return
    kind, base, index, first, second, _, _, _ = roles(word)
    i = push_store(ctl, cpu, address, size, value, cpu[CPU_PC])
    at = STORE_WORDS * i
    rows = store_rows(cpu)
    rows[at + STORE_GROUP] = view[VIEW_GROUP]
    rows[at + STORE_VIEW] = max(view[base], view[index], view[first], view[second])
    if kind & RELEASE:
        rows[at + STORE_RELEASE] = 1
    if kind & (ATOMIC | STORE_EXCLUSIVE):
        rows[at + STORE_ATOMIC] = 1
        rows[at + STORE_VIEW] = max(rows[at + STORE_VIEW], view[VIEW_LOADED])
        land_up_to(ctl, cpu, i)
        if kind & ACQUIRE and kind & RELEASE:
            view[VIEW_FLOOR] = ctl[CTL_NOW]


@inline_jit
def _set_result(view: Words, register: int, time: int) -> None:
    if register in (VIEW_SP, VIEW_FLAGS) or register < VIEW_ZERO:
        view[register] = time
    elif register >= VIEW_VECTOR:  # one place for several registers
        raise_view(view, register, time)


@jit
def barrier_all(ctl: Words, cpu: Words) -> None:
    """DMB, DSB: everything before is over before anything after."""
    drain(ctl, cpu)
    view = views(cpu)
    view[VIEW_FLOOR] = max(view[VIEW_FLOOR], view[VIEW_READS], view[VIEW_WRITES])


@jit
def context_event(cpu: Words) -> None:
    """ISB, exception entry and return. All earlier loads are taken to decide whether it is reached."""
    view = views(cpu)
    raise_view(view, VIEW_FLOOR, view[VIEW_READS])


@jit
def catch_up(ctl: Words, cpu: Words) -> None:
    """Let the CPU have seen all that has landed by now."""
    view = views(cpu)
    view[VIEW_FLOOR] = ctl[CTL_NOW]


@jit
def abandon(ctl: Words, cpu: Words) -> None:
    """Forget an instruction that did not complete."""
    view = views(cpu)
    give_back(ctl, view)
    view[VIEW_LOADED] = -1
    view[VIEW_FAILED] = 0


@jit
def retire(ctl: Words, cpu: Words, word: int) -> None:
    """Account for an instruction that has completed: barriers, and what its results have seen."""
    view = views(cpu)
    if view[VIEW_BORROWED] > 0:
        give_back(ctl, view)
    kind, base, index, first, second, result, other, back = roles(word)
    if kind & (LOAD | STORE):
        if kind & LOAD:
            time = view[VIEW_LOADED]
            if time < 0:  # private memory, or refused
                time = view[VIEW_READS]
            view[VIEW_LOADED] = -1
        else:  # the status of a store-exclusive
            time = ctl[CTL_NOW]
            if kind & STORE_EXCLUSIVE:
                view[VIEW_FAILED] = 0
                view[VIEW_MONITOR] = 0
        moved = max(view[base], view[index])
        _set_result(view, back, moved)
        _set_result(view, result, time)
        _set_result(view, other, time)
        return
    if kind == 0:
        time = max(max(view[base], view[index]), max(view[first], view[second]))
        _set_result(view, result, time)
        _set_result(view, other, time)
        if back != VIEW_ZERO:
            raise_view(view, back, time)
        return
    if kind & ORDER_ALL:
        barrier_all(ctl, cpu)
    elif kind & ORDER_LOADS:
        raise_view(view, VIEW_FLOOR, view[VIEW_READS])
    elif kind & ORDER_STORES:
        view[VIEW_GROUP] += 1
    elif kind & WAIT_STORES:
        drain(ctl, cpu)
        raise_view(view, VIEW_FLOOR, view[VIEW_WRITES])
    elif kind & CONTEXT:
        context_event(cpu)
