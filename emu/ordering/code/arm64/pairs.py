"""A64 atomic accesses to two locations at once: CASP, LDXP, STXP; and the ordered pairs LDIAPP, STILP."""

from __future__ import annotations

import re
from collections.abc import Callable

from emu.ordering.code.access import (
    bits,
    enter,
    last_events,
    load,
    load_together,
    pair_pieces,
    store,
    truncated,
)
from emu.ordering.code.arm64.alu import assign, deps_of, value_of
from emu.ordering.code.arm64.atomics import Monitor, exclusive_store
from emu.ordering.code.arm64.memory import address_of, aligned
from emu.ordering.code.arm64.operands import memory, need_register
from emu.ordering.code.parsing import need_operands
from emu.ordering.code.thread import Instruction, Result, State, Ways
from emu.ordering.dependencies import NONE, Deps

_CASP = re.compile(r"CASP(A?)(L?)$")
_EXCLUSIVE = re.compile(r"(LDA?|STL?)XP$")


def _load_two(
    state: State,
    address: int,
    size: int,
    then: Callable[[State, tuple[int, int], tuple[Deps, Deps], tuple[int, int]], Result],
    deps: Deps,
    *,
    ordered: bool = False,
    **kind: bool,
) -> Result:
    """Return the first of two reads, the other being of the next ``size`` bytes.

    Args:
        state: of the CPU.
        address: of the first.
        size: in bytes, of each.
        then: is called with the state, both values, what those depend on, the numbers of their first events.
        deps: what the address was made from.
        ordered: the first comes before the second.
        kind: see `load`.
    """

    def first(new: State, low: int, low_from: Deps) -> Result:
        low_read = last_events(new, address, size)
        after = bits(low_read, new.order.count) if ordered else 0

        def second(newer: State, high: int, high_from: Deps) -> Result:
            reads = low_read, last_events(newer, address + size, size)
            return then(newer, (low, high), (low_from, high_from), reads)

        return load(new, address + size, size, second, deps, after=after, **kind)

    return load(state, address, size, first, deps, **kind)


def _compare_and_swap(name: str, operands: list[str]) -> Instruction:
    match = _CASP.match(name)
    assert match is not None, "the caller has looked"
    compared = [need_register(text) for text in operands[:2]]
    sources = [need_register(text) for text in operands[2:4]]
    where = memory(operands[4:])
    size = compared[0].bits // 8
    acquire, release = bool(match[1]), bool(match[2])

    def run(state: State) -> Result:
        address, deps = address_of(state, where)
        aligned(state, address, 2 * size)
        expected = tuple(value_of(state, one) for one in compared)
        expected_from = deps_of(state, compared[0]) | deps_of(state, compared[1])

        def loaded(
            new: State, old: tuple[int, int], old_from: tuple[Deps, Deps], reads: tuple[int, int]
        ) -> Result:
            made_from = old_from[0] | old_from[1]

            def written(state: State, values: tuple[int, ...], data: Deps, inner: Deps) -> None:
                for half, value in enumerate(values):
                    store(
                        state, address + half * size, size, value, deps, data, partner=reads[half],
                        release=release, inner=inner, choice=made_from.pick, data_choice=expected_from.pick,
                        atomic_read=reads[half], acquire_release=acquire and release,
                    )  # fmt: skip

            def result(state: State, deps: Deps) -> None:
                for register, value in zip(compared, old, strict=True):
                    assign(state, register, value, deps)

            if old != expected:

                def with_write(state: State) -> None:
                    written(state, old, NONE, made_from)
                    result(state, made_from)

                def without_write(state: State) -> None:
                    result(state, made_from)

                return Ways((with_write, without_write))

            values = tuple(value_of(new, one) for one in sources)
            data = deps_of(new, sources[0]) | deps_of(new, sources[1])

            def from_memory(state: State) -> None:
                written(state, values, data, NONE)
                result(state, made_from)

            def from_register(state: State) -> None:
                written(state, values, data, NONE)
                result(state, Deps(expected_from.plain, expected_from.pick | made_from.pick))

            return Ways((from_memory, from_register))

        return _load_two(state, address, size, loaded, deps, acquire=acquire)

    return run


