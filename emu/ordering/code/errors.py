"""What can be wrong with the instructions of a litmus test."""

from __future__ import annotations

from emu.errors import EmuError


class CodeError(EmuError):
    """An instruction can't be read or executed: the message says what and why; the caller adds where.

    Args:
        what: is wrong.
    """

    index: int | None = None
    """Of the instruction, if it was being executed; None: its caller knows."""


class UnsupportedError(CodeError):
    """Something known that is not modelled, by name. The command line exits with 4."""
