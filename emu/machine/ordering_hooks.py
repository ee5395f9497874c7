"""What Unicorn calls at loads and stores when memory is not sequentially consistent."""

from __future__ import annotations

from numba import types

from emu.compiled import late_callback
from emu.machine.native import to_address, words
from emu.machine.state import (
    CPU_BLOCK_START,
    CPU_CTL,
    CPU_PC,
    CPU_WORDS,
    CTL_EXACT,
    CTL_NOW,
    CTL_WORDS,
    VIEW_LOADED,
    VIEW_READS,
)  # fmt: skip
from emu.machine.store_buffer import push_store
from emu.machine.views import instruction_word, order_load, order_store, raise_view, views

ACCESS_HOOK = types.void(types.voidptr, types.int32, types.int64, types.int32, types.int64, types.voidptr)


@late_callback(ACCESS_HOOK)
def on_store(uc, kind, address, size, value, user):  # type: ignore[no-untyped-def]
    """x86-64: a store to data that others may see; it waits its turn."""
    cpu = words(to_address(user), CPU_WORDS)
    ctl = words(cpu[CPU_CTL], CTL_WORDS)
    pc = cpu[CPU_PC]
    if not ctl[CTL_EXACT]:
        pc = cpu[CPU_BLOCK_START]
    push_store(ctl, cpu, address, size, value, pc)


@late_callback(ACCESS_HOOK)
def on_viewed_store(uc, kind, address, size, value, user):  # type: ignore[no-untyped-def]
    """arm64: the same, by the rules of the instruction."""
    cpu = words(to_address(user), CPU_WORDS)
    ctl = words(cpu[CPU_CTL], CTL_WORDS)
    order_store(ctl, cpu, instruction_word(ctl, cpu), address, size, value)


@late_callback(ACCESS_HOOK)
def on_viewed_load(uc, kind, address, size, value, user):  # type: ignore[no-untyped-def]
    """arm64: a load of data that others may have stored."""
    cpu = words(to_address(user), CPU_WORDS)
    ctl = words(cpu[CPU_CTL], CTL_WORDS)
    order_load(ctl, cpu, instruction_word(ctl, cpu), address, size)


@late_callback(ACCESS_HOOK)
def on_literal(uc, kind, address, size, value, user):  # type: ignore[no-untyped-def]
    """arm64: a load from text, which is never early: it has seen all that landed."""
    cpu = words(to_address(user), CPU_WORDS)
    ctl = words(cpu[CPU_CTL], CTL_WORDS)
    view = views(cpu)
    raise_view(view, VIEW_LOADED, ctl[CTL_NOW])
    raise_view(view, VIEW_READS, ctl[CTL_NOW])
