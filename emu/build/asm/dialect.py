"""What the assembler and its guard need to know about a port's assembly language."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from emu.build.asm.expression import Lookup
from emu.build.asm.operands import Operand


class ReadOperands(Protocol):
    """Reads the operands of an instruction, in source or as decoded."""

    def __call__(self, mnemonic: str, text: str, *, lookup: Lookup, decoded: bool) -> tuple[Operand, ...]:
        """Return the operands in ``text``.

        Args:
            mnemonic: with its prefixes: it says where a word is no symbol.
            text: what follows the mnemonic.
            lookup: what a name means.
            decoded: the text comes from the decoder, which prints small numbers in decimal.

        Raises:
            OperandError: the text is outside the dialect.
            UnknownSymbol: from ``lookup``.
        """


class Mismatch(Protocol):
    """Tells why decoded bytes do not mean what a statement says."""

    def __call__(
        self,
        mnemonic: str,
        operands: tuple[Operand, ...],
        found_mnemonic: str,
        found: tuple[Operand, ...],
        code: bytes,
        end: int,
    ) -> str | None:
        """Return the reason, or None if the instruction is proven to be the statement's.

        Args:
            mnemonic: of the statement.
            operands: of the statement, symbols resolved.
            found_mnemonic: what the decoder prints.
            found: the operands that it prints.
            code: the instruction's bytes.
            end: the address behind them.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """The assembly language of a port.

    Args:
        line_comment: what starts a comment that ends with the line.
        prefixes: words that belong to the mnemonic behind them.
        refused: mnemonics that Keystone must not see.
        registers: names no label or equate may have.
        halves: symbols and equates also exist as ``NAME_LO16`` and ``NAME_HI16``.
        alignment: bytes that an instruction's address is a multiple of.
        longest: bytes of the longest instruction.
        is_branch: whether the mnemonic's last operand may be a label.
        reach: furthest distance of a branch, bytes either way; None: the guard's comparison of
            targets is enough.
        placeholder: from a unit's start to the address that stands for targets outside it while
            they are assembled; None: its start, as a label.
        set_target: (code, end, distance) writes the real target in the branch that ends at ``end``;
            the distance is from there.
        read_operands, print_operand, mismatch: see `ReadOperands` and `Mismatch`; an operand is
            printed for the assembler when every symbol is resolved, ``end`` being the address
            behind the instruction.
    """

    line_comment: str
    prefixes: frozenset[str]
    refused: frozenset[str]
    registers: frozenset[str]
    halves: bool
    alignment: int
    longest: int
    is_branch: Callable[[str], bool]
    reach: Callable[[str], int | None]
    placeholder: int | None
    set_target: Callable[[bytearray, int, int], None]
    read_operands: ReadOperands
    print_operand: Callable[[Operand, int], str]
    mismatch: Mismatch
