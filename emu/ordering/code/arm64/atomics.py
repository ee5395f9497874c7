"""A64 exclusives and the atomic instructions of FEAT_LSE."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from emu.ordering.code.access import bits, last_events, load, store, truncated
from emu.ordering.code.arm64.alu import assign, deps_of, signed, value_of
from emu.ordering.code.arm64.memory import address_of, aligned
from emu.ordering.code.arm64.operands import Memory, Register, memory, need_register
from emu.ordering.code.parsing import need_operands
from emu.ordering.code.thread import Dead, Instruction, Result, State, Ways
from emu.ordering.dependencies import NONE, Deps

_EXCLUSIVE = re.compile(r"(LDA?|STL?)XR(B|H)?$")
_CAS = re.compile(r"CAS(A?)(L?)(B|H)?$")
_OPERATION = re.compile(r"(SWP|LDADD|LDCLR|LDEOR|LDSET|LDSMAX|LDSMIN|LDUMAX|LDUMIN)(A?)(L?)(B|H)?$")
_NO_RESULT = re.compile(r"ST(ADD|CLR|EOR|SET|SMAX|SMIN|UMAX|UMIN)(L?)(B|H)?$")

_CHANGE: dict[str, Callable[[int, int, int], int]] = {
    "ADD": lambda old, by, bits: old + by,
    "CLR": lambda old, by, bits: old & ~by,
    "EOR": lambda old, by, bits: old ^ by,
    "SET": lambda old, by, bits: old | by,
    "SMAX": lambda old, by, bits: max(signed(old, bits), signed(by, bits)),
    "SMIN": lambda old, by, bits: min(signed(old, bits), signed(by, bits)),
    "UMAX": lambda old, by, bits: max(old, by),
    "UMIN": lambda old, by, bits: min(old, by),
}


class Monitor(NamedTuple):
    """What the last load-exclusive left behind.

    Args:
        address: read.
        size: in bytes.
        read: index of the first of its events among the CPU's.
        deps: what the address was made from.
    """

    address: int
    size: int
    read: int
    deps: Deps


def _size(suffix: str | None, target: Register) -> int:
    return {None: target.bits // 8, "B": 1, "H": 2}[suffix]


def _load_exclusive(name: str, operands: list[str]) -> Instruction:
    match = _EXCLUSIVE.match(name)
    assert match is not None, "the caller has looked"
    target, where = need_register(operands[0]), memory(operands[1:])
    size = _size(match[2], target)
    acquire = match[1] == "LDA"

    def run(state: State) -> Result:
        address, deps = address_of(state, where)
        aligned(state, address, size)

        def loaded(new: State, value: int, made_from: Deps) -> None:
            assign(new, target, value, made_from)
            new.monitor = Monitor(address, size, last_events(new, address, size), deps)

        return load(state, address, size, loaded, deps, acquire=acquire)

    return run


def exclusive_store(
    status: Register, where: Memory, size: int, write: Callable[[State, Monitor, int, Deps, int], int]
) -> Instruction:
    """Return a store-exclusive, which can succeed after a load-exclusive of its size, and can always fail.

    The registers of the stored values are not among the data registers of such an instruction in the model's
    reference semantics: they make no data dependency, see docs/ordering.md.

    Args:
        status: register that says whether it failed.
        where: its address.
        size: in bytes, of each register that it stores.
        write: does the write, given the monitor, the address, what that was made from and the reads that the
            success depends on; returns the pick dependencies of the stored registers.
    """

    def end(state: State, failed: int, deps: Deps) -> None:
        assign(state, status, failed, deps)
        if status.name:  # a bool is no number given by the code: a loop on it is not followed for ever
            state.registers[status.name] = bool(failed)
        state.monitor = None

    def fail(state: State) -> None:
        end(state, 1, NONE)

    def succeed(state: State) -> None:
        monitor = state.monitor
        address, deps = address_of(state, where)
        if monitor.address != address:
            raise Dead
        choice = monitor.deps.pick | deps.pick
        end(state, 0, Deps(0, choice | write(state, monitor, address, deps, choice)))

    def run(state: State) -> Result:
        monitor = state.monitor
        if monitor is None or monitor.size != size:
            fail(state)
            return None
        return Ways((succeed, fail))

    return run


def _store_exclusive(name: str, operands: list[str]) -> Instruction:
    match = _EXCLUSIVE.match(name)
    assert match is not None, "the caller has looked"
    status, source = need_register(operands[0], 32), need_register(operands[1])
    size = _size(match[2], source)
    release = match[1] == "STL"

    def write(state: State, monitor: Monitor, address: int, deps: Deps, choice: int) -> int:
        data = deps_of(state, source)
        store(
            state, address, size, value_of(state, source), deps, partner=monitor.read, release=release,
            choice=choice, inner=data, atomic_read=monitor.read,
        )  # fmt: skip
        return data.pick

    return exclusive_store(status, memory(operands[2:]), size, write)


def _read_modify_write(name: str, operands: list[str]) -> Instruction:
    match = _OPERATION.match(name)
    if match is None:
        match = _NO_RESULT.match(name)
        assert match is not None, "the caller has looked"
        operation, acquire, release, suffix = match[1], False, match[2] == "L", match[3]
        source, where = need_register(operands[0]), memory(operands[1:])
        target = Register("", source.bits)
    else:
        operation, suffix = match[1].removeprefix("LD"), match[4]
        acquire, release = match[2] == "A", match[3] == "L"
        source, target, where = need_register(operands[0]), need_register(operands[1]), memory(operands[2:])
    size = _size(suffix, source)
    change = _CHANGE.get(operation)
    unused = not target.name
    acquire = acquire and not unused

    def run(state: State) -> Result:
        address, deps = address_of(state, where)
        by, data = value_of(state, source), deps_of(state, source)
        aligned(state, address, size)

        def loaded(new: State, old: int, made_from: Deps) -> None:
            read = last_events(new, address, size)
            if change is None:
                value, inner = by, NONE
            else:
                value, inner = change(old, truncated(by, size), 8 * size), made_from
            store(
                new, address, size, value, deps, data, partner=read, release=release, inner=inner,
                atomic_read=read, after=bits(read, new.order.count), acquire_release=acquire and release,
            )  # fmt: skip
            assign(new, target, old, made_from)

        return load(state, address, size, loaded, deps, acquire=acquire, unused=unused)

    return run


def _compare_and_swap(name: str, operands: list[str]) -> Instruction:
    match = _CAS.match(name)
    assert match is not None, "the caller has looked"
    compared, source = need_register(operands[0]), need_register(operands[1])
    where = memory(operands[2:])
    size = _size(match[3], compared)
    unused = not compared.name
    acquire, release = match[1] == "A" and not unused, match[2] == "L"

    def run(state: State) -> Result:
        address, deps = address_of(state, where)
        aligned(state, address, size)
        expected, expected_from = truncated(value_of(state, compared), size), deps_of(state, compared)

        def loaded(new: State, old: int, made_from: Deps) -> Result:
            choice = made_from.pick
            read = last_events(new, address, size)

            def written(newer: State, value: int, data: Deps, inner: Deps) -> None:
                store(
                    newer, address, size, value, deps, data, partner=read, release=release, inner=inner,
                    choice=choice, data_choice=expected_from.pick, atomic_read=read,
                    acquire_release=acquire and release,
                )  # fmt: skip

            if old != expected:

                def with_write(newer: State) -> None:
                    written(newer, old, NONE, made_from)
                    assign(newer, compared, old, made_from)

                def without_write(newer: State) -> None:
                    assign(newer, compared, old, made_from)

                return Ways((with_write, without_write))

            def from_memory(newer: State) -> None:
                written(newer, value_of(newer, source), deps_of(newer, source), NONE)
                assign(newer, compared, old, made_from)

            def from_register(newer: State) -> None:
                written(newer, value_of(newer, source), deps_of(newer, source), NONE)
                pick = expected_from.pick | made_from.pick
                assign(newer, compared, old, Deps(expected_from.plain, pick))

            return Ways((from_memory, from_register))

        return load(state, address, size, loaded, deps, acquire=acquire, unused=unused)

    return run


def compile_atomic(name: str, operands: list[str]) -> Instruction | None:
    """Return an exclusive or atomic instruction; None if the name is not one.

    Raises:
        CodeError: operands are wrong.
    """
    maker: Callable[[str, list[str]], Instruction]
    if _EXCLUSIVE.match(name):
        maker, need = (_load_exclusive, 2) if name.startswith("LD") else (_store_exclusive, 3)
    elif _CAS.match(name):
        maker, need = _compare_and_swap, 3
    elif _OPERATION.match(name):
        maker, need = _read_modify_write, 3
    elif _NO_RESULT.match(name):
        maker, need = _read_modify_write, 2
    else:
        return None
    need_operands(name, operands, need)
    return maker(name, operands)
