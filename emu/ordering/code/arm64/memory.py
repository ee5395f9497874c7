"""A64 loads and stores."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from emu.ordering.code.arm64.alu import apply, assign, deps_of, signed, value_of
from emu.ordering.code.arm64.operands import Memory, Register, memory, need_register
from emu.ordering.code.errors import UnsupportedError
from emu.ordering.code.parsing import MASK64, need_operands
from emu.ordering.code.thread import Instruction, Pending, Result, State
from emu.ordering.columns import READ, WRITE
from emu.ordering.local_arm64 import Deps
from emu.ordering.tree import Event

_LOAD = re.compile(r"LD(U?R|APU?R|AR|LAR)(SB|SH|SW|B|H)?$")
_STORE = re.compile(r"ST(U?R|LU?R|LLR)(B|H)?$")
_PAIR = re.compile(r"(LD|ST)N?P(SW)?$")


def address_of(state: State, where: Memory) -> tuple[int, Deps]:
    """Return an address and what it was made from, and do the writeback."""
    address = value_of(state, where.base)
    deps = deps_of(state, where.base)
    if where.indexed is not None and where.writeback != "post":
        index = value_of(state, where.indexed)
        how = where.modifier
        address += apply(how, index, 64) if how is not None else index
        deps = deps | deps_of(state, where.indexed)
    used = address & MASK64
    if where.writeback:
        moved = (used + where.offset) & MASK64
        moved_deps = deps
        if where.indexed is not None:
            moved = (used + value_of(state, where.indexed)) & MASK64
            moved_deps = deps | deps_of(state, where.indexed)
        if where.writeback == "pre":
            used = moved
        assign(state, where.base, moved, moved_deps)
    else:
        used = (used + where.offset) & MASK64
    return used, deps


def truncated(value: int, size: int) -> int:
    """Return the lowest ``size`` bytes of a value, unsigned."""
    return value & (1 << 8 * size) - 1


def load(
    state: State, address: int, deps: Deps, size: int, then: Callable[[State, int, Deps], Result],
    access: int = -1, **kind: Any,
) -> Pending:  # fmt: skip
    """Return the read that a load makes.

    Args:
        state: of the CPU.
        address: of its first byte.
        deps: what the address was made from.
        size: in bytes.
        then: is called with the state, the value and what that depends on.
        access: number of the first event of its single-copy atomic access; -1: the read itself.
        kind: how it is ordered, see `emu.ordering.local_arm64.ArmOrder.read`.

    Raises:
        UnsupportedError: accesses to the location differ in size.
    """
    state.code.access(address, size)
    placed = state.order.read(address, deps, **kind)
    event = Event(READ, address, None, placed.local, placed.synced, -1, access)

    def got(new: State, value: int) -> Result:
        return then(new, truncated(value, size), placed.deps)

    return Pending(event, got)


def store(
    state: State,
    address: int,
    deps: Deps,
    value: int,
    data: Deps,
    size: int,
    partner: int = -1,
    access: int = -1,
    **kind: Any,
) -> None:
    """Do the write that a store makes.

    Args:
        state: of the CPU.
        address: of its first byte.
        deps: what the address was made from.
        value: to store; its lowest ``size`` bytes are.
        data: what the value was made from.
        size: in bytes.
        partner: number of the read that makes one atomic access with it; -1: none.
        access: number of the first event of its single-copy atomic access; -1: the write itself.
        kind: how it is ordered, see `emu.ordering.local_arm64.ArmOrder.write`.

    Raises:
        UnsupportedError: accesses to the location differ in size.
    """
    placed = state.order.write(address, deps, data, **kind)
    value = truncated(value, size)
    code = state.code
    code.access(address, size)
    restricted = code.restricts(address, value)
    event = Event(WRITE, address, value, placed.local, placed.synced, partner, access, restricted)
    state.wrote(event)
    if code.is_text(address):
        state.texts = {**state.texts, address: (*state.texts.get(address, ()), value)}


def _size(suffix: str | None, target: Register) -> int:
    if suffix is None:
        return target.bits // 8
    return {"B": 1, "H": 2, "W": 4}[suffix[-1]]


def _load(name: str, operands: list[str]) -> Instruction:
    match = _LOAD.match(name)
    assert match is not None, "the caller has looked"
    kind, suffix = match.groups()
    target = need_register(operands[0])
    where = memory(operands[1:])
    size = _size(suffix, target)
    sign = bool(suffix and suffix[0] == "S")
    order = {"acquire": kind == "AR", "acquire_pc": kind.startswith("AP")}
    if kind == "LAR":
        raise UnsupportedError(f"{name} is not modelled")

    def run(state: State) -> Result:
        address, deps = address_of(state, where)
        return load(state, address, deps, size, loaded, **order)

    def loaded(state: State, value: int, deps: Deps) -> None:
        assign(state, target, signed(value, 8 * size) if sign else value, deps)

    return run


def _store(name: str, operands: list[str]) -> Instruction:
    match = _STORE.match(name)
    assert match is not None, "the caller has looked"
    kind, suffix = match.groups()
    source = need_register(operands[0])
    where = memory(operands[1:])
    size = _size(suffix, source)
    release = kind.startswith("L")
    if kind == "LLR":
        raise UnsupportedError(f"{name} is not modelled")

    def run(state: State) -> None:
        value, data = value_of(state, source), deps_of(state, source)
        address, deps = address_of(state, where)
        store(state, address, deps, value, data, size, release=release)

    return run


def _pair(name: str, operands: list[str]) -> Instruction:
    first, second = need_register(operands[0]), need_register(operands[1])
    where = memory(operands[2:])
    sign = name.endswith("SW")
    size = 4 if sign else first.bits // 8

    def load_pair(state: State) -> Result:
        address, deps = address_of(state, where)

        def loaded_first(new: State, value: int, made_from: Deps) -> Result:
            assign(new, first, signed(value, 32) if sign else value, made_from)
            return None

        def both(new: State, value: int, made_from: Deps) -> Result:
            def last(newer: State, other: int, other_from: Deps) -> Result:
                loaded_first(newer, value, made_from)
                assign(newer, second, signed(other, 32) if sign else other, other_from)
                return None

            return load(new, address + size, deps, size, last)

        return load(state, address, deps, size, both)

    def store_pair(state: State) -> None:
        values = [(value_of(state, source), deps_of(state, source)) for source in (first, second)]
        address, deps = address_of(state, where)
        for number, (value, data) in enumerate(values):
            store(state, address + number * size, deps, value, data, size)

    return load_pair if name.startswith("LD") else store_pair


def compile_memory(name: str, operands: list[str]) -> Instruction | None:
    """Return a load or store; None if the name is not one.

    Raises:
        CodeError: operands are wrong.
        UnsupportedError: it is known and not modelled.
    """
    maker: Callable[[str, list[str]], Instruction]
    if _LOAD.match(name):
        maker, least = _load, 2
    elif _STORE.match(name):
        maker, least = _store, 2
    elif _PAIR.match(name):
        maker, least = _pair, 3
    else:
        return None
    need_operands(name, operands, least, least + 1)  # one more: a post-index
    return maker(name, operands)
