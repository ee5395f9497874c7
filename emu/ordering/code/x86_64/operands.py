"""Reads operands of x86-64 assembly in AT&T order."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from emu.ordering.code.errors import CodeError
from emu.ordering.code.parsing import need_integer

_LEGACY = ("a", "b", "c", "d")
_INDEX = ("si", "di", "bp", "sp")
_MEMORY = re.compile(r"(?:%[cdefgs]s:)?([-+]?\w+)?\s*\(([^)]*)\)$")


class Register(NamedTuple):
    """A general register under one of its widths.

    Args:
        name: of the whole register, such as ``rax``.
        size: in bytes.
        high: whether it is bits 8 to 15.
    """

    name: str
    size: int
    high: bool = False


class Immediate(NamedTuple):
    """A number, or the address of a symbol."""

    value: int


class Memory(NamedTuple):
    """An address operand: offset + base + indexed * scale.

    Args:
        offset: number, or the address of a symbol.
        base: register; None: none, or ``rip``.
        indexed: register; None: none.
        scale: of the latter.
    """

    offset: int
    base: Register | None
    indexed: Register | None
    scale: int


Operand = Register | Immediate | Memory


@cache
def registers() -> dict[str, Register]:
    """Return all general registers by their names."""
    found = {}
    for letter in _LEGACY:
        whole = f"r{letter}x"
        for name, size in ((whole, 8), (f"e{letter}x", 4), (f"{letter}x", 2), (f"{letter}l", 1)):
            found[name] = Register(whole, size)
        found[f"{letter}h"] = Register(whole, 1, True)
    for letters in _INDEX:
        whole = f"r{letters}"
        for name, size in ((whole, 8), (f"e{letters}", 4), (letters, 2), (f"{letters}l", 1)):
            found[name] = Register(whole, size)
    for number in range(8, 16):
        whole = f"r{number}"
        for suffix, size in (("", 8), ("d", 4), ("w", 2), ("b", 1)):
            found[whole + suffix] = Register(whole, size)
    return found


def register(text: str) -> Register | None:
    """Return a register, with or without ``%``; None if the text is none.

    >>> register("%EAX")
    Register(name='rax', size=4, high=False)
    """
    return registers().get(text.strip().lstrip("%").lower())


def operand(text: str, symbol: Callable[[str], int]) -> Operand:
    """Return an operand.

    Args:
        text: of it.
        symbol: gives the address of a symbol.

    Raises:
        CodeError: it is none.
    """
    text = text.strip()
    if text.startswith("$"):
        inner = text[1:].strip()
        if re.fullmatch(r"[A-Za-z_]\w*", inner):
            return Immediate(symbol(inner))
        return Immediate(need_integer(inner))
    found = register(text)
    if found is not None:
        return found
    match = _MEMORY.match(text)
    if match is None:
        if re.fullmatch(r"[-+]?\w+", text) and text.lstrip("+-")[0].isdigit():
            return Immediate(need_integer(text))
        if re.fullmatch(r"\[\s*[A-Za-z_]\w*\s*\]", text):
            return Memory(symbol(text[1:-1].strip()), None, None, 1)
        raise CodeError(f"{text!r} is not an operand; such as %eax, $1, (x) or 8(%rsi,%rdi,4)")
    parts = [part.strip() for part in match[2].split(",")]
    offset = 0
    if match[1]:
        offset = symbol(match[1]) if re.fullmatch(r"[A-Za-z_]\w*", match[1]) else need_integer(match[1])
    base = index = None
    scale = 1
    if parts[0].startswith("%") or register(parts[0]):
        base = register(parts[0])
        if base is None and parts[0].lower() != "%rip":
            raise CodeError(f"{parts[0]!r} is not a register")
    elif re.fullmatch(r"[A-Za-z_]\w*", parts[0]) and len(parts) == 1:
        offset += symbol(parts[0])
    elif parts[0]:
        raise CodeError(f"{text!r} is not an address")
    if len(parts) > 1:
        index = register(parts[1])
        if index is None:
            raise CodeError(f"{parts[1]!r} is not a register")
    if len(parts) > 2:
        scale = need_integer(parts[2])
    return Memory(offset, base, index, scale)
