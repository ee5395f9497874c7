"""Proves that a decoded arm64 instruction means what the statement says."""

from __future__ import annotations

import struct
from dataclasses import replace

from emu.build.asm.arm64_names import CONDITIONS
from emu.build.asm.operands import Immediate, Keyword, Memory, Operand, Register, Shift

_OPPOSITE = {"add": "sub", "sub": "add", "adds": "subs", "subs": "adds", "cmp": "cmn", "cmn": "cmp"}
_UNSCALED = {
    kind.replace("r", "ur", 1): kind
    for kind in ["ldr", "str", "ldrb", "strb", "ldrh", "strh", "ldrsb", "ldrsh", "ldrsw"]
}
"""LDUR and STUR are what LDR and STR become when the offset is negative or unaligned."""

_WIDE = {"mov", "movz", "movn"}
_MASKED = _WIDE | {"and", "ands", "orr", "eor", "tst", "bic"}
"""Their immediate is as wide as the first register; -0x1 and all ones are the same."""

_CONDITIONAL = {"b" + name: "b." + plain for name, plain in CONDITIONS.items()} | {
    "b." + name: "b." + plain for name, plain in CONDITIONS.items()
}

Form = tuple[str, tuple[Operand, ...]]


def mismatch(
    mnemonic: str,
    operands: tuple[Operand, ...],
    found_mnemonic: str,
    found: tuple[Operand, ...],
    code: bytes,
    end: int,
) -> str | None:
    """Return why the bytes do not mean the statement; see `emu.build.dialect.Mismatch`."""
    if mnemonic == "hint" and len(operands) == 1 and isinstance(operands[0], Immediate):
        word = 0xD503201F | operands[0].value << 5  # Arm ARM DDI 0487, C6.2, HINT
        same = operands[0].value in range(0x80) and code == struct.pack("<I", word)
        return None if same else "it is another instruction"
    if why := _too_wide(mnemonic, operands):
        return why
    wanted, got = _plain(mnemonic, operands), _plain(found_mnemonic, found)
    if wanted == got:
        return None
    if wanted[0] != got[0]:
        return f"the mnemonic is {got[0]!r}, not {wanted[0]!r}"
    if len(wanted[1]) != len(got[1]):
        return f"it has {len(got[1])} operands, not {len(wanted[1])}"
    for place, (want, have) in enumerate(zip(wanted[1], got[1], strict=True), 1):
        if want != have:
            return f"operand {place} is {_words(have)}, not {_words(want)}"
    raise AssertionError("forms that differ differ somewhere")


def _words(operand: Operand) -> str:
    match operand:
        case Immediate(value=value):
            return f"{value:#x}"
        case Register(name=text) | Keyword(text=text):
            return text
        case Shift(kind=kind, amount=amount):
            return f"{kind} {amount:#x}"
        case Memory(base=base, index=index, offset=offset):
            return f"[{base}, {index or hex(offset)} ...]"
    raise AssertionError("there are no other operands")


def _bits(operands: tuple[Operand, ...]) -> int:
    first = operands[0] if operands else None
    return 32 if isinstance(first, Register) and first.name[0] == "w" else 64


def _too_wide(mnemonic: str, operands: tuple[Operand, ...]) -> str | None:
    if mnemonic not in _MASKED:
        return None
    bits = _bits(operands)
    for place, operand in enumerate(operands, 1):
        if isinstance(operand, Immediate) and not -(1 << bits - 1) <= operand.value < 1 << bits:
            return f"operand {place} does not fit {bits} bits"
    return None


def _plain(mnemonic: str, operands: tuple[Operand, ...]) -> Form:
    """Return the one form that all spellings of an instruction have in common."""
    mnemonic = _CONDITIONAL.get(mnemonic, _UNSCALED.get(mnemonic, mnemonic))
    operands = tuple(
        replace(operand, extend=None)
        if isinstance(operand, Memory) and operand.extend == Shift("lsl", 0)
        else operand
        for operand in operands
        if operand != Shift("lsl", 0)
    )
    if mnemonic == "ret" and operands == (Register("x30"),):
        return mnemonic, ()
    if mnemonic == "isb" and operands == (Keyword("sy"),):
        return mnemonic, ()
    if mnemonic in ("tbz", "tbnz") and len(operands) == 3:
        return mnemonic, _bit_test(operands)
    if mnemonic in _WIDE and len(operands) >= 2 and isinstance(operands[1], Immediate):
        return _wide_move(mnemonic, operands)
    if mnemonic in _OPPOSITE and isinstance(operands[-1] if operands else None, Immediate | Shift):
        mnemonic, operands = _arithmetic(mnemonic, operands)
    if mnemonic in _MASKED:
        operands = _masked(mnemonic, operands)
        mnemonic = {"bic": "and"}.get(mnemonic, mnemonic) if _has_number(operands) else mnemonic
    return mnemonic, operands


def _has_number(operands: tuple[Operand, ...]) -> bool:
    return any(isinstance(operand, Immediate) for operand in operands)


def _masked(mnemonic: str, operands: tuple[Operand, ...]) -> tuple[Operand, ...]:
    mask = (1 << _bits(operands)) - 1
    flip = mask if mnemonic == "bic" else 0
    return tuple(
        Immediate(operand.value & mask ^ flip) if isinstance(operand, Immediate) else operand
        for operand in operands
    )


def _bit_test(operands: tuple[Operand, ...]) -> tuple[Operand, ...]:
    """Name the register x: bits below 32 are the same in w and x, and the decoder prints w."""
    register, bit = operands[0], operands[1]
    if isinstance(register, Register) and isinstance(bit, Immediate) and bit.value < 32:
        return (Register("x" + register.name[1:]), *operands[1:])
    return operands


def _wide_move(mnemonic: str, operands: tuple[Operand, ...]) -> Form:
    """Give MOVZ, MOVN and MOV of a number the value that the register gets."""
    number = operands[1]
    assert isinstance(number, Immediate), "the caller looked"
    value = number.value
    if len(operands) == 3:
        shift = operands[2]
        if not isinstance(shift, Shift) or shift.kind != "lsl":
            return mnemonic, operands
        value <<= shift.amount
    if mnemonic == "movn":
        value = ~value
    return "mov", (operands[0], Immediate(value & (1 << _bits(operands)) - 1))


def _arithmetic(mnemonic: str, operands: tuple[Operand, ...]) -> Form:
    """Fold ``#n, lsl #0xc`` in one number and make it positive."""
    *before, last = operands
    if isinstance(last, Shift):
        if len(before) < 2 or last.kind != "lsl" or not isinstance(before[-1], Immediate):
            return mnemonic, operands
        last = Immediate(before.pop().value << last.amount)  # type: ignore[union-attr]
    assert isinstance(last, Immediate), "the caller looked"
    if last.value < 0:
        mnemonic, last = _OPPOSITE[mnemonic], Immediate(-last.value)
    names = {operand.name for operand in before if isinstance(operand, Register)}
    if mnemonic == "add" and last.value == 0 and names & {"sp", "wsp"}:
        return "mov", tuple(before)  # MOV to or from SP is ADD #0
    return mnemonic, (*before, last)
