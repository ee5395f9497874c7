"""Compiles one A64 instruction."""

from __future__ import annotations

from collections.abc import Mapping

from emu.ordering.code.arm64.alu import compile_alu
from emu.ordering.code.arm64.atomics import compile_atomic
from emu.ordering.code.arm64.branches import compile_branch
from emu.ordering.code.arm64.memory import compile_memory
from emu.ordering.code.arm64.operands import split_operands
from emu.ordering.code.arm64.pairs import compile_pair
from emu.ordering.code.errors import CodeError
from emu.ordering.code.thread import Instruction

_FREE = frozenset({"B", "BL", "CBZ", "CBNZ", "TBZ", "TBNZ", "ISB", "NOP", "SVC"})
"""May be modified, and be the result, while another CPU executes them (Arm ARM DDI 0487, B2.2.5)."""


def mnemonic(text: str) -> tuple[str, str]:
    """Return the name of an instruction in capitals, and its operands' text."""
    name, _, rest = text.strip().partition(" ")
    return name.upper(), rest.strip()


def compile_instruction(
    text: str, index: int, labels: Mapping[str, int], variants: frozenset[str] = frozenset()
) -> Instruction:
    """Return what an instruction does.

    Args:
        text: the instruction.
        index: where it stands.
        labels: of its column, to indices.
        variants: of the test, in capitals.
    """
    name, rest = mnemonic(text)
    operands = split_operands(rest)
    try:
        for found in (
            compile_alu(name, operands),
            compile_memory(name, operands),
            compile_atomic(name, operands),
            compile_pair(name, operands),
            compile_branch(name, operands, index, labels, variants),
        ):
            if found is not None:
                return found
    except (IndexError, ValueError):  # fewer operands than an instruction takes apart
        raise CodeError(f"{text!r} lacks operands") from None
    raise CodeError(f"instruction {text!r} is not known")


def free_to_modify(text: str) -> bool:
    """Whether an instruction may be modified while other CPUs execute it."""
    return mnemonic(text)[0] in _FREE


def normal(text: str) -> str:
    """Return an instruction's text in one spelling.

    >>> normal("b  .+8"), normal("nop")
    ('B .+8', 'NOP')
    """
    name, rest = mnemonic(text)
    rest = rest if rest.startswith(".") or name in ("B", "BL") else ",".join(split_operands(rest.upper()))
    return f"{name} {rest.replace(' ', '')}".strip()
