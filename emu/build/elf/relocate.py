"""Relocation arithmetic: what value a type asks for and which bits of the place take it.

The forms and fields are data, one table per machine. S is the symbol's address, A the addend,
P the place, G the address of the symbol's GOT slot, X the result, Page(a) = a with its low 12 bits clear.

Source: System V psABI for x86-64 1.0, section 4.4.1 "Relocation Types" (table 4.9); ELF for the Arm
64-bit Architecture (AAELF64, 2024Q3), section 5.7 "Relocation types" (tables 5.7.4 to 5.7.10).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from elftools.elf.enums import ENUM_RELOC_TYPE_AARCH64, ENUM_RELOC_TYPE_x64

from emu.arch.arm64.trampoline import plt_entry

Form = Literal["none", "abs", "prel", "page", "got_abs", "got_prel", "got_page"]

LINK_NEARER = "place the two nearer to each other, or call through a pointer"
LARGE_MODEL = "place it within the field's reach, or compile with -mcmodel=large"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One relocation type.

    Args:
        form: how X is computed.
        size: bytes at the place.
        parts: (lowest bit in the place, lowest bit of X, width) of each piece of X that an
            instruction takes; empty: the place is data and takes X whole.
        reach: X must be ``reach[0] <= X < reach[1]``; None: not checked.
        align: X must be a multiple of it.
        movn: a negative X turns a MOVZ into a MOVN with the value inverted.
        remedy: what to do when X is out of reach.
    """

    form: Form
    size: int
    parts: tuple[tuple[int, int, int], ...] = ()
    reach: tuple[int, int] | None = None
    align: int = 1
    movn: bool = False
    remedy: str = LARGE_MODEL


def signed(bits: int) -> tuple[int, int]:
    """Return the reach of a signed field of ``bits`` bits."""
    return -(1 << bits - 1), 1 << bits - 1


def unsigned(bits: int) -> tuple[int, int]:
    """Return the reach of an unsigned field of ``bits`` bits."""
    return 0, 1 << bits


def either(bits: int) -> tuple[int, int]:
    """Return the reach of a field of ``bits`` bits that may be read as signed or unsigned."""
    return -(1 << bits - 1), 1 << bits


def value_of(rule: Rule, *, symbol: int, addend: int, place: int, got: int) -> int:
    """Return X as a signed 64-bit number."""
    target = symbol + addend
    match rule.form:
        case "abs":
            x = target
        case "prel":
            x = target - place
        case "page":
            x = (target & ~0xFFF) - (place & ~0xFFF)
        case "got_abs":
            x = got
        case "got_prel":
            x = got + addend - place
        case "got_page":
            x = (got & ~0xFFF) - (place & ~0xFFF)
        case "none":
            x = 0
    x &= (1 << 64) - 1
    return x - (x >> 63 << 64)


def insert(rule: Rule, word: int, x: int) -> int:
    """Return the place's content ``word``, a little-endian number, with X written into its field."""
    if not rule.parts:
        return x & ((1 << 8 * rule.size) - 1)
    if rule.movn:
        word = word & ~(1 << 30) if x < 0 else word | 1 << 30  # MOVN : MOVZ, AAELF64 table 5.7.6
        x = ~x if x < 0 else x
    for to_bit, from_bit, width in rule.parts:
        mask = (1 << width) - 1
        word = word & ~(mask << to_bit) | (x >> from_bit & mask) << to_bit
    return word


def _insn(form: Form, *parts: tuple[int, int, int], reach: tuple[int, int] | None = None,
          align: int = 1, movn: bool = False, remedy: str = LARGE_MODEL) -> Rule:  # fmt: skip
    """Return the rule of a 4-byte instruction."""
    return Rule(form=form, size=4, parts=parts, reach=reach, align=align, movn=movn, remedy=remedy)


def _move(form: Form, group: int, reach: tuple[int, int] | None, *, movn: bool = False) -> Rule:
    """Return the rule of a MOVZ/MOVK/MOVN that takes 16 bits of X from bit ``16 * group``."""
    return _insn(form, (5, 16 * group, 16), reach=reach, movn=movn)


