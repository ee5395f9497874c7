"""The root of every error that klpemu raises for a user's mistake."""


class EmuError(Exception):
    """A mistake in the input: the message says what, where, and what to do.

    The command line prints the message alone and exits with 2.
    """


class UnknownNameError(EmuError):
    """A name that was asked for does not exist."""

    def __init__(self, kind: str, name: str, known: list[str]) -> None:
        super().__init__(f"unknown {kind} {name!r}; known: {', '.join(known) or 'none'}")
        self.kind, self.name, self.known = kind, name, known


class MissingOptionalError(EmuError):
    """Something optional is not installed. The command line exits with 4."""

    def __init__(self, what: str, needed_for: str, how: str) -> None:
        super().__init__(f"{what} is not installed, which {needed_for} needs; {how}")
        self.what = what
