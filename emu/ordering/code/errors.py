"""What can be wrong with the instructions of a litmus test."""

from __future__ import annotations

from emu.errors import EmuError


class CodeError(EmuError):
    """An instruction can't be read: the message says what and why; the caller adds where."""


class UnsupportedError(EmuError):
    """Something known that is not modelled, by name. The command line exits with 4."""
