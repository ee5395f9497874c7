"""The x86-64 dialect: Intel syntax without register prefixes, as Keystone and GNU as both read it.

Memory operands that Keystone 0.9.2 encodes as written: a base or index register with any
displacement, and ``[rip + disp]``. An absolute ``[number]``, with or without segment, becomes
rip-relative (and moffs for the accumulator): it is handed over as ``[riz*1 + number]``, which gives the
plain 32-bit form that GNU as gives. ``[rip + NAME]`` is handed over with its displacement worked out.
"""

from __future__ import annotations

import re
import struct

from emu.build.asm.dialect import Dialect
from emu.build.asm.expression import Lookup, read_sum
from emu.build.asm.operands import Immediate, Memory, Operand, OperandError, Ref, Register
from emu.build.asm.x86_64_compare import is_branch, mismatch
from emu.build.asm.x86_64_names import (
    POINTER_SIZES,
    PREFIXES,
    REFUSED,
    REGISTER_SIZES,
    RESERVED,
    SHORT_JUMPS,
    STRINGS,
)

_REGISTERS = frozenset(REGISTER_SIZES)
_MEMORY = re.compile(
    r"(?:(byte|word|dword|qword|xmmword)\s+ptr\s+)?(?:ptr\s+)?(?:([cdefgs]s)\s*:\s*)?\[([^\[\]]*)\]"
)
_HIGH_BYTE = re.compile(r"\b[abcd]h\b")
"""Outside the dialect: with a register that needs a REX prefix, Keystone ends the process."""
_XMM = re.compile(r"\bxmm\d")
_INDEXABLE = _REGISTERS | {"rip", "riz"}
_SIZE_NAMES = {size: name for name, size in POINTER_SIZES.items()}


def read_operands(mnemonic: str, text: str, *, lookup: Lookup, decoded: bool) -> tuple[Operand, ...]:
    """Return the operands in ``text``; see `emu.build.dialect.ReadOperands`."""
    if not text:
        return ()
    if not decoded:
        _refuse_killers(mnemonic, text)
    return tuple(_read(part.strip(), lookup, decoded) for part in text.split(","))


def _refuse_killers(mnemonic: str, text: str) -> None:
    name = mnemonic.rpartition(" ")[2]
    if name in STRINGS and not (name in ("movsd", "cmpsd") and _XMM.search(text)):
        raise OperandError(
            "operands of a string instruction", "write it without: rdi, rsi and rax are implied"
        )
    if _HIGH_BYTE.search(text):
        raise OperandError("a high byte register", "shift the byte down and use al, bl, cl or dl")


def _read(text: str, lookup: Lookup, decoded: bool) -> Operand:
    if text in _REGISTERS:
        return Register(text)
    if match := _MEMORY.fullmatch(text):
        return _read_memory(match[1], match[2], match[3], lookup, decoded)
    if "[" in text:
        raise OperandError(
            f"{text!r} is not a memory operand",
            "write [base + index*0x8 + offset], gs: before the bracket",
        )
    total = read_sum(text, lookup=lookup, registers=_REGISTERS, decimal=decoded)
    if total.registers:
        raise OperandError(f"a register in the number {text!r}", "write [...] for memory")
    return Immediate(total.constant, total.refs)


def _read_memory(size: str | None, segment: str | None, inside: str, lookup: Lookup, decoded: bool) -> Memory:
    if "rip" in inside and not decoded:
        return _read_rip(size, segment, inside, lookup)
    total = read_sum(inside, lookup=lookup, registers=_INDEXABLE, decimal=decoded)
    base, index, scale = "", "", 1
    for name, factor in total.registers:
        if factor == 1 and not base:
            base = name
        elif index:
            if base or scale != 1:
                raise OperandError("more than a base and an index", "use lea before")
            base, index, scale = index, name, factor
        else:
            index, scale = name, factor
    if index == "rsp" and scale == 1:
        base, index = index, base
    if scale not in (1, 2, 4, 8) or index in ("rsp", "rip"):
        raise OperandError(f"an index {index}*{scale:#x}", "scales are 0x1, 0x2, 0x4, 0x8")
    return Memory(
        size=POINTER_SIZES[size] if size else 0,
        segment=segment or "",
        base=base,
        index=index,
        scale=scale,
        offset=total.constant,
        refs=total.refs,
    )


def _read_rip(size: str | None, segment: str | None, inside: str, lookup: Lookup) -> Memory:
    named = False

    def noticing(name: str) -> tuple[int, tuple[Ref, ...]]:
        nonlocal named
        named = True
        return lookup(name)

    total = read_sum(inside, lookup=noticing, registers=_INDEXABLE)
    if total.registers != [("rip", 1)] or not named:
        raise OperandError(f"[{inside}]", "write [rip + NAME]: the address of NAME")
    return Memory(
        size=POINTER_SIZES[size] if size else 0,
        segment=segment or "",
        base="rip",
        offset=total.constant,
        refs=total.refs,
    )


def print_operand(operand: Operand, end: int) -> str:
    """Return ``operand`` as Keystone reads it correctly; ``end`` is the address behind it."""
    if isinstance(operand, Register):
        return operand.name
    if isinstance(operand, Immediate):
        return f"{operand.value:#x}"
    assert isinstance(operand, Memory), "x86-64 has no other operands"
    offset = operand.offset
    if operand.base == "rip":
        offset -= end
    terms = [operand.base] if operand.base else []
    if operand.index:
        terms.append(f"{operand.index}*{operand.scale:#x}")
    if not terms:
        terms.append("riz*0x1")
    size = f"{_SIZE_NAMES[operand.size]} ptr " if operand.size else ""
    segment = f"{operand.segment}:" if operand.segment else ""
    return f"{size}{segment}[{'+'.join(terms)}{offset:+#x}]"


def set_target(code: bytearray, end: int, distance: int) -> None:
    """Write ``distance`` as the rel32 that ends a jump or call in ``code[:end]``."""
    struct.pack_into("<I", code, end - 4, distance & 0xFFFFFFFF)


def reach(mnemonic: str) -> int:
    """Return how far a branch reaches: rel8 or rel32."""
    return 2**7 if mnemonic in SHORT_JUMPS else 2**31


DIALECT = Dialect(
    line_comment="#",
    prefixes=PREFIXES,
    refused=REFUSED,
    registers=RESERVED,
    halves=False,
    alignment=1,
    longest=15,  # Intel SDM vol. 2A, section 2.3.11
    is_branch=is_branch,
    reach=reach,
    placeholder=0x1000_0000,  # far: the assembler takes rel32
    set_target=set_target,
    read_operands=read_operands,
    print_operand=print_operand,
    mismatch=mismatch,
)
