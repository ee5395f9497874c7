"""Compiles one A64 instruction."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from emu.ordering.code.arm64.alu import FLAGS, compile_alu
from emu.ordering.code.arm64.atomics import compile_atomic
from emu.ordering.code.arm64.branches import ELR, compile_branch
from emu.ordering.code.arm64.memory import compile_memory
from emu.ordering.code.arm64.operands import need_register, split_operands
from emu.ordering.code.arm64.pairs import compile_pair
from emu.ordering.code.errors import CodeError, UnsupportedError
from emu.ordering.code.thread import Instruction

ATOMIC_LINE = 0
"""Aligned accesses are single-copy atomic (Arm ARM DDI 0487, B2.2.1)."""

_FREE = frozenset({"B", "BL", "CBZ", "CBNZ", "TBZ", "TBNZ", "ISB", "NOP", "SVC"})
"""May be modified, and be the result, while another CPU executes them (Arm ARM DDI 0487, B2.2.5)."""


_SYSTEM_REGISTER = re.compile(r"\w+_EL[0-3]")
_UNMODELLED = {
    "virtual memory": re.compile(r"(TLBI|AT)$"),
    "memory tagging": re.compile(r"(ADDG|SUBG|IRG|GMI|SUBPS?|CMPP|LDGM?|STGM?|STZGM?|STZ?2G|STGP)$"),
    "pointer authentication": re.compile(r"(PAC|AUT|XPAC|BRA[AB]|BLRA[AB]|RETA[AB]|ERETA[AB]|LDRA[AB])"),
    "guarded control stacks": re.compile(r"GCS"),
}
"""What is refused by name, see docs/ordering.md."""


def mnemonic(text: str) -> tuple[str, str]:
    """Return the name of an instruction in capitals, and its operands' text."""
    name, _, rest = text.strip().partition(" ")
    return name.upper(), rest.strip()


def compile_instruction(
    text: str,
    index: int,
    labels: Mapping[str, int],
    *,
    symbol: Callable[[str], int] | None = None,
    variants: frozenset[str] = frozenset(),
) -> Instruction:
    """Return what an instruction does.

    Args:
        text: the instruction.
        index: where it stands.
        labels: of its column, to indices.
        symbol: gives the address of a symbol; A64 takes those from registers.
        variants: of the test, in capitals.

    Raises:
        CodeError: it is not known, or its operands are wrong.
        UnsupportedError: it is known and not modelled.
    """
    del symbol
    name, rest = mnemonic(text)
    operands = split_operands(rest)
    for found in (
        compile_alu(name, operands),
        compile_memory(name, operands),
        compile_atomic(name, operands),
        compile_pair(name, operands),
        compile_branch(name, operands, index, labels, variants),
    ):
        if found is not None:
            return found
    for extension, names in _UNMODELLED.items():
        if names.match(name):
            raise UnsupportedError(f"{name} ({extension}) is not modelled")
    raise CodeError(f"instruction {text!r} is not known; docs/ordering.md lists those that are")


def is_restricted(text: str) -> bool:
    """Whether an instruction may not be modified while other CPUs execute it."""
    return mnemonic(text)[0] not in _FREE


def register_name(text: str) -> str:
    """Return the whole register that a name stands for, as states have it.

    >>> register_name("w3"), register_name("nzcv")
    ('X3', 'NZCV')

    Raises:
        CodeError: the text is no register.
        UnsupportedError: it is one that is not modelled.
    """
    name = text.upper()
    if name in (FLAGS, ELR):
        return name
    if _SYSTEM_REGISTER.fullmatch(name):
        raise UnsupportedError(f"system register {text} is not modelled; {ELR} is")
    return need_register(text).name or name


def label_taken(text: str) -> str | None:
    """Return the label whose address an instruction puts into a register; None if it takes none."""
    name, rest = mnemonic(text)
    return rest.rpartition(",")[2].strip() if name == "ADR" else None


def normal(text: str) -> str:
    """Return an instruction's text in one spelling.

    >>> normal("b  .+8"), normal("nop")
    ('B .+8', 'NOP')
    """
    name, rest = mnemonic(text)
    rest = rest if rest.startswith(".") or name in ("B", "BL") else ",".join(split_operands(rest.upper()))
    return f"{name} {rest.replace(' ', '')}".strip()
