"""What generic code asks of an architecture's instructions, under the same names for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from emu.ordering.code import arm64, x86_64
from emu.ordering.code.thread import Instruction
from emu.ordering.models import Model


class Dialect(Protocol):
    """The instructions of one architecture: a package beside this module.

    ``ATOMIC_LINE``: bytes; accesses inside one such line are single-copy atomic; 0: those that are aligned.
    """

    ATOMIC_LINE: int

    def compile_instruction(
        self,
        text: str,
        index: int,
        labels: Mapping[str, int],
        *,
        symbol: Callable[[str], int],
        variants: frozenset[str],
    ) -> Instruction:
        """Return what an instruction does."""

    def normal(self, text: str) -> str:
        """Return an instruction's text in one spelling."""

    def undefined(self, variants: frozenset[str]) -> Instruction:
        """Return what an undefined instruction does."""

    def is_restricted(self, text: str) -> bool:
        """Whether an instruction may not be modified while other CPUs execute it."""

    def register_name(self, text: str) -> str:
        """Return the whole register that a name stands for, as states have it; a CodeError: none does."""

    def label_taken(self, text: str) -> str | None:
        """Return the label whose address an instruction puts into a register; None if it takes none."""


DIALECTS: dict[str, Dialect] = {"AArch64": arm64, "X86_64": x86_64}
"""By the architecture that a litmus test names."""

MODELS = {"AArch64": Model.ARM64, "X86_64": Model.TSO}
"""Memory model of each, the weakest that its instructions can run under."""
