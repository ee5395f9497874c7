"""Reading sums of numbers, equates, symbols and (inside brackets) registers."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from emu.build.asm.operands import OperandError, Ref, UnknownSymbol

_TOKEN = re.compile(r"\s*(0x[0-9A-Fa-f]+\b|[A-Za-z_.$][\w.$]*|<<|>>|[-+*&|~()]|\d\w*)")
_DIGITS = 16
"""Hexadecimal digits of the longest number. Keystone fails, not always cleanly, on longer ones."""

Lookup: TypeAlias = Callable[[str], tuple[int, tuple[Ref, ...]]]
"""Name -> constant and references; raises `UnknownSymbol`."""


@dataclass(slots=True)
class Sum:
    """A sum while it is read: constant, references, and (register, factor) pairs in order."""

    constant: int
    refs: tuple[Ref, ...]
    registers: list[tuple[str, int]]


def no_symbols(name: str) -> tuple[int, tuple[Ref, ...]]:
    """The `Lookup` of text that may hold numbers and registers only."""
    raise UnknownSymbol(name)


@dataclass(slots=True)
class _Reader:
    tokens: list[str]
    lookup: Lookup
    registers: frozenset[str]
    decimal: bool
    at: int = 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self.at += 1
        return token

    def sum(self) -> Sum:
        total = Sum(0, (), [])
        terms, mixed = 0, False
        while True:
            sign = 1
            if self.peek() in ("+", "-"):
                sign = -1 if self.take() == "-" else 1
            elif terms:
                return total
            term, bare = self.product()
            mixed = mixed or bare
            terms += 1
            if mixed and terms > 1:
                raise OperandError("operators of unlike rank without parentheses", "add parentheses")
            if term.registers and sign < 0:
                raise OperandError("a register is subtracted", "negate it before")
            total.constant += sign * term.constant
            total.refs += tuple(Ref(ref.name, sign * ref.sign, ref.half) for ref in term.refs)
            total.registers += term.registers

    def product(self) -> tuple[Sum, bool]:
        """Return a product and whether it holds an operator other than ``*``."""
        left = self.factor()
        operator = ""
        while self.peek() in ("*", "<<", ">>", "&", "|"):
            if operator and self.peek() != operator:
                raise OperandError("operators of unlike rank without parentheses", "add parentheses")
            operator = self.take()
            left = _apply(operator, left, self.factor())
        return left, operator not in ("", "*")

    def factor(self) -> Sum:
        token = self.take()
        if token == "(":
            inside = self.sum()
            if self.take() != ")":
                raise OperandError("a parenthesis is not closed", "close it")
            return inside
        if token == "~" or token == "-":
            inside = self.factor()
            if inside.refs or inside.registers:
                raise OperandError(f"{token!r} of a symbol or register", "use constants")
            return Sum(~inside.constant if token == "~" else -inside.constant, (), [])
        if token[:1].isdigit():
            return Sum(self.number(token), (), [])
        if token in self.registers:
            return Sum(0, (), [(token, 1)])
        if token[:1].isalpha() or token[:1] in ("_", ".", "$"):
            constant, refs = self.lookup(token)
            return Sum(constant, refs, [])
        raise OperandError(f"{token or 'its end'!r} where a number or name was expected")

    def number(self, token: str) -> int:
        if self.decimal and token.isdigit():
            return int(token)
        if not token.startswith("0x") or not re.fullmatch("[0-9A-Fa-f]+", token[2:]):
            raise OperandError(f"{token!r} is not hexadecimal", "write every number as 0x...")
        if len(token) > 2 + _DIGITS:
            raise OperandError(f"{token!r} has more than {_DIGITS} digits", "numbers have 64 bits")
        return int(token, 16)


def _apply(operator: str, left: Sum, right: Sum) -> Sum:
    if operator == "*" and (left.registers or right.registers):
        scaled, factor = (left, right) if left.registers else (right, left)
        others = factor.registers or factor.refs or scaled.refs or scaled.constant
        if len(scaled.registers) == 1 and not others:
            return Sum(0, (), [(scaled.registers[0][0], factor.constant)])
    if left.registers or right.registers or left.refs or right.refs:
        raise OperandError(f"{operator!r} of a symbol or register", "only constants have products")
    a, b = left.constant, right.constant
    if operator in ("<<", ">>"):
        if not 0 <= b < 64:
            raise OperandError(f"a shift by {b:#x}", "shift by less than 0x40")
        return Sum(a << b if operator == "<<" else a >> b, (), [])
    return Sum({"*": a * b, "&": a & b, "|": a | b}[operator], (), [])


def read_sum(
    text: str, *, lookup: Lookup, registers: frozenset[str] = frozenset(), decimal: bool = False
) -> Sum:
    """Return the sum that ``text`` writes.

    Equates are folded at once, symbols become references. Ranks other than ``*`` before ``+`` and
    ``-`` differ between assemblers, so mixed operators need parentheses.

    Args:
        text: for example ``KLP_OPS_FOPS + 0x8``.
        lookup: what a name means.
        registers: names that are registers.
        decimal: decoded text: numbers below 10 are printed in decimal.

    Raises:
        OperandError: the text is no such sum, or has a value of more than 64 bits.
        UnknownSymbol: from ``lookup``.

    >>> read_sum("0x10 + (0x1 << 0x3)", lookup=no_symbols).constant
    24
    """
    tokens, at = [], 0
    text = text.strip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise OperandError(f"{text[at:].strip()[:20]!r} is not part of a number or name")
        tokens.append(match[1])
        at = match.end()
    reader = _Reader(tokens, lookup, registers, decimal)
    total = reader.sum()
    if reader.peek():
        raise OperandError(f"{reader.peek()!r} where an operator was expected")
    if not -(2**63) <= total.constant < 2**64:
        raise OperandError(f"the value {total.constant:#x} is wider than 64 bits", "numbers have 64 bits")
    return total
