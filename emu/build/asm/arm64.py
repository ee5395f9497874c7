"""The arm64 dialect, as Keystone and GNU as both read it.

Keystone 0.9.2 is handed only labels of the same file as branch targets, and a file is small enough for
all of them to be in reach: out of reach, it truncates b.cond and cbz without a word and ends the
process on tbz. Targets outside are written into the finished word by `set_target`, because Keystone
measures the distance to an absolute target from the last ``.balign`` or data directive instead of
from the file's start. ``adr`` with a number and ``adrp`` come out wrong: they are refused.
"""

from __future__ import annotations

import re
import struct

from emu.build.asm.arm64_compare import mismatch
from emu.build.asm.arm64_names import (
    BRANCH_REACH,
    CONDITIONS,
    KEYWORD_PLACES,
    REGISTER_ALIASES,
    REGISTERS,
    RESERVED,
    SHIFTS,
)
from emu.build.asm.dialect import Dialect
from emu.build.asm.expression import Lookup, read_sum
from emu.build.asm.operands import Immediate, Keyword, Memory, Operand, OperandError, Register, Shift

_WORD = re.compile(r"[a-z][a-z0-9_]*")
_SHIFT = re.compile(r"([a-z]{3,4})(?:\s*#?\s*(.+))?")
_PARTS = re.compile(r",(?![^\[]*\])")


def read_operands(mnemonic: str, text: str, *, lookup: Lookup, decoded: bool) -> tuple[Operand, ...]:
    """Return the operands in ``text``; see `emu.build.dialect.ReadOperands`."""
    if not text:
        return ()
    word_place = KEYWORD_PLACES.get(mnemonic, -1)
    return tuple(
        _read_word(part.strip()) if place == word_place else _read(part.strip(), lookup, decoded)
        for place, part in enumerate(_PARTS.split(text))
    )


def _read_word(text: str) -> Operand:
    if not _WORD.fullmatch(text):
        raise OperandError(f"{text!r} where a word was expected", "write the name, in lower case")
    if text in REGISTERS:
        return Register(text)
    return Keyword(CONDITIONS.get(text, text))


def _register(text: str) -> str | None:
    name = REGISTER_ALIASES.get(text, text)
    return name if name in REGISTERS else None


def _read(text: str, lookup: Lookup, decoded: bool) -> Operand:
    if name := _register(text):
        return Register(name)
    if text[:1] == "[":
        return _read_memory(text, lookup, decoded)
    if shift := _read_shift(text, lookup, decoded):
        return shift
    total = read_sum(text[1:] if text[:1] == "#" else text, lookup=lookup, decimal=decoded)
    return Immediate(total.constant, total.refs)


def _read_shift(text: str, lookup: Lookup, decoded: bool) -> Shift | None:
    match = _SHIFT.fullmatch(text)
    if match is None or match[1] not in SHIFTS:
        return None
    if match[2] is None:
        return Shift(match[1], 0)
    amount = read_sum(match[2], lookup=lookup, decimal=decoded)
    if amount.refs or not 0 <= amount.constant < 64:
        raise OperandError(f"a shift by {match[2]}", "shift by a constant less than 0x40")
    return Shift(match[1], amount.constant)


def _read_memory(text: str, lookup: Lookup, decoded: bool) -> Memory:
    inside, closed, behind = text[1:].partition("]")
    parts = [part.strip() for part in inside.split(",")]
    base = _register(parts[0])
    if not closed or behind.strip() not in ("", "!") or base is None or len(parts) > 3:
        raise OperandError(
            f"{text!r} is not a memory operand", "write [base, #offset] or [base, index, lsl #n]"
        )
    writeback = behind.strip() == "!"
    if len(parts) == 1:
        return Memory(base=base, writeback=writeback)
    if index := _register(parts[1]):
        extend = _read_shift(parts[2], lookup, decoded) if len(parts) == 3 else None
        if writeback or (len(parts) == 3 and extend is None):
            raise OperandError(f"{text!r} is not a memory operand", "write [base, index, lsl #n]")
        return Memory(base=base, index=index, extend=extend)
    if len(parts) == 3:
        raise OperandError(f"{text!r} is not a memory operand", "an offset has no shift")
    total = read_sum(parts[1].removeprefix("#"), lookup=lookup, decimal=decoded)
    return Memory(base=base, offset=total.constant, refs=total.refs, writeback=writeback)


def print_operand(operand: Operand, end: int) -> str:
    """Return ``operand`` as Keystone reads it correctly."""
    if isinstance(operand, Register):
        return operand.name
    if isinstance(operand, Immediate):
        return f"#{operand.value:#x}"
    if isinstance(operand, Keyword):
        return operand.text
    if isinstance(operand, Shift):
        return f"{operand.kind} #{operand.amount:#x}"
    if operand.index:
        extend = f", {print_operand(operand.extend, end)}" if operand.extend else ""
        return f"[{operand.base}, {operand.index}{extend}]"
    offset = f", #{operand.offset:#x}" if operand.offset or operand.writeback else ""
    return f"[{operand.base}{offset}]{'!' if operand.writeback else ''}"


def set_target(code: bytearray, end: int, distance: int) -> None:
    """Write ``distance`` (from ``end``) in the branch, ADR or literal load that ends at ``code[:end]``.

    Source: Arm ARM DDI 0487, C4.1: branches, exception generating and system instructions; PC-rel.
    addressing; load register (literal).
    """
    (word,) = struct.unpack_from("<I", code, end - 4)
    distance += 4  # the PC is the instruction's own address
    if word & 0x7C000000 == 0x14000000:  # B, BL: imm26
        word = word & ~0x3FFFFFF | distance >> 2 & 0x3FFFFFF
    elif word & 0x7E000000 == 0x36000000:  # TBZ, TBNZ: imm14
        word = word & ~(0x3FFF << 5) | (distance >> 2 & 0x3FFF) << 5
    elif word & 0x9F000000 == 0x10000000:  # ADR: immlo, immhi
        word = word & ~(0x3 << 29 | 0x7FFFF << 5) | (distance & 3) << 29 | (distance >> 2 & 0x7FFFF) << 5
    else:  # B.cond, CBZ, CBNZ, LDR (literal): imm19
        word = word & ~(0x7FFFF << 5) | (distance >> 2 & 0x7FFFF) << 5
    struct.pack_into("<I", code, end - 4, word)


DIALECT = Dialect(
    line_comment="//",
    prefixes=frozenset(),
    refused=frozenset(),
    registers=RESERVED,
    halves=True,
    alignment=4,
    longest=4,
    is_branch=BRANCH_REACH.__contains__,
    reach=BRANCH_REACH.get,
    placeholder=None,
    set_target=set_target,
    read_operands=read_operands,
    print_operand=print_operand,
    mismatch=mismatch,
)
