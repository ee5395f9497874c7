"""Errors of assembling: each names the file, the line and the statement."""

from emu.errors import EmuError


def _located(origin: str, line: int, statement: str, problem: str, remedy: str) -> str:
    shown = statement if len(statement) <= 80 else statement[:77] + "..."
    return f"{origin}:{line}: {shown}: {problem}; {remedy}"


class SourceError(EmuError):
    """A statement is outside the dialect, found before any assembler saw it."""

    def __init__(self, origin: str, line: int, statement: str, problem: str, remedy: str) -> None:
        super().__init__(_located(origin, line, statement, problem, remedy))
        self.origin, self.line, self.statement = origin, line, statement
        self.problem, self.remedy = problem, remedy


class UndefinedSymbolError(EmuError):
    """A statement names a symbol that is nowhere defined."""

    def __init__(self, origin: str, line: int, statement: str, name: str) -> None:
        super().__init__(
            _located(
                origin, line, statement, f"{name!r} is not defined",
                "define it in a unit, declare it .global there, or pass it as an equate",
            )
        )  # fmt: skip
        self.origin, self.line, self.statement, self.name = origin, line, statement, name


class DuplicateSymbolError(EmuError):
    """A symbol is defined twice."""

    def __init__(self, origin: str, line: int, statement: str, name: str, first: str) -> None:
        super().__init__(
            _located(origin, line, statement, f"{name!r} is already defined by {first}", "rename one of them")
        )
        self.origin, self.line, self.statement = origin, line, statement
        self.name, self.first = name, first


class RefusedStatementError(EmuError):
    """The assembler refuses a statement, or gives no bytes for it."""

    def __init__(self, origin: str, line: int, statement: str, reason: str) -> None:
        super().__init__(
            _located(
                origin, line, statement, f"the assembler refuses it ({reason})",
                "check mnemonic, operand kinds and ranges, or write the bytes with .byte or .4byte",
            )
        )  # fmt: skip
        self.origin, self.line, self.statement, self.reason = origin, line, statement, reason


class MiscompiledError(EmuError):
    """The bytes that the assembler gave for a statement cannot be proven to mean it."""

    def __init__(self, origin: str, line: int, statement: str, found: str, why: str) -> None:
        super().__init__(
            _located(
                origin, line, statement, f"assembled as {found!r}: {why}",
                "write it in another way that means the same, or as .byte or .4byte",
            )
        )  # fmt: skip
        self.origin, self.line, self.statement = origin, line, statement
        self.found, self.why = found, why


class OutOfRangeError(EmuError):
    """A branch cannot span the distance to its target."""

    def __init__(self, origin: str, line: int, statement: str, distance: int, reach: int) -> None:
        super().__init__(
            _located(
                origin, line, statement,
                f"the target is {abs(distance):#x} bytes away, this branch reaches {reach:#x}",
                "branch round a longer-reaching branch, or place the target nearer",
            )
        )  # fmt: skip
        self.origin, self.line, self.statement = origin, line, statement
        self.distance, self.reach = distance, reach