def _data(form: Form, size: int, reach: tuple[int, int] | None = None, remedy: str = LARGE_MODEL) -> Rule:
    """Return the rule of a data word of ``size`` bytes."""
    return Rule(form=form, size=size, reach=reach, remedy=remedy)


NONE = Rule(form="none", size=0)

X86_64 = {
    "R_X86_64_NONE": NONE,
    "R_X86_64_64": _data("abs", 8),
    "R_X86_64_32": _data("abs", 4, unsigned(32)),
    "R_X86_64_32S": _data("abs", 4, signed(32)),
    "R_X86_64_16": _data("abs", 2, either(16)),
    "R_X86_64_8": _data("abs", 1, either(8)),
    "R_X86_64_PC64": _data("prel", 8),
    "R_X86_64_PC32": _data("prel", 4, signed(32), LINK_NEARER),
    "R_X86_64_PLT32": _data("prel", 4, signed(32), LINK_NEARER),  # no PLT: the call is direct
    "R_X86_64_PC16": _data("prel", 2, signed(16), LINK_NEARER),
    "R_X86_64_PC8": _data("prel", 1, signed(8), LINK_NEARER),
    "R_X86_64_GOTPCREL": _data("got_prel", 4, signed(32)),
    "R_X86_64_GOTPCRELX": _data("got_prel", 4, signed(32)),  # never relaxed: the slot is there
    "R_X86_64_REX_GOTPCRELX": _data("got_prel", 4, signed(32)),
}

_LO12 = (10, 0, 12)

