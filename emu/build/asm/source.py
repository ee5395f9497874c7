"""Reading a unit of assembly: comments off, statements with their lines, and nothing else let in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from emu.build.asm.dialect import Dialect
from emu.build.asm.errors import SourceError

DIRECTIVES = frozenset({".global", ".set", ".byte", ".2byte", ".4byte", ".8byte", ".balign", ".asciz"})
"""The directives of the dialect. Keystone crashes, hangs or is silent on many others."""

_REMEDY = "see docs/guest-kernel.md, source dialect"
_MOST_TEXT = 0x40000
_LONGEST_LINE = 400
_DEEPEST = 16
_LABEL = re.compile(r"\s*([A-Za-z_.][\w.]*)\s*:(?!:)")
_HEAD = re.compile(r"([a-z][a-z0-9_.]*|\.[a-z0-9_]+)(?:\s+|$)")
_STRING = re.compile(r'"(?:[^"\\\n]|\\[^\n])*"')
_FORBIDDEN = {
    ";": "write one statement on each line",
    "\\": "macros are not part of the dialect",
    "@": "relocation operators are not part of the dialect",
    "=": "literal pools and assignments are not part of the dialect; use .set or .8byte",
    "'": "write the character's number as 0x...",
    "`": _REMEDY,
    "{": "register lists and masks are not part of the dialect",
    "}": "register lists and masks are not part of the dialect",
    "?": _REMEDY,
    "%": "write registers without prefix",
    "^": _REMEDY,
    "<>": _REMEDY,
    "/": "comments are /* ... */ or start with the port's line comment",
}
_COLON = re.compile(r"(?<!\b[cdefgs]s):")
_DECIMAL = re.compile(r"(?<![\w.$])[0-9](?!x[0-9A-Fa-f]+(?![\w.$]))[\w.$]*")


class Kind(Enum):
    """What a statement is."""

    LABEL = "label"
    DIRECTIVE = "directive"
    INSTRUCTION = "instruction"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A file of assembly.

    Args:
        name: of the unit, as `Symbol.unit` repeats it.
        text: its source.
        origin: what messages name as the file.
    """

    name: str
    text: str
    origin: str


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement.

    Args:
        kind: what it is.
        head: label name, directive, or mnemonic with its prefixes.
        rest: operands as written.
        line: from 1.
        text: the whole of it, for messages.
    """

    kind: Kind
    head: str
    rest: str
    line: int
    text: str


def read_statements(unit: Unit, dialect: Dialect) -> list[Statement]:
    """Return the statements of ``unit``, in order.

    Raises:
        SourceError: something is outside the dialect: other directives, decimal numbers, numeric
            labels, macros, relocation operators, unterminated comments or strings, characters
            other than printable ASCII, tab and newline, absurd sizes.
    """
    text = _without_comments(unit, dialect)
    statements: list[Statement] = []
    for number, line in enumerate(text.split("\n"), 1):
        if line and not line.isspace():
            _read_line(unit, dialect, number, line, statements)
    return statements


def _without_comments(unit: Unit, dialect: Dialect) -> str:
    text = unit.text.replace("\r\n", "\n")
    if len(text) > _MOST_TEXT:
        raise SourceError(
            unit.origin, 1, unit.name, f"the file has more than {_MOST_TEXT:#x} characters", "split it"
        )
    line_comment = re.escape(dialect.line_comment)
    comment = re.compile(
        rf"{_STRING.pattern}|/\*.*?\*/|{line_comment}[^\n]*|/\*|\"",
        re.DOTALL,
    )

    def blank(match: re.Match[str]) -> str:
        found = match[0]
        if found in ("/*", '"'):
            line = text.count("\n", 0, match.start())
            what, end = ("comment", "*/") if found == "/*" else ("string", '"')
            raise SourceError(
                unit.origin, line + 1, text.split("\n")[line].strip(),
                f"a {what} is not closed", f"close it with {end}",
            )  # fmt: skip
        return found if found[0] == '"' else " " + "\n" * found.count("\n")

    return comment.sub(blank, text)


def _read_line(unit: Unit, dialect: Dialect, number: int, line: str, statements: list[Statement]) -> None:
    shown = line.strip()

    def refuse(problem: str, remedy: str = _REMEDY) -> SourceError:
        return SourceError(unit.origin, number, shown, problem, remedy)

    if len(line) > _LONGEST_LINE:
        raise refuse(f"the line has more than {_LONGEST_LINE} characters", "split it")
    if not (line.isascii() and line.replace("\t", " ").isprintable()):
        bad = next(c for c in line if not (c == "\t" or (c.isascii() and c.isprintable())))
        raise refuse(f"the character {bad!r} is not printable ASCII", "remove it")
    while match := _LABEL.match(line):
        statements.append(Statement(Kind.LABEL, match[1], "", number, match[1] + ":"))
        line = line[match.end() :]
    line = line.strip()
    if not line:
        return
    if line[0].isdigit():
        raise refuse("a numeric label", "write .Lname")
    bare = _STRING.sub("", line) if '"' in line else line
    for character, remedy in _FORBIDDEN.items():
        if character in bare:
            raise refuse(f"{character!r} is not part of the dialect", remedy)
    head, rest = "", line
    while match := _HEAD.match(rest):
        head, rest = f"{head} {match[1]}".strip(), rest[match.end() :]
        if match[1] not in dialect.prefixes:
            break
    if not head:
        raise refuse("it starts with no mnemonic, directive or label")
    kind = Kind.DIRECTIVE if head[0] == "." else Kind.INSTRUCTION
    if kind is Kind.DIRECTIVE and head not in DIRECTIVES:
        raise refuse(f"{head} is not a directive of the dialect", f"use {' '.join(sorted(DIRECTIVES))}")
    words = head.split()
    if words[-1] in dialect.prefixes or len(words) > 2:
        raise refuse("a prefix alone", "write one prefix before the instruction, on the same line")
    if words[-1] in dialect.refused:
        raise refuse(f"{words[-1]} is not part of the dialect", "write the prefix with .byte")
    if '"' in line and head != ".asciz":
        raise refuse("a string", "only .asciz takes one")
    if ":" in bare and _COLON.search(bare):
        raise refuse("':' outside a segment prefix", "relocation operators are not part of the dialect")
    if decimal := _DECIMAL.search(bare):
        raise refuse(f"{decimal[0]!r} is not hexadecimal", "write every number as 0x...")
    if bare.count("(") > _DEEPEST:
        raise refuse("more parentheses than anybody reads", "simplify it")
    statements.append(Statement(kind, head, rest.strip(), number, line))
