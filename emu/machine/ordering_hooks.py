"""What Unicorn and the loop call when memory is not sequentially consistent: compiled when asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from numba import types

from emu.compiled import callback
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
    Order,
)  # fmt: skip
from emu.machine.store_buffer import drain, fence_passed, push_store, show
from emu.machine.views import (
    abandon,
    catch_up,
    context_event,
    instruction_word,
    order_load,
    order_store,
    raise_view,
    retire,
    views,
)  # fmt: skip

_SHOW, _DRAIN, _FENCES, _RETIRE = int(Order.SHOW), int(Order.DRAIN), int(Order.FENCES), int(Order.RETIRE)
_ABANDON, _EXCEPTION, _CATCH_UP = int(Order.ABANDON), int(Order.EXCEPTION), int(Order.CATCH_UP)
ACCESS_HOOK = types.void(types.voidptr, types.int32, types.int64, types.int32, types.int64, types.voidptr)

ORDER_CALL = types.int32(types.int64, types.int64, types.int64, types.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderingHooks:
    """C callbacks; ``address`` is what C is given.

    Args:
        order: what `emu.machine.order_call` calls.
        store: at each store to data.
        load, literal: at each load of data and from text; None: loads need none.
    """

    order: Any
    store: Any
    load: Any = None
    literal: Any = None


@cache
def ordering_hooks(*, has_views: bool) -> OrderingHooks:
    """Return the callbacks, compiled: those of arm64, which has views, or of x86-64."""
    order, access = callback(ORDER_CALL), callback(ACCESS_HOOK)
    if not has_views:
        return OrderingHooks(order=order(_on_order), store=access(_on_store))
    return OrderingHooks(
        order=order(_on_viewed_order), store=access(_on_viewed_store), load=access(_on_viewed_load),
        literal=access(_on_literal),
    )  # fmt: skip


def _on_order(control, block, what, argument):  # type: ignore[no-untyped-def]
    """x86-64: do what an `Order` says."""
    ctl, cpu = words(control, CTL_WORDS), words(block, CPU_WORDS)
    if what == _SHOW:
        show(ctl, cpu)
    elif what == _FENCES:
        fence_passed(ctl, cpu, argument >> 32, argument & 0xFFFFFFFF)
    else:  # exceptions and interrupts too. Source: Intel SDM vol. 3A, 12.10, "Store Buffer"
        drain(ctl, cpu)
    return 0


def _on_viewed_order(control, block, what, argument):  # type: ignore[no-untyped-def]
    """arm64: the same. Its instructions are no fences to the text tables."""
    ctl, cpu = words(control, CTL_WORDS), words(block, CPU_WORDS)
    if what == _RETIRE:
        retire(ctl, cpu, instruction_word(ctl, cpu))
    elif what == _SHOW:
        show(ctl, cpu)
    elif what == _DRAIN:
        drain(ctl, cpu)
    elif what == _ABANDON:
        abandon(ctl, cpu)
    elif what == _EXCEPTION:
        context_event(cpu)
    elif what == _CATCH_UP:
        catch_up(ctl, cpu)
    return 0


def _on_store(uc, kind, address, size, value, user):  # type: ignore[no-untyped-def]
    """x86-64: a store to data that others may see; it waits its turn."""
    cpu = words(to_address(user), CPU_WORDS)
    ctl = words(cpu[CPU_CTL], CTL_WORDS)
    pc = cpu[CPU_PC]
    if not ctl[CTL_EXACT]:
        pc = cpu[CPU_BLOCK_START]
    push_store(ctl, cpu, address, size, value, pc)


def _on_viewed_store(uc, kind, address, size, value, user):  # type: ignore[no-untyped-def]
    """arm64: the same, by the rules of the instruction."""
    cpu = words(to_address(user), CPU_WORDS)
    ctl = words(cpu[CPU_CTL], CTL_WORDS)
    order_store(ctl, cpu, instruction_word(ctl, cpu), address, size, value)


def _on_viewed_load(uc, kind, address, size, value, user):  # type: ignore[no-untyped-def]
    """arm64: a load of data that others may have stored."""
    cpu = words(to_address(user), CPU_WORDS)
    ctl = words(cpu[CPU_CTL], CTL_WORDS)
    order_load(ctl, cpu, instruction_word(ctl, cpu), address, size)


def _on_literal(uc, kind, address, size, value, user):  # type: ignore[no-untyped-def]
    """arm64: a load from text, which is never early: it has seen all that landed."""
    cpu = words(to_address(user), CPU_WORDS)
    ctl = words(cpu[CPU_CTL], CTL_WORDS)
    view = views(cpu)
    raise_view(view, VIEW_LOADED, ctl[CTL_NOW])
    raise_view(view, VIEW_READS, ctl[CTL_NOW])
