"""Results and flags of x86-64 instructions on numbers."""

from __future__ import annotations

from collections.abc import Callable

FLAGS = "flags"
"""CF | ZF << 1 | SF << 2 | OF << 3."""

CONDITIONS: dict[str, Callable[[int], bool]] = {
    "e": lambda f: bool(f & 2),
    "z": lambda f: bool(f & 2),
    "ne": lambda f: not f & 2,
    "nz": lambda f: not f & 2,
    "c": lambda f: bool(f & 1),
    "b": lambda f: bool(f & 1),
    "ae": lambda f: not f & 1,
    "nb": lambda f: not f & 1,
    "nc": lambda f: not f & 1,
    "be": lambda f: bool(f & 3),
    "na": lambda f: bool(f & 3),
    "a": lambda f: not f & 3,
    "nbe": lambda f: not f & 3,
    "s": lambda f: bool(f & 4),
    "ns": lambda f: not f & 4,
    "o": lambda f: bool(f & 8),
    "no": lambda f: not f & 8,
    "l": lambda f: (f >> 2 & 1) != (f >> 3 & 1),
    "nge": lambda f: (f >> 2 & 1) != (f >> 3 & 1),
    "ge": lambda f: (f >> 2 & 1) == (f >> 3 & 1),
    "nl": lambda f: (f >> 2 & 1) == (f >> 3 & 1),
    "le": lambda f: bool(f & 2) or (f >> 2 & 1) != (f >> 3 & 1),
    "ng": lambda f: bool(f & 2) or (f >> 2 & 1) != (f >> 3 & 1),
    "g": lambda f: not f & 2 and (f >> 2 & 1) == (f >> 3 & 1),
    "nle": lambda f: not f & 2 and (f >> 2 & 1) == (f >> 3 & 1),
}


def signed(value: int, size: int) -> int:
    """Return the lowest ``size`` bytes of a value as a signed number."""
    value &= (1 << 8 * size) - 1
    return value - (1 << 8 * size) if value >> (8 * size - 1) else value


def _sum_flags(wide: int, signed_sum: int, size: int) -> int:
    bits = 8 * size
    result = wide & (1 << bits) - 1
    carry = wide < 0 or wide >> bits
    return (
        bool(carry)
        | (result == 0) << 1
        | (result >> (bits - 1)) << 2
        | (signed_sum != signed(result, size)) << 3
    )


def _logic_flags(value: int, size: int) -> int:
    value &= (1 << 8 * size) - 1
    return (value == 0) << 1 | (value >> (8 * size - 1)) << 2


def compute(name: str, old: int, by: int, size: int) -> tuple[int, int | None]:
    """Return the result and the flags (None: unchanged) of a two-operand instruction."""
    mask = (1 << 8 * size) - 1
    old, by = old & mask, by & mask
    if name in ("add", "inc", "xadd"):
        return (old + by) & mask, _sum_flags(old + by, signed(old, size) + signed(by, size), size)
    if name in ("sub", "dec", "cmp"):
        return (old - by) & mask, _sum_flags(old - by, signed(old, size) - signed(by, size), size)
    if name == "neg":
        return -old & mask, _sum_flags(-old, -signed(old, size), size)
    if name == "not":
        return ~old & mask, None
    if name in ("shl", "sal"):
        by &= 63 if size == 8 else 31
        return old << by & mask, _logic_flags(old << by, size) if by else None
    if name in ("shr", "sar"):
        by &= 63 if size == 8 else 31
        result = (old if name == "shr" else signed(old, size)) >> by & mask
        return result, _logic_flags(result, size) if by else None
    result = {"and": old & by, "or": old | by, "xor": old ^ by, "test": old & by, "mov": by}[name]
    return result, None if name == "mov" else _logic_flags(result, size)