def _load_exclusive(name: str, operands: list[str]) -> Instruction:
    targets = [need_register(text) for text in operands[:2]]
    where = memory(operands[2:])
    size = targets[0].bits // 8
    acquire = name == "LDAXP"

    def run(state: State) -> Result:
        address, deps = address_of(state, where)
        aligned(state, address, 2 * size)

        def loaded(new: State, values: tuple[int, int], made_from: tuple[Deps, Deps]) -> None:
            for target, value, one in zip(targets, values, made_from, strict=True):
                assign(new, target, value, one)
            read = new.order.count - len(pair_pieces(new, address, size))
            new.monitor = Monitor(address, size, read, deps)

        return load_together(state, address, size, loaded, deps, acquire=acquire)

    return run


def _store_exclusive(name: str, operands: list[str]) -> Instruction:
    status = need_register(operands[0], 32)
    sources = [need_register(text) for text in operands[1:3]]
    size = sources[0].bits // 8
    release = name == "STLXP"

    def write(state: State, monitor: Monitor, address: int, deps: Deps, choice: int) -> int:
        pick = 0
        pieces = pair_pieces(state, address, size)
        entry = enter(state, pieces, reads=False)
        read = monitor.read
        for half, source in enumerate(sources):
            data = deps_of(state, source)
            pick |= data.pick
            store(
                state, address + half * size, size, value_of(state, source), deps, partner=read, entry=entry,
                together=pieces, release=release, choice=choice, inner=data, atomic_read=read,
            )  # fmt: skip
            read += len(state.code.access(address, size).pieces)
        return pick

    return exclusive_store(status, memory(operands[3:]), size, write)


def _ordered_pair(name: str, operands: list[str]) -> Instruction:
    """Compile LDIAPP and STILP: the lower address comes first, except in a store with writeback."""
    registers = [need_register(text) for text in operands[:2]]
    where = memory(operands[2:])
    size = registers[0].bits // 8

    def load_pair(state: State) -> Result:
        address, deps = address_of(state, where)

        def loaded(
            new: State, values: tuple[int, int], made_from: tuple[Deps, Deps], reads: tuple[int, int]
        ) -> None:
            del reads
            for target, value, one in zip(registers, values, made_from, strict=True):
                assign(new, target, value, one)

        aligned(state, address, size)
        return _load_two(state, address, size, loaded, deps, ordered=True, acquire_pc=True)

    def store_pair(state: State) -> None:
        values = [(truncated(value_of(state, one), size), deps_of(state, one)) for one in registers]
        address, deps = address_of(state, where)
        aligned(state, address, size)
        after = 0
        for half in (1, 0) if where.writeback else (0, 1):
            value, data = values[half]
            at = address + half * size
            store(state, at, size, value, deps, data, release=True, after=after)
            after = bits(last_events(state, at, size), state.order.count)

    return load_pair if name == "LDIAPP" else store_pair


def compile_pair(name: str, operands: list[str]) -> Instruction | None:
    """Return an atomic or ordered access to two locations; None if the name is not one.

    Raises:
        CodeError: operands are wrong.
    """
    maker: Callable[[str, list[str]], Instruction]
    if _CASP.match(name):
        maker, least, most = _compare_and_swap, 5, 5
    elif _EXCLUSIVE.match(name):
        maker, least = (_load_exclusive, 3) if name.startswith("LD") else (_store_exclusive, 4)
        most = least
    elif name in ("LDIAPP", "STILP"):
        maker, least, most = _ordered_pair, 3, 4  # one more: a post-index
    else:
        return None
    need_operands(name, operands, least, most)
    return maker(name, operands)
