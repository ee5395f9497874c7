"""What can be wrong with a litmus test."""

from __future__ import annotations

from emu.errors import EmuError
from emu.ordering.code.errors import CodeError, UnsupportedError


class LitmusError(EmuError):
    """A litmus test can't be read.

    Args:
        path: of the file.
        line: number of the line, from 1; 0: the file as a whole.
        what: is wrong.
    """

    def __init__(self, path: str, line: int, what: str) -> None:
        where = f"{path}:{line}" if line else path
        super().__init__(f"{where}: {what}")
        self.path, self.line, self.what = path, line, what


class UnsupportedTestError(LitmusError):
    """A litmus test needs something that is known and not modelled. The command line exits with 4."""


def located(error: CodeError, path: str, line: int) -> LitmusError:
    """Return what is wrong with an instruction as an error of the test.

    Args:
        error: of the instruction.
        path: of the file.
        line: that the instruction stands on, from 1; 0: not known.
    """
    kind = UnsupportedTestError if isinstance(error, UnsupportedError) else LitmusError
    return kind(path, line, str(error))
