"""A64 instructions on registers: values, flags, dependencies."""

from __future__ import annotations

from collections.abc import Callable

from emu.ordering.code.arm64.operands import (
    Modifier,
    Register,
    modifier,
    need_amount,
    need_register,
    register,
)
from emu.ordering.code.errors import CodeError
from emu.ordering.code.parsing import MASK64, need_integer, need_operands
from emu.ordering.code.thread import Instruction, State
from emu.ordering.dependencies import NONE, Deps

FLAGS = "NZCV"
"""The condition flags: one number ``N << 3 | Z << 2 | C << 1 | V``, one set of dependencies."""

KNOWN = "known flags"
"""1: the flags were made from numbers in the code alone; a loop on them is followed to its end."""

CONDITIONS: dict[str, Callable[[int], bool]] = {
    "EQ": lambda f: bool(f & 4),
    "NE": lambda f: not f & 4,
    "CS": lambda f: bool(f & 2),
    "HS": lambda f: bool(f & 2),
    "CC": lambda f: not f & 2,
    "LO": lambda f: not f & 2,
    "MI": lambda f: bool(f & 8),
    "PL": lambda f: not f & 8,
    "VS": lambda f: bool(f & 1),
    "VC": lambda f: not f & 1,
    "HI": lambda f: bool(f & 2) and not f & 4,
    "LS": lambda f: not (f & 2 and not f & 4),
    "GE": lambda f: (f >> 3 & 1) == (f & 1),
    "LT": lambda f: (f >> 3 & 1) != (f & 1),
    "GT": lambda f: not f & 4 and (f >> 3 & 1) == (f & 1),
    "LE": lambda f: not (not f & 4 and (f >> 3 & 1) == (f & 1)),
    "AL": lambda f: True,
}

OPPOSITE = {
    "EQ": "NE",
    "NE": "EQ",
    "CS": "CC",
    "HS": "LO",
    "CC": "CS",
    "LO": "HS",
    "MI": "PL",
    "PL": "MI",
    "VS": "VC",
    "VC": "VS",
    "HI": "LS",
    "LS": "HI",
    "GE": "LT",
    "LT": "GE",
    "GT": "LE",
    "LE": "GT",
    "AL": "AL",
}


def value_of(state: State, source: Register) -> int:
    """Return what a register holds, at its width."""
    return state.registers.get(source.name, 0) & source.mask if source.name else 0


def deps_of(state: State, source: Register) -> Deps:
    """Return what a register's value was made from."""
    return state.deps.get(source.name, NONE)


def known(state: State, source: Register) -> bool:
    """Whether a register holds a number that the code or the initial state gives."""
    return not source.name or type(state.registers.get(source.name, False)) is int


def assign(state: State, target: Register, value: int, deps: Deps) -> None:
    """Write a register; the upper half of a 32-bit one becomes zero."""
    if target.name:
        state.registers[target.name] = value & target.mask
        state.deps[target.name] = deps


def signed(value: int, bits: int) -> int:
    """Return a value as a signed number of that width.

    >>> signed(0xFF, 8), signed(0x7F, 8)
    (-1, 127)
    """
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def apply(how: Modifier | None, value: int, bits: int) -> int:
    """Return a value shifted or extended."""
    if how is None:
        return value
    kind, amount = how
    if kind == "LSL":
        return value << amount & (1 << bits) - 1
    if kind == "LSR":
        return value >> amount
    if kind == "ASR":
        return signed(value, bits) >> amount & (1 << bits) - 1
    if kind == "ROR":
        amount %= bits
        return (value >> amount | value << (bits - amount)) & (1 << bits) - 1
    width = {"B": 8, "H": 16, "W": 32, "X": 64}[kind[3]]
    part = value & (1 << width) - 1
    if kind[0] == "S":
        part = signed(part, width)
    return part << amount & MASK64


def sum_flags(left: int, right: int, carry: int, bits: int) -> tuple[int, int]:
    """Return a sum and its condition flags."""
    mask = (1 << bits) - 1
    wide = (left & mask) + (right & mask) + carry
    result = wide & mask
    over = signed(left, bits) + signed(right, bits) + carry != signed(result, bits)
    return result, (result >> (bits - 1)) << 3 | (result == 0) << 2 | (wide > mask) << 1 | over


def _logic_flags(result: int, bits: int) -> int:
    return (result >> (bits - 1) & 1) << 3 | (result == 0) << 2


_LOGIC: dict[str, Callable[[int, int], int]] = {
    "AND": lambda a, b: a & b,
    "ORR": lambda a, b: a | b,
    "EOR": lambda a, b: a ^ b,
    "BIC": lambda a, b: a & ~b,
    "ORN": lambda a, b: a | ~b,
    "EON": lambda a, b: a ^ ~b,
}


