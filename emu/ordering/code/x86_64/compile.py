"""Compiles one x86-64 instruction, AT&T operand order."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from emu.ordering.code.access import bits, last_events, load, store
from emu.ordering.code.errors import CodeError, UnsupportedError
from emu.ordering.code.parsing import MASK64, need_operands, target_of
from emu.ordering.code.thread import Instruction, Pending, Result, State
from emu.ordering.code.x86_64.arithmetic import CONDITIONS, FLAGS, compute, signed
from emu.ordering.code.x86_64.operands import Immediate, Memory, Operand, Register, operand, register
from emu.ordering.columns import SERIALISE
from emu.ordering.dependencies import Deps
from emu.ordering.tree import Event

ATOMIC_LINE = 64
"""Bytes: accesses inside one cache line are atomic (Intel SDM vol. 3A, 9.1.1)."""

_SIZE = {"b": 1, "w": 2, "l": 4, "q": 8}
_NAME = re.compile(
    r"(mov|xchg|add|sub|and|or|xor|inc|dec|neg|not|cmp|test|cmpxchg|xadd|shl|shr|sal|sar|lea)([bwlq])?$"
)
_LOCKABLE = re.compile(r"(add|sub|and|or|xor|inc|dec|neg|not|xchg|cmpxchg|xadd)$")
"""May have a LOCK prefix, if they write memory. Source: Intel SDM vol. 2A, LOCK."""
_EXTEND = re.compile(r"mov([sz])([bwl])([wlq])$")


def _value(state: State, source: Register | Immediate) -> int:
    if isinstance(source, Immediate):
        return source.value & MASK64
    value = state.registers.get(source.name, 0)
    if source.high:
        return value >> 8 & 0xFF
    return value & (1 << 8 * source.size) - 1


def _assign(state: State, target: Register, value: int) -> None:
    """Write a register: a 32-bit one clears the upper half, a smaller one leaves the rest."""
    if target.size == 8:
        state.registers[target.name] = value & MASK64
    elif target.size == 4:
        state.registers[target.name] = value & 0xFFFFFFFF
    else:
        low = 8 if target.high else 0
        mask = (1 << 8 * target.size) - 1 << low
        state.registers[target.name] = state.registers.get(target.name, 0) & ~mask | value << low & mask


def _address(state: State, where: Memory) -> int:
    address = where.offset
    if where.base is not None:
        address += _value(state, where.base)
    if where.indexed is not None:
        address += _value(state, where.indexed) * where.scale
    return address & MASK64


def _load(
    state: State, address: int, size: int, then: Callable[[State, int], Result], *, locked: bool = False
) -> Pending:
    def got(new: State, value: int, deps: Deps) -> Result:
        del deps
        return then(new, value)

    return load(state, address, size, got, locked=locked)


def _store_back(state: State, address: int, value: int, size: int, locked: bool) -> None:
    """Write what the same instruction has just read."""
    read = last_events(state, address, size)
    own = bits(read, state.order.count)
    store(state, address, size, value, partner=read if locked else -1, own=own, locked=locked)


def _width(suffix: str | None, operands: list[Operand]) -> int:
    if suffix:
        return _SIZE[suffix]
    for one in operands[::-1]:
        if isinstance(one, Register):
            return one.size
    return 4


def _sized(one: Operand, size: int) -> Operand:
    """Return a register at the width of the instruction."""
    return one._replace(size=size) if isinstance(one, Register) and not one.high and one.size != size else one


def _update(name: str, suffix: str | None, operands: list[Operand], *, locked: bool) -> Instruction:
    """Compile an instruction that changes its last operand by its first."""
    size = _width(suffix, operands)
    operands = [_sized(one, size) for one in operands]
    if len(operands) == 1:
        operands = [Immediate(1), *operands]
    source, target = operands
    writes = name not in ("cmp", "test")
    keeps_carry = name in ("inc", "dec")
    if isinstance(source, Memory) and isinstance(target, Memory):
        raise CodeError("an instruction has at most one operand in memory")
    if isinstance(target, Immediate):
        raise CodeError("a number can't be written to")

    def flagged(state: State, flags: int | None) -> None:
        if flags is not None:
            if keeps_carry:
                flags = flags & ~1 | state.registers.get(FLAGS, 0) & 1
            state.registers[FLAGS] = flags

    def run(state: State) -> Result:
        if isinstance(source, Memory):
            assert isinstance(target, Register), "one operand at most is in memory"

            def loaded(new: State, by: int) -> None:
                result, flags = compute(name, 0 if name == "mov" else _value(new, target), by, size)
                flagged(new, flags)
                if writes:
                    _assign(new, target, result)

            return _load(state, _address(state, source), size, loaded)
        by = _value(state, source)
        if isinstance(target, Register):
            result, flags = compute(name, 0 if name == "mov" else _value(state, target), by, size)
            flagged(state, flags)
            if writes:
                _assign(state, target, result)
            return None
        assert isinstance(target, Memory), "numbers are refused above"
        address = _address(state, target)
        if name == "mov":
            store(state, address, size, by)
            return None

        def changed(new: State, old: int) -> None:
            result, flags = compute(name, old, by, size)
            flagged(new, flags)
            if writes:
                _store_back(new, address, result, size, locked)

        return _load(state, address, size, changed, locked=locked)

    return run


def _exchange(name: str, suffix: str | None, operands: list[Operand], *, locked: bool) -> Instruction:
    """Compile XCHG (always locked, if in memory) and XADD."""
    size = _width(suffix, operands)
    first, second = (_sized(one, size) for one in operands)
    add = name == "xadd"
    locked = locked or not add
    if isinstance(first, Memory):
        first, second = second, first
    if not isinstance(first, Register) or isinstance(second, Immediate):
        raise CodeError(f"{name} needs a register and a register or address")
    register, other = first, second

    def run(state: State) -> Result:
        if isinstance(other, Register):
            old, by = _value(state, other), _value(state, register)
            result, flags = compute("add", old, by, size) if add else (by, None)
            if flags is not None:
                state.registers[FLAGS] = flags
            _assign(state, register, old)
            _assign(state, other, result)
            return None
        address = _address(state, other)

        def loaded(new: State, old: int) -> None:
            by = _value(new, register)
            result, flags = compute("add", old, by, size) if add else (by, None)
            if flags is not None:
                new.registers[FLAGS] = flags
            _store_back(new, address, result, size, locked)
            _assign(new, register, old)

        return _load(state, address, size, loaded, locked=locked)

    return run


def _compare_exchange(suffix: str | None, operands: list[Operand], *, locked: bool) -> Instruction:
    """Compile CMPXCHG with the operand in memory on either side: litmus tests put it first, AT&T last."""
    size = _width(suffix, operands)
    first, second = (_sized(one, size) for one in operands)
    if isinstance(second, Memory):
        first, second = second, first
    if not isinstance(first, Memory) or not isinstance(second, Register):
        raise CodeError("cmpxchg needs an address and a register")
    where, source = first, second
    accumulator = Register("rax", size)

    def run(state: State) -> Result:
        address = _address(state, where)

        def loaded(new: State, old: int) -> None:
            expected = _value(new, accumulator)
            new.registers[FLAGS] = compute("cmp", expected, old, size)[1] or 0
            if old == expected:
                _store_back(new, address, _value(new, source), size, locked)
            else:
                _assign(new, accumulator, old)

        return _load(state, address, size, loaded, locked=locked)

    return run


def _extend(small: int, large: int, operands: list[Operand], *, sign: bool) -> Instruction:
    source, target = operands
    if not isinstance(target, Register):
        raise CodeError("movz and movs write a register")
    target = target._replace(size=large)

    def put(state: State, value: int) -> None:
        assert isinstance(target, Register), "checked above"
        _assign(state, target, signed(value, small) if sign else value & (1 << 8 * small) - 1)

    def run(state: State) -> Result:
        if isinstance(source, Memory):
            return _load(state, _address(state, source), small, put)
        put(state, _value(state, source))
        return None

    return run


def _load_address(suffix: str | None, operands: list[Operand]) -> Instruction:
    where, target = operands
    if not isinstance(where, Memory) or not isinstance(target, Register):
        raise CodeError("lea needs an address and a register")
    wide: Any = _sized(target, _width(suffix, operands))

    def run(state: State) -> None:
        _assign(state, wide, _address(state, where))

    return run


def _mfence(state: State) -> None:
    state.order.fence()


def _serialise(state: State) -> None:
    placed = state.order.serialise()
    state.events.append(Event(SERIALISE, None, None, placed.local))


def _nothing(state: State) -> None:
    del state


def _stop(state: State) -> None:
    state.ended = True


def _trap(state: State) -> None:
    """Enter the handler with the address behind the INT3 in ``rip``; an exception serialises."""
    _serialise(state)
    at = state.index - 1
    state.faults = (*state.faults, (at, "Breakpoint"))
    if state.handler < 0:
        state.ended = True
        return
    state.registers["rip"] = state.code.address(state.index)
    state.index = state.handler


def _interrupt_return(state: State) -> None:
    _serialise(state)
    to = state.code.index(state.registers.get("rip", 0))
    if to is None:
        raise CodeError("iretq goes to no instruction")
    state.index = to


_OTHERS = {"eflags": FLAGS, "rflags": FLAGS, FLAGS: FLAGS, "rip": "rip"}
"""Registers that are not general ones, and what states call them."""
_PLAIN: dict[str, Instruction] = {
    "mfence": _mfence, "lfence": _nothing, "sfence": _nothing, "nop": _nothing, "nopw": _nothing,
    "nopl": _nothing, "endbr64": _nothing, "pause": _nothing, "ret": _stop, "retq": _stop,
    "cpuid": _serialise, "serialize": _serialise, "int3": _trap, "iretq": _interrupt_return, "hlt": _stop,
}  # fmt: skip
_NO_EFFECT = re.compile(r"(clflush(opt)?|clwb|prefetch(w|nta|t[012]))$")
"""Hints and cache operations that order nothing here, see docs/ordering.md."""
_UNMODELLED = ("movnt", "v", "p", "xbegin", "cmpxchg16b", "cmpxchg8b")
"""Beginnings of names that are known and not modelled."""


def compile_instruction(
    text: str,
    index: int,
    labels: Mapping[str, int],
    *,
    symbol: Callable[[str], int],
    variants: frozenset[str] = frozenset(),
) -> Instruction:
    """Return what an instruction does.

    Args:
        text: the instruction.
        index: where it stands.
        labels: of its column, to indices.
        symbol: gives the address of a symbol.
        variants: of the test; x86-64 has none.

    Raises:
        CodeError: it is not known, or its operands are wrong.
        UnsupportedError: it is known and not modelled.
    """
    del variants
    name, _, rest = text.strip().partition(" ")
    locked = name.lower() == "lock"
    if locked:
        name, _, rest = rest.strip().partition(" ")
    name = name.lower()
    written = re.split(r",(?![^(]*\))", rest) if rest.strip() else []
    plain = None if locked else _without_accesses(name, written, index, labels)
    if plain is not None:
        return plain
    extension = _EXTEND.match(name)
    match = _NAME.match(name)
    if match is None and extension is None:
        if name.startswith(_UNMODELLED):
            raise UnsupportedError(f"{name} is not modelled")
        raise CodeError(f"instruction {text!r} is not known; docs/ordering.md lists those that are")
    operands = [operand(part, symbol) for part in written]
    base, suffix = match.groups() if match is not None else (name, None)
    writable = operands if base in ("xchg", "xadd", "cmpxchg") else operands[-1:]
    if locked and not (_LOCKABLE.match(base) and any(isinstance(one, Memory) for one in writable)):
        raise CodeError(f"lock goes with instructions that read and write memory, not with {name!r}")
    need_operands(name, written, 1 if base in ("inc", "dec", "neg", "not") else 2)
    if extension is not None:
        return _extend(_SIZE[extension[2]], _SIZE[extension[3]], operands, sign=extension[1] == "s")
    if base == "lea":
        return _load_address(suffix, operands)
    if base in ("xchg", "xadd"):
        return _exchange(base, suffix, operands, locked=locked)
    if base == "cmpxchg":
        return _compare_exchange(suffix, operands, locked=locked)
    return _update(base, suffix, operands, locked=locked)


def _without_accesses(
    name: str, operands: list[str], index: int, labels: Mapping[str, int]
) -> Instruction | None:
    """Return a jump, a barrier or one that does nothing here; None if the name is none of these."""
    if name in _PLAIN:
        need_operands(name, operands, 0, 1 if name.startswith(("nop", "ret")) else 0)
        return _PLAIN[name]
    if _NO_EFFECT.match(name):
        return _nothing
    holds = CONDITIONS.get(name[1:])
    if name != "jmp" and (holds is None or name[0] != "j"):
        return None
    need_operands(name, operands, 1)
    to = target_of(operands[0], index, labels)

    def run(state: State) -> None:
        if holds is None or holds(state.registers.get(FLAGS, 0)):
            state.jump(to)

    return run


def undefined(variants: frozenset[str]) -> Instruction:
    """Return what an undefined instruction does: the CPU stops.

    Args:
        variants: of the test; x86-64 has none.
    """
    del variants

    def run(state: State) -> None:
        state.faults = (*state.faults, (state.index - 1, "UndefinedInstruction"))
        state.ended = True

    return run


def is_restricted(text: str) -> bool:
    """Whether an instruction may not be modified while other CPUs execute it: x86-64 has no such rule."""
    del text
    return False


def register_name(text: str) -> str:
    """Return the whole register that a name stands for, as states have it.

    >>> register_name("EAX"), register_name("eflags")
    ('rax', 'flags')

    Raises:
        CodeError: the text is no register.
    """
    found = register(text)
    name = _OTHERS.get(text.lower()) if found is None else found.name
    if name is None:
        raise CodeError(f"{text!r} is not a general register")
    return name


def label_taken(text: str) -> str | None:
    """Return the label whose address an instruction puts into a register: none here does."""
    del text
    return None


def normal(text: str) -> str:
    """Return an instruction's text in one spelling.

    >>> normal("JMP  .+8"), normal("INT3")
    ('jmp .+8', 'int3')
    """
    name, _, rest = text.strip().partition(" ")
    return f"{name.lower()} {rest.replace(' ', '')}".strip()