AARCH64 = {
    "R_AARCH64_NONE": NONE,
    "R_AARCH64_ABS64": _data("abs", 8),
    "R_AARCH64_ABS32": _data("abs", 4, either(32)),
    "R_AARCH64_ABS16": _data("abs", 2, either(16)),
    "R_AARCH64_PREL64": _data("prel", 8),
    "R_AARCH64_PREL32": _data("prel", 4, either(32)),
    "R_AARCH64_PREL16": _data("prel", 2, either(16)),
    **{
        f"R_AARCH64_MOVW_UABS_G{group}{nc}": _move("abs", group, None if nc else unsigned(16 * group + 16))
        for group, nc in ((0, ""), (0, "_NC"), (1, ""), (1, "_NC"), (2, ""), (2, "_NC"))
    },
    "R_AARCH64_MOVW_UABS_G3": _move("abs", 3, None),
    **{
        f"R_AARCH64_MOVW_SABS_G{group}": _move("abs", group, signed(16 * group + 17), movn=True)
        for group in range(3)
    },
    **{
        f"R_AARCH64_MOVW_PREL_G{group}": _move("prel", group, signed(16 * group + 17), movn=True)
        for group in range(3)
    },
    **{f"R_AARCH64_MOVW_PREL_G{group}_NC": _move("prel", group, None) for group in range(3)},
    "R_AARCH64_MOVW_PREL_G3": _move("prel", 3, None),
    "R_AARCH64_LD_PREL_LO19": _insn("prel", (5, 2, 19), reach=signed(21), align=4),
    "R_AARCH64_ADR_PREL_LO21": _insn("prel", (29, 0, 2), (5, 2, 19), reach=signed(21)),
    "R_AARCH64_ADR_PREL_PG_HI21": _insn("page", (29, 12, 2), (5, 14, 19), reach=signed(33)),
    "R_AARCH64_ADR_PREL_PG_HI21_NC": _insn("page", (29, 12, 2), (5, 14, 19)),
    "R_AARCH64_ADD_ABS_LO12_NC": _insn("abs", _LO12),
    **{
        f"R_AARCH64_LDST{8 << shift}_ABS_LO12_NC": _insn("abs", (10, shift, 12 - shift), align=1 << shift)
        for shift in range(5)
    },
    "R_AARCH64_TSTBR14": _insn("prel", (5, 2, 14), reach=signed(16), align=4, remedy=LINK_NEARER),
    "R_AARCH64_CONDBR19": _insn("prel", (5, 2, 19), reach=signed(21), align=4, remedy=LINK_NEARER),
    "R_AARCH64_JUMP26": _insn("prel", (0, 2, 26), reach=signed(28), align=4, remedy=LINK_NEARER),
    "R_AARCH64_CALL26": _insn("prel", (0, 2, 26), reach=signed(28), align=4, remedy=LINK_NEARER),
    "R_AARCH64_ADR_GOT_PAGE": _insn("got_page", (29, 12, 2), (5, 14, 19), reach=signed(33)),
    "R_AARCH64_LD64_GOT_LO12_NC": _insn("got_abs", (10, 3, 9), align=8),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """How one ELF machine is relocated.

    Args:
        names: relocation type number -> name, for messages too.
        rules: what a static relocation does, by name.
        relative: the dynamic relocation that asks for load bias + A.
        symbolic: the dynamic relocations that ask for S + A, 8 bytes.
        call_names: relocations of a direct call instruction.
        plt_names: relocations of branches whose target may be exchanged for a PLT entry (AAELF64 5.7.10).
        call_offset: from the start of that instruction to the place, bytes.
        skips_weak: calls of an undefined weak symbol go to the next instruction (AAELF64 5.7.1);
            elsewhere S is 0.
        got_addend: A is part of what a GOT slot holds (AAELF64: GDAT(S + A)), not added to G.
        fills_zeros: a kernel module's places must hold 0 before (arch/x86/kernel/module.c, 6.1).
        stub: code that jumps to S from anywhere in guest memory, S missing.
        stub_relocations: (offset, type, addend) of each place in it that takes part of S.
    """

    names: dict[int, str]
    rules: dict[str, Rule]
    relative: str
    symbolic: frozenset[str]
    call_names: frozenset[str]
    plt_names: frozenset[str]
    call_offset: int
    skips_weak: bool
    got_addend: bool
    fills_zeros: bool
    stub: bytes
    stub_relocations: tuple[tuple[int, str, int], ...]


def _names(enum: Mapping[str, object]) -> dict[int, str]:
    """Return number -> name of a pyelftools enumeration."""
    return {number: name for name, number in enum.items() if isinstance(number, int)}


MACHINES = {
    "EM_X86_64": Machine(
        names={41: "R_X86_64_GOTPCRELX"} | _names(ENUM_RELOC_TYPE_x64),  # pyelftools 0.33 lacks 41
        rules=X86_64,
        relative="R_X86_64_RELATIVE",
        symbolic=frozenset({"R_X86_64_64", "R_X86_64_GLOB_DAT", "R_X86_64_JUMP_SLOT"}),
        call_names=frozenset({"R_X86_64_PC32", "R_X86_64_PLT32"}),
        plt_names=frozenset(),  # 2 GiB reach all of guest memory's text
        call_offset=1,  # E8 cd, Intel SDM vol. 2A, CALL
        skips_weak=False,
        got_addend=False,
        fills_zeros=True,
        stub=b"\xe9" + bytes(4),  # E9 cd, Intel SDM vol. 2A, JMP
        stub_relocations=((1, "R_X86_64_PLT32", -4),),
    ),
    "EM_AARCH64": Machine(
        # AAELF64 5.7.2: 0 is NONE too; pyelftools 0.33 lacks 299
        names={0: "R_AARCH64_NONE", 299: "R_AARCH64_LDST128_ABS_LO12_NC"} | _names(ENUM_RELOC_TYPE_AARCH64),
        rules=AARCH64,
        relative="R_AARCH64_RELATIVE",
        symbolic=frozenset({"R_AARCH64_ABS64", "R_AARCH64_GLOB_DAT", "R_AARCH64_JUMP_SLOT"}),
        call_names=frozenset({"R_AARCH64_CALL26"}),
        plt_names=frozenset({"R_AARCH64_CALL26", "R_AARCH64_JUMP26"}),
        call_offset=0,
        skips_weak=True,
        got_addend=True,
        fills_zeros=False,
        stub=plt_entry(0),
        stub_relocations=(
            (0, "R_AARCH64_MOVW_UABS_G0_NC", 0),
            (4, "R_AARCH64_MOVW_UABS_G1_NC", 0),
            (8, "R_AARCH64_MOVW_UABS_G2_NC", 0),
        ),
    ),
}
"""By ``Port.machine``."""