def _second(operands: list[str], bits: int) -> tuple[Register | None, int, Modifier | None]:
    """Return the last operand: a register with its modifier, or a number."""
    how = None
    if len(operands) > 1:
        how = modifier(operands[1])
        if how is None or len(operands) > 2:
            raise CodeError(f"{operands[1]!r} is not a shift or extension")
    source = register(operands[0])
    if source is not None:
        if source.bits != bits and not (how and how.kind[1:3] == "XT"):
            raise CodeError(f"{operands[0]!r} is {source.bits} bits wide, {bits} are needed")
        return source, 0, how
    return None, apply(how, need_integer(operands[0]) & (1 << bits) - 1, bits), None


def _two(operands: list[str]) -> tuple[Register, Register]:
    """Return the first two operands, registers of one width."""
    target = need_register(operands[0])
    return target, need_register(operands[1], target.bits)


def three_operands(name: str, operands: list[str]) -> Instruction:
    """Compile ADD, SUB and the logic instructions, with S or without."""
    flags = name[-1] == "S" and name[:-1] in ("ADD", "SUB", "AND", "BIC")
    base = name[:-1] if flags else name
    if len(operands) == 2:
        operands = [operands[0], *operands]
    target = need_register(operands[0])
    bits = target.bits
    left = need_register(operands[1], bits)
    right, number, how = _second(operands[2:], bits)
    logic = _LOGIC.get(base)
    mask = target.mask
    subtract = base == "SUB"

    def run(state: State) -> None:
        a = value_of(state, left)
        deps = deps_of(state, left)
        if right is None:
            b = number
        else:
            b = apply(how, value_of(state, right), bits)
            deps = deps | deps_of(state, right)
        if logic is not None:
            result = logic(a, b) & mask
            found = _logic_flags(result, bits) if flags else 0
        elif subtract:
            result, found = sum_flags(a, ~b & mask, 1, bits)
        else:
            result, found = sum_flags(a, b & mask, 0, bits)
        assign(state, target, result, deps)
        if flags:
            state.registers[FLAGS] = found
            state.registers[KNOWN] = known(state, left) and (right is None or known(state, right))
            state.deps[FLAGS] = deps

    return run


def compare(name: str, operands: list[str]) -> Instruction:
    """Compile CMP, CMN and TST."""
    zero = "WZR" if need_register(operands[0]).bits == 32 else "XZR"
    return three_operands({"CMP": "SUBS", "CMN": "ADDS", "TST": "ANDS"}[name], [zero, *operands])


def move(name: str, operands: list[str]) -> Instruction:
    """Compile MOV, MOVZ, MOVN, MOVK, MVN, NEG."""
    target = need_register(operands[0])
    bits = target.bits
    if name in ("MVN", "NEG", "NEGS"):
        zero = "WZR" if bits == 32 else "XZR"
        return three_operands(
            {"MVN": "ORN", "NEG": "SUB", "NEGS": "SUBS"}[name], [operands[0], zero, *operands[1:]]
        )
    source, number, how = _second(operands[1:], bits)
    if name == "MOVK":
        shift = 0
        if len(operands) > 2:
            found = modifier(operands[2])
            assert found is not None, "_second has looked at it"
            shift = found.amount
        field = 0xFFFF << shift

        def keep(state: State) -> None:
            assign(state, target, value_of(state, target) & ~field | number, deps_of(state, target))

        return keep
    if name == "MOVN":
        number = ~number

    def run(state: State) -> None:
        if source is None:
            assign(state, target, number, NONE)
        else:
            assign(state, target, apply(how, value_of(state, source), bits), deps_of(state, source))

    return run


def shift(name: str, operands: list[str]) -> Instruction:
    """Compile LSL, LSR, ASR and ROR by a number or a register."""
    target, source = _two(operands)
    by = register(operands[2])
    bits = target.bits
    number = 0 if by is not None else need_amount(operands[2])

    def run(state: State) -> None:
        deps = deps_of(state, source)
        amount = number
        if by is not None:
            amount = value_of(state, by) % bits
            deps = deps | deps_of(state, by)
        assign(state, target, apply(Modifier(name, amount), value_of(state, source), bits), deps)

    return run


def extend(name: str, operands: list[str]) -> Instruction:
    """Compile SXTB, SXTH, SXTW, UXTB, UXTH and UXTW."""
    target, source = need_register(operands[0]), need_register(operands[1])

    def run(state: State) -> None:
        assign(state, target, apply(Modifier(name, 0), value_of(state, source), 64), deps_of(state, source))

    return run


def bitfield(name: str, operands: list[str]) -> Instruction:
    """Compile UBFM, SBFM, UBFX and SBFX."""
    target, source = _two(operands)
    first, second = need_amount(operands[2]), need_amount(operands[3])
    bits = target.bits
    if name.endswith("X"):
        second = first + second - 1
    sign = name[0] == "S"

    def run(state: State) -> None:
        value = value_of(state, source)
        if second >= first:
            width, low = second - first + 1, 0
            part = value >> first & (1 << width) - 1
        else:
            width, low = second + 1, bits - first
            part = value & (1 << width) - 1
        if sign:
            part = signed(part, width)
        assign(state, target, part << low, deps_of(state, source))

    return run


