"""Reads numbers and labels among the operands of an instruction, whatever its architecture."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from emu.ordering.code.errors import CodeError

MASK64 = 0xFFFFFFFFFFFFFFFF

_RELATIVE = re.compile(r"\.\s*([+-]\s*\w+)$")


def integer(text: str) -> int | None:
    """Return a number, with or without ``#``; None if the text is none.

    >>> integer("#0x10"), integer("-3"), integer("x")
    (16, -3, None)
    """
    text = text.removeprefix("#").strip()
    try:
        return int(text, 0)
    except ValueError:
        return int(text) if text.lstrip("-").isdigit() else None


def need_integer(text: str) -> int:
    """Return a number.

    Raises:
        CodeError: the text is none.
    """
    found = integer(text)
    if found is None:
        raise CodeError(f"{text!r} is not a number")
    return found


def need_operands(name: str, operands: Sequence[str], least: int, most: int | None = None) -> None:
    """Check how many operands an instruction has.

    Args:
        name: of the instruction.
        operands: written.
        least: needed.
        most: allowed; None: no more than needed.

    Raises:
        CodeError: there are fewer, or more.
    """
    most = least if most is None else most
    if not least <= len(operands) <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        raise CodeError(f"{name} needs {wanted} operand{'' if most == 1 else 's'}, not {len(operands)}")


def target_of(text: str, index: int, labels: Mapping[str, int]) -> int:
    """Return where a branch goes: to a label or so many bytes away, as in ``.+8``.

    Args:
        text: of the operand.
        index: of the branch.
        labels: of its column, to indices.

    Raises:
        CodeError: there is no such label, or no instruction begins there.
    """
    text = text.strip()
    match = _RELATIVE.match(text)
    if match is not None:
        distance = need_integer(match[1].replace(" ", ""))
        if distance % 4:
            raise CodeError(f"{text!r} is not a multiple of 4 bytes away")
        return index + distance // 4
    if text not in labels:
        raise CodeError(f"there is no label {text!r} in this column")
    return labels[text]
