"""Operands of an instruction as values, the same for source text and for decoded text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias


class OperandError(Exception):
    """An operand cannot be read; the caller adds file, line and statement."""

    def __init__(self, problem: str, remedy: str = "see docs/guest-kernel.md, source dialect") -> None:
        super().__init__(problem)
        self.problem, self.remedy = problem, remedy


class UnknownSymbol(Exception):  # noqa: N818  (a signal to the caller, which raises UndefinedSymbolError)
    """An operand names something that is nowhere defined."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True, slots=True)
class Ref:
    """A symbol whose address is not known while reading: ``sign`` * one ``half`` of it.

    Args:
        name: of the symbol.
        sign: 1 or -1.
        half: "" for all of it, ``LO16`` or ``HI16``.
    """

    name: str
    sign: int = 1
    half: str = ""


@dataclass(frozen=True, slots=True)
class Register:
    """A register, by the name that the decoder prints."""

    name: str


@dataclass(frozen=True, slots=True)
class Keyword:
    """A word that is no symbol: a condition, a barrier kind, a system register."""

    text: str


@dataclass(frozen=True, slots=True)
class Shift:
    """A shift or extension of the operand before it."""

    kind: str
    amount: int


@dataclass(frozen=True, slots=True)
class Immediate:
    """A number, or an address: ``value`` plus ``refs``."""

    value: int
    refs: tuple[Ref, ...] = ()


@dataclass(frozen=True, slots=True)
class Memory:
    """A memory operand.

    Args:
        size: bytes as written, 0 if not written or not known.
        segment: x86-64 segment override, or "".
        base, index: registers, or "". With base ``rip``, offset and refs are the *target*.
        scale: factor of the index.
        extend: arm64: how the index is shifted or extended, or None.
        offset, refs: displacement.
        writeback: arm64: pre-indexed.
    """

    size: int = 0
    segment: str = ""
    base: str = ""
    index: str = ""
    scale: int = 1
    extend: Shift | None = None
    offset: int = 0
    refs: tuple[Ref, ...] = ()
    writeback: bool = False


Operand: TypeAlias = Register | Keyword | Shift | Immediate | Memory


def value_of(refs: tuple[Ref, ...], addresses: Mapping[str, int]) -> int:
    """Return the sum of ``refs``, with the addresses of symbols from ``addresses``."""
    total = 0
    for ref in refs:
        value = addresses[ref.name]
        if ref.half:
            value = half_of(value, ref.half)
        total += ref.sign * value
    return total


def half_of(value: int, half: str) -> int:
    """Return bits 0-15 (``LO16``) or 16-31 (``HI16``) of ``value``, or `OperandError` if it has more.

    >>> hex(half_of(0x1234_5678, "HI16"))
    '0x1234'
    """
    if not -(2**31) <= value < 2**32:
        raise OperandError(
            f"{value:#x} does not fit two 16-bit halves", "use further movk instructions with numbers"
        )
    return value >> (16 if half == "HI16" else 0) & 0xFFFF


def resolve(operand: Operand, addresses: Mapping[str, int]) -> Operand:
    """Return ``operand`` with every symbol replaced by its address."""
    if isinstance(operand, Immediate) and operand.refs:
        return Immediate(operand.value + value_of(operand.refs, addresses))
    if isinstance(operand, Memory) and operand.refs:
        return replace(operand, offset=operand.offset + value_of(operand.refs, addresses), refs=())
    return operand