def multiply(name: str, operands: list[str]) -> Instruction:
    """Compile MUL, MNEG, MADD and MSUB."""
    target, left = _two(operands)
    right = need_register(operands[2], target.bits)
    extra = need_register(operands[3], target.bits) if len(operands) > 3 else Register("", target.bits)
    sign = -1 if name in ("MNEG", "MSUB") else 1

    def run(state: State) -> None:
        deps = deps_of(state, left) | deps_of(state, right) | deps_of(state, extra)
        product = value_of(state, left) * value_of(state, right)
        assign(state, target, value_of(state, extra) + sign * product, deps)

    return run


def bits_of(name: str, operands: list[str]) -> Instruction:
    """Compile RBIT, REV, REV16, REV32, REV64, CLZ, CLS and ABS."""
    target, source = _two(operands)
    bits = target.bits

    def turned(value: int, unit: int) -> int:
        result = 0
        for start in range(0, bits, unit):
            part = (value >> start & (1 << unit) - 1).to_bytes(unit // 8, "little")
            result |= int.from_bytes(part, "big") << start
        return result

    def run(state: State) -> None:
        value = value_of(state, source)
        if name == "RBIT":
            result = int(f"{value:0{bits}b}"[::-1], 2)
        elif name in ("REV", "REV64"):
            result = turned(value, bits)
        elif name in ("REV16", "REV32"):
            result = turned(value, int(name[3:]))
        elif name == "CLZ":
            result = bits - value.bit_length()
        elif name == "CLS":
            result = bits - 1 - (value if not value >> (bits - 1) else ~value & target.mask).bit_length()
        else:
            result = abs(signed(value, bits))
        assign(state, target, result, deps_of(state, source))

    return run


def select(name: str, operands: list[str]) -> Instruction:
    """Compile CSEL, CSINC, CSINV, CSNEG, CSET, CSETM, CINC, CINV and CNEG.

    The flags reach the result through the choice only, so only pick dependencies come from them.
    """
    condition = operands[-1].upper()
    if condition not in CONDITIONS:
        raise CodeError(f"{operands[-1]!r} is not a condition")
    target = need_register(operands[0])
    zero = Register("", target.bits)
    if name in ("CSET", "CSETM"):
        first = second = zero
        name = "CSINC" if name == "CSET" else "CSINV"
        condition = OPPOSITE[condition]
    elif name in ("CINC", "CINV", "CNEG"):
        first = second = need_register(operands[1], target.bits)
        name = "CS" + name[1:]
        condition = OPPOSITE[condition]
    else:
        first, second = (need_register(text, target.bits) for text in operands[1:3])
    holds = CONDITIONS[condition]

    def run(state: State) -> None:
        flags = state.deps.get(FLAGS, NONE)
        source = first if holds(state.registers.get(FLAGS, 0)) else second
        value = value_of(state, source)
        if source is second and not holds(state.registers.get(FLAGS, 0)):
            if name == "CSINC":
                value += 1
            elif name == "CSINV":
                value = ~value
            elif name == "CSNEG":
                value = -value
        deps = deps_of(state, source)
        assign(state, target, value, Deps(deps.plain, deps.pick | flags.pick))

    return run


_MAKERS: dict[str, tuple[Callable[[str, list[str]], Instruction], int, int]] = {
    name: (maker, least, most)
    for names, maker, least, most in (
        ("ADD ADDS SUB SUBS AND ANDS ORR EOR BIC BICS ORN EON", three_operands, 2, 4),
        ("CMP CMN TST", compare, 2, 3),
        ("MOV MOVZ MOVN MOVK MVN NEG NEGS", move, 2, 3),
        ("LSL LSR ASR ROR", shift, 3, 3),
        ("SXTB SXTH SXTW UXTB UXTH UXTW", extend, 2, 2),
        ("UBFM SBFM UBFX SBFX", bitfield, 4, 4),
        ("MUL MNEG", multiply, 3, 3),
        ("MADD MSUB", multiply, 4, 4),
        ("RBIT REV REV16 REV32 REV64 CLZ CLS ABS", bits_of, 2, 2),
        ("CSEL CSINC CSINV CSNEG", select, 4, 4),
        ("CINC CINV CNEG", select, 3, 3),
        ("CSET CSETM", select, 2, 2),
    )
    for name in names.split()
}
"""By name: what compiles it, and how many operands it has, at least and at most."""


def compile_alu(name: str, operands: list[str]) -> Instruction | None:
    """Return an instruction on registers; None if the name is not one.

    Raises:
        CodeError: operands are wrong.
    """
    if name not in _MAKERS:
        return None
    maker, least, most = _MAKERS[name]
    need_operands(name, operands, least, most)
    return maker(name, operands)
