"""Reads operands of A64 assembly."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from emu.ordering.code.errors import CodeError, UnsupportedError
from emu.ordering.code.parsing import MASK64, integer, need_integer

MASK32 = 0xFFFFFFFF

_REGISTER = re.compile(r"([XW])(\d+|ZR)|(W?SP)|(LR|FP)", re.IGNORECASE)
_VECTOR = re.compile(r"([BHSDQVZ]([12]?\d|3[01])|P\d|P1[0-5])(\.\w+)?(/[MZ])?", re.IGNORECASE)
_SHIFT = re.compile(r"(LSL|LSR|ASR|ROR|[SU]XT[BHWX])(?:\s*#(\w+)|\s+(\w+))?$", re.IGNORECASE)


class Register(NamedTuple):
    """A general register under one of its two widths.

    Args:
        name: of the whole register, ``X0`` ... ``X30``, ``SP``; ``""`` is the zero register.
        bits: 32 or 64.
    """

    name: str
    bits: int

    @property
    def mask(self) -> int:
        """Return all ones of this width."""
        return MASK32 if self.bits == 32 else MASK64


class Modifier(NamedTuple):
    """A shift or extension of the operand before it."""

    kind: str
    amount: int


class Memory(NamedTuple):
    """An address operand.

    Args:
        base: register.
        offset: added to it.
        indexed: register added to it, if any.
        modifier: of the index register.
        writeback: ``""``, ``pre`` or ``post``.
    """

    base: Register
    offset: int
    indexed: Register | None
    modifier: Modifier | None
    writeback: str


@cache
def register(text: str) -> Register | None:
    """Return a register; None if the text is none.

    >>> register("w3"), register("XZR"), register("foo")
    (Register(name='X3', bits=32), Register(name='', bits=64), None)
    """
    match = _REGISTER.fullmatch(text)
    if match is None:
        return None
    letter, number, stack, alias = match.groups()
    if stack:
        return Register("SP", 32 if stack.upper() == "WSP" else 64)
    if alias:
        return Register("X30" if alias.upper() == "LR" else "X29", 64)
    bits = 32 if letter.upper() == "W" else 64
    if number.upper() == "ZR":
        return Register("", bits)
    if int(number) > 30:
        return None
    return Register(f"X{int(number)}", bits)


def need_register(text: str, bits: int = 0) -> Register:
    """Return a register.

    Args:
        text: of the operand.
        bits: that it must have; 0: any.

    Raises:
        CodeError: the text is no register, or one of another width.
        UnsupportedError: it is a register of vectors.
    """
    found = register(text)
    if found is None:
        if _VECTOR.fullmatch(text):
            raise UnsupportedError(f"register {text} (floating point, Neon, SVE) is not modelled")
        raise CodeError(f"{text!r} is not a general register")
    if bits and found.bits != bits:
        raise CodeError(f"{text!r} is {found.bits} bits wide, {bits} are needed")
    return found


def need_amount(text: str) -> int:
    """Return a number of bits.

    Raises:
        CodeError: the text is no number from 0 to 63.
    """
    found = need_integer(text)
    if not 0 <= found < 64:
        raise CodeError(f"{text!r} is not a number of bits from 0 to 63")
    return found


def modifier(text: str) -> Modifier | None:
    """Return a shift or extension; None if the text is none."""
    match = _SHIFT.match(text)
    if match is None:
        return None
    number = match[2] or match[3]
    amount = 0 if number is None else need_amount(number)
    return Modifier(match[1].upper(), amount)


def split_operands(text: str) -> list[str]:
    """Split at commas outside brackets.

    >>> split_operands("W0, [X1, W2, SXTW], #4")
    ['W0', '[X1, W2, SXTW]', '#4']
    """
    if "[" not in text:
        return [part.strip() for part in text.split(",")] if text.strip() else []
    parts, depth, current = [], 0, ""
    for char in text:
        depth += (char == "[") - (char == "]")
        if char == "," and not depth:
            parts.append(current.strip())
            current = ""
        else:
            current += char
    parts.append(current.strip())
    return parts


def memory(operands: list[str]) -> Memory:
    """Return the address that the last operands are, ``[...]`` with an offset after it or not.

    Raises:
        CodeError: they are none.
    """
    if not operands:
        raise CodeError("an address in brackets is missing")
    text = operands[0]
    if not text.startswith("["):
        raise CodeError(f"{text!r} is not an address in brackets")
    pre = text.endswith("!")
    inner = text.removesuffix("!")
    if not inner.endswith("]"):
        raise CodeError(f"{text!r} is not an address in brackets")
    parts = [part.strip() for part in inner[1:-1].split(",")]
    base = need_register(parts[0], 64)
    if len(operands) > 1:
        if len(parts) > 1 or pre or len(operands) > 2:
            raise CodeError(f"{', '.join(operands)!r} is not an address")
        offset = integer(operands[1])
        if offset is None:
            return Memory(base, 0, need_register(operands[1]), None, "post")
        return Memory(base, offset, None, None, "post")
    if len(parts) == 1:
        return Memory(base, 0, None, None, "pre" if pre else "")
    index = register(parts[1])
    if index is None:
        return Memory(base, need_integer(parts[1]), None, None, "pre" if pre else "")
    extension = None
    if len(parts) > 2:
        extension = modifier(parts[2])
        if extension is None:
            raise CodeError(f"{parts[2]!r} is not a shift or extension")
    return Memory(base, 0, index, extension, "")
