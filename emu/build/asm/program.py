"""A unit as items: labels, data, alignment and instructions, with every constant folded in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from emu.build.asm.dialect import Dialect
from emu.build.asm.errors import DuplicateSymbolError, SourceError, UndefinedSymbolError
from emu.build.asm.operands import Immediate, Operand
from emu.build.asm.source import Kind, Statement, Unit, read_statements

CONVENTIONAL = ("__mcount_loc_", "__warn_", "__bug_")
"""Labels that are visible outside without ``.global``; see docs/guest-kernel.md."""


@dataclass(frozen=True, slots=True)
class Label:
    """A label."""

    statement: Statement
    name: str


@dataclass(frozen=True, slots=True)
class Data:
    """Numbers of ``width`` bytes each, symbols not yet resolved."""

    statement: Statement
    width: int
    values: tuple[Immediate, ...]

    @property
    def size(self) -> int:
        """Bytes of all of them."""
        return self.width * len(self.values)


@dataclass(frozen=True, slots=True)
class Align:
    """Padding up to a multiple of ``boundary``; ``fill`` None: instructions without effect."""

    statement: Statement
    boundary: int
    fill: int | None


@dataclass(frozen=True, slots=True)
class Code:
    """An instruction; ``target`` is its last operand if that is where it branches to."""

    statement: Statement
    mnemonic: str
    operands: tuple[Operand, ...]
    target: Immediate | None


Item: TypeAlias = Label | Data | Align | Code


@dataclass(slots=True)
class Program:
    """A unit that was read: it does not change afterwards.

    Args:
        unit: where it came from.
        statements: of it.
        declared: names declared ``.global``, with the statement that does.
        labels: names it defines, with the statement that does.
        items: in order.
    """

    unit: Unit
    statements: list[Statement]
    declared: dict[str, Statement] = field(default_factory=dict)
    labels: dict[str, Statement] = field(default_factory=dict)
    items: list[Item] = field(default_factory=list)

    def is_visible(self, name: str) -> bool:
        """Return whether other units see the label ``name``."""
        return name in self.declared or name.startswith(CONVENTIONAL)

    def alignment(self, least: int) -> int:
        """Return the alignment that the unit needs, at least ``least``."""
        return max([least, *(item.boundary for item in self.items if isinstance(item, Align))])


def outline(unit: Unit, dialect: Dialect) -> Program:
    """Return ``unit`` with its labels and declarations read, and no items yet."""
    program = Program(unit, read_statements(unit, dialect))
    for statement in program.statements:
        if statement.kind is Kind.LABEL:
            _define(program, statement, dialect)
        elif statement.head == ".global":
            for name in statement.rest.split(","):
                program.declared[name.strip()] = statement
    for name, statement in program.declared.items():
        if name not in program.labels:
            raise UndefinedSymbolError(unit.origin, statement.line, statement.text, name)
    for name, statement in program.labels.items():
        if not (name.startswith(".L") or program.is_visible(name)):
            raise SourceError(
                unit.origin, statement.line, statement.text, "a label that nothing declares",
                f"declare it .global, or call it .L{name} if only this file uses it",
            )  # fmt: skip
    return program


def _define(program: Program, statement: Statement, dialect: Dialect) -> None:
    unit, name = program.unit, statement.head
    if name.lower() in dialect.registers or (name[0] == "." and not name.startswith(".L")):
        raise SourceError(
            unit.origin, statement.line, statement.text, f"{name} is no name for a label", "rename it"
        )
    if name in program.labels:
        first = f"{unit.origin}:{program.labels[name].line}"
        raise DuplicateSymbolError(unit.origin, statement.line, statement.text, name, first)
    program.labels[name] = statement
