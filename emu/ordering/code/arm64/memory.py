"""A64 loads and stores."""

from __future__ import annotations

import re
from collections.abc import Callable

from emu.ordering.code.access import load, store
from emu.ordering.code.arm64.alu import apply, assign, deps_of, signed, value_of
from emu.ordering.code.arm64.operands import Memory, Register, memory, need_register
from emu.ordering.code.errors import UnsupportedError
from emu.ordering.code.layout import Piece
from emu.ordering.code.parsing import MASK64, need_operands
from emu.ordering.code.thread import Instruction, Result, State
from emu.ordering.dependencies import Deps

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


def aligned(state: State, address: int, size: int) -> None:
    """Make sure that an ordered or atomic access may be made.

    Raises:
        UnsupportedError: it would be an alignment fault (Arm ARM DDI 0487, B2.5.2).
    """
    if not state.code.layout.single(Piece(address, size)):
        raise UnsupportedError("ordered and atomic accesses that are not aligned are not modelled")


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
    ordered = any(order.values())
    if kind == "LAR":
        raise UnsupportedError(f"{name} is not modelled")

    def run(state: State) -> Result:
        address, deps = address_of(state, where)
        if ordered:
            aligned(state, address, size)
        return load(state, address, size, loaded, deps, **order)

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
        if release:
            aligned(state, address, size)
        store(state, address, size, value, deps, data, release=release)

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

            return load(new, address + size, size, last, deps)

        return load(state, address, size, both, deps)

    def store_pair(state: State) -> None:
        values = [(value_of(state, source), deps_of(state, source)) for source in (first, second)]
        address, deps = address_of(state, where)
        for number, (value, data) in enumerate(values):
            store(state, address + number * size, size, value, deps, data)

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
