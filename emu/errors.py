"""The root of every error that klpemu raises for a user's mistake."""

from __future__ import annotations

import difflib
from collections.abc import Sequence


class EmuError(Exception):
    """A mistake in the input: the message says what, where, and what to do.

    The command line prints the message alone and exits with 2.
    """


class UnknownNameError(EmuError):
    """A name that was asked for does not exist."""

    def __init__(self, kind: str, name: str, known: Sequence[str]) -> None:
        super().__init__(f"unknown {kind} {name!r}; {suggestion(name, known)}")
        self.kind, self.name, self.known = kind, name, known


class SkippedError(EmuError):
    """What was asked for can't be done here, though it is not wrong. The command line exits with 4."""


class MissingOptionalError(SkippedError):
    """Something optional is not installed."""

    def __init__(self, what: str, needed_for: str, how: str) -> None:
        super().__init__(f"{what} is not installed, which {needed_for} needs; {how}")
        self.what = what


def suggestion(name: str, known: Sequence[str]) -> str:
    """Return what to write instead of a name that does not exist: the closest that does, else all of them.

    >>> suggestion("mini_laef", ["mini_leaf", "mini_loop"]), suggestion("x", ["a", "b"]), suggestion("x", [])
    ("did you mean 'mini_leaf'?", 'known: a, b', 'known: none')
    """
    close = difflib.get_close_matches(name, known, 1, 0.65)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known) or 'none'}"
