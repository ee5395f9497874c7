"""Types and values of litmus tests: where symbols live, what a number means, how it is printed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from emu.ordering.code.thread import Code

_SIZES = {
    "char": 1, "short": 2, "int": 4, "long": 8, "int8_t": 1, "uint8_t": 1, "int16_t": 2, "uint16_t": 2,
    "int32_t": 4, "uint32_t": 4, "int64_t": 8, "uint64_t": 8, "uintptr_t": 8, "intptr_t": 8, "size_t": 8,
    "void": 8, "ins_t": 4, "pteval_t": 8, "parel1_t": 8,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Type:
    """Width and sign of a register or location.

    Args:
        size: in bytes.
        sign: whether it prints negative numbers.
        count: of elements; 0: no array.
    """

    size: int = 4
    sign: bool = True
    count: int = 0

    def number(self, value: int) -> int:
        """Return a stored value as the number that it stands for.

        >>> Type().number(0xFFFFFFFF), Type(size=4, sign=False).number(-1)
        (-1, 4294967295)
        """
        bits = 8 * self.size
        value &= (1 << bits) - 1
        return value - (1 << bits) if self.sign and value >> (bits - 1) else value


INT = Type()
POINTER = Type(size=8, sign=False)


def type_named(name: str, *, pointer: bool) -> Type | None:
    """Return a type by its C name; None if there is none.

    Args:
        name: of the type, or of what it points to.
        pointer: whether it is a pointer.
    """
    if pointer:
        return POINTER
    words = [word for word in name.split() if word not in ("const", "volatile", "_Atomic")]
    sign = "unsigned" not in words and not words[-1].startswith("uint")
    words = [word for word in words if word not in ("unsigned", "signed")]
    size = _SIZES.get(words[0] if words else "int")
    return None if size is None else Type(size=size, sign=sign)


SYMBOLS = 0x7000_0000_0000
"""Addresses of symbols begin here: far from any number that a test computes with."""
SPACING = 0x1000
"""Bytes from one symbol to the next; also the most instructions that have labels in values."""
INSTRUCTIONS = 0xC0DE_0000
"""Numbers that stand for instructions begin here; they fit 32 bits, as instructions do."""

_NUMBER = re.compile(r"[-+]?(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO][0-7]+|\d+)$")


@dataclass(slots=True)
class Names:
    """What the numbers of a test stand for.

    Args:
        symbols: to addresses.
        labels: per CPU name of a label to the index of its instruction.
        codes: text of an instruction to the number that stands for it.
    """

    symbols: dict[str, int] = field(default_factory=dict)
    labels: dict[tuple[int, str], int] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    _texts: list[str] = field(default_factory=list)
    _order: list[str] = field(default_factory=list)

    def symbol(self, name: str) -> int:
        """Return the address of a symbol, a new one if need be."""
        address = self.symbols.get(name)
        if address is None:
            address = self.symbols[name] = SYMBOLS + SPACING * len(self.symbols)
            self._order.append(name)
        return address

    def code(self, text: str) -> int:
        """Return the number that stands for an instruction."""
        number = self.codes.get(text)
        if number is None:
            number = self.codes[text] = INSTRUCTIONS + len(self.codes)
            self._texts.append(text)
        return number

    def text(self, number: int) -> str | None:
        """Return the instruction that a number stands for, if any."""
        place = number - INSTRUCTIONS
        return self._texts[place] if 0 <= place < len(self._texts) else None

    def label_at(self, index: int) -> str | None:
        """Return a label of an instruction, as ``P0:L``."""
        for (cpu, name), at in self.labels.items():
            if at == index:
                return f"P{cpu}:{name}"
        return None

    def place(self, address: int) -> tuple[str, int] | None:
        """Return the symbol that an address belongs to, and how far behind it the address is."""
        offset = address - SYMBOLS
        if not 0 <= offset < SPACING * len(self._order):
            return None
        return self._order[offset // SPACING], offset % SPACING

    def shown(self, value: int, of: Type) -> int | str:
        """Return a value as it is printed: a number, a symbol, a label or an instruction."""
        if value >= INSTRUCTIONS:
            if value >= SYMBOLS:
                found = self.place(value)
                if found is not None:
                    name, offset = found
                    return f"{name}+{offset}" if offset else name
            text = self.text(value)
            if text is not None:
                return "NOP" if text == "NOP" else f'instr:"{text}"'
            if Code.BASE <= value < Code.BASE + SPACING * 4:
                label = self.label_at((value - Code.BASE) // 4)
                if label is not None and not value % 4:
                    return f'label:"{label}"'
        elif Code.BASE <= value < Code.BASE + 4 * SPACING and not value % 4:
            label = self.label_at((value - Code.BASE) // 4)
            if label is not None:
                return f'label:"{label}"'
        return of.number(value)


def number(text: str) -> int | None:
    """Return a number written in any base; None if the text is none.

    >>> number("-0x10"), number("007"), number("x")
    (-16, 7, None)
    """
    if _NUMBER.match(text) is None:
        return None
    try:
        return int(text, 0)
    except ValueError:
        return int(text)
