"""Reading the statements of a unit as items: operands, numbers, strings, alignments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from emu.build.asm.dialect import Dialect
from emu.build.asm.errors import DuplicateSymbolError, SourceError, UndefinedSymbolError
from emu.build.asm.expression import read_sum
from emu.build.asm.operands import Immediate, OperandError, Ref, UnknownSymbol, half_of
from emu.build.asm.program import Align, Code, Data, Item, Label, Program
from emu.build.asm.source import Kind, Statement

_WIDTHS = {".byte": 1, ".2byte": 2, ".4byte": 4, ".8byte": 8}
_WIDEST_ALIGNMENT = 0x1000
_LARGEST_UNIT = 0x8000
"""Bytes at most. Within it the shortest arm64 branch, TBZ, reaches every label of its own file; out of
reach, Keystone ends the process."""

_ESCAPES = {"n": 0x0A, "t": 0x09, "\\": 0x5C, '"': 0x22}


def read_items(
    program: Program, dialect: Dialect, symbols: Mapping[str, str], equates: Mapping[str, int]
) -> None:
    """Fill in the items of ``program``.

    Args:
        program: from `outline`.
        dialect: of the port.
        symbols: visible labels of all units, with where they are defined.
        equates: constants.

    Raises:
        SourceError: a statement is outside the dialect.
        UndefinedSymbolError: it names what is nowhere defined.
        DuplicateSymbolError: a ``.set`` takes a name that is taken.
    """
    reader = _ItemReader(program, dialect, symbols, equates)
    for statement in program.statements:
        try:
            if item := reader.read(statement):
                program.items.append(item)
        except OperandError as error:
            raise SourceError(
                program.unit.origin, statement.line, statement.text, error.problem, error.remedy
            ) from error
        except UnknownSymbol as error:
            raise UndefinedSymbolError(
                program.unit.origin, statement.line, statement.text, error.name
            ) from error
    if reader.most > _LARGEST_UNIT:
        raise SourceError(
            program.unit.origin, 1, program.unit.name,
            f"the file may have {reader.most:#x} bytes, more than {_LARGEST_UNIT:#x}", "split it",
        )  # fmt: skip


@dataclass(slots=True)
class _ItemReader:
    program: Program
    dialect: Dialect
    symbols: Mapping[str, str]
    equates: Mapping[str, int]
    constants: dict[str, int] = field(default_factory=dict)
    most: int = 0
    """Bytes the items can have at most."""

    def lookup(self, name: str) -> tuple[int, tuple[Ref, ...]]:
        if name in self.constants:
            return self.constants[name], ()
        if name in self.program.labels or name in self.symbols:
            return 0, (Ref(name),)
        if name in self.equates:
            return self.equates[name], ()
        stem, half = name[:-5], name[-4:]
        if self.dialect.halves and half in ("LO16", "HI16") and name[-5:-4] == "_":
            try:
                constant, refs = self.lookup(stem)
            except UnknownSymbol:
                raise UnknownSymbol(name) from None
            if not refs:
                return half_of(constant, half), ()
            if not refs[0].half:
                return 0, (Ref(stem, 1, half),)
        raise UnknownSymbol(name)

    def read(self, statement: Statement) -> Item | None:
        match statement.kind, statement.head:
            case Kind.LABEL, name:
                return Label(statement, name)
            case Kind.INSTRUCTION, mnemonic:
                self.most += self.dialect.longest
                return self.instruction(statement, mnemonic)
            case _, ".global":
                return None
            case _, ".set":
                self.set(statement)
                return None
            case _, ".balign":
                align = self.align(statement)
                self.most += align.boundary
                return align
            case _, ".asciz":
                data = Data(statement, 1, _string(statement.rest))
            case _:
                data = self.numbers(statement, _WIDTHS[statement.head])
        self.most += data.size
        return data

    def instruction(self, statement: Statement, mnemonic: str) -> Code:
        operands = self.dialect.read_operands(mnemonic, statement.rest, lookup=self.lookup, decoded=False)
        last = operands[-1] if operands else None
        branches = (
            isinstance(last, Immediate)
            and self.dialect.is_branch(mnemonic)
            and not any(hasattr(operand, "base") for operand in operands)
        )
        target = last if branches and isinstance(last, Immediate) else None
        if target and target.refs and (target.value or target.refs != (Ref(target.refs[0].name),)):
            raise OperandError("a computed branch target", "put a label there")
        for operand in operands:
            refs = getattr(operand, "refs", ())
            if len(refs) > 1 or (refs and refs[0].sign < 0):
                raise OperandError("a difference of symbols", "only data directives take one")
            if operand is not target and isinstance(operand, Immediate):
                self.refuse_own(refs)
        return Code(statement, mnemonic, operands, target)

    def refuse_own(self, refs: tuple[Ref, ...]) -> None:
        for ref in refs:
            if not ref.half and ref.name in self.program.labels:
                raise OperandError(
                    f"{ref.name} is a label of this file, which assemblers read unlike each other here",
                    "take its address with lea [rip + NAME], adr, or NAME_LO16 and NAME_HI16",
                )

    def set(self, statement: Statement) -> None:
        name, comma, text = (part.strip() for part in statement.rest.partition(","))
        total = read_sum(text, lookup=self.lookup)
        if not comma or not name.isidentifier() or name.lower() in self.dialect.registers or total.refs:
            raise OperandError(".set needs a name and a constant", "write .set NAME, 0x...")
        taken = (self.constants, self.program.labels, self.symbols, self.equates)
        if any(name in names for names in taken):
            first = self.symbols.get(name, "an equate or a line before")
            raise DuplicateSymbolError(self.program.unit.origin, statement.line, statement.text, name, first)
        self.constants[name] = total.constant

    def align(self, statement: Statement) -> Align:
        boundary, comma, fill = statement.rest.partition(",")
        size = read_sum(boundary, lookup=self.lookup)
        if size.refs or size.constant not in (1 << n for n in range(_WIDEST_ALIGNMENT.bit_length())):
            raise OperandError(
                f"an alignment of {boundary.strip()}", f"use a power of two up to {_WIDEST_ALIGNMENT:#x}"
            )
        if not comma:
            return Align(statement, size.constant, None)
        byte = read_sum(fill, lookup=self.lookup)
        if byte.refs or not 0 <= byte.constant < 0x100:
            raise OperandError(f"a fill of {fill.strip()}", "one byte")
        return Align(statement, size.constant, byte.constant)

    def numbers(self, statement: Statement, width: int) -> Data:
        values = []
        for part in statement.rest.split(","):
            total = read_sum(part, lookup=self.lookup)
            if not -(1 << 8 * width - 1) <= total.constant < 1 << 8 * width:
                raise OperandError(f"{part.strip()} does not fit {width} bytes", "use a wider directive")
            values.append(Immediate(total.constant, total.refs))
        return Data(statement, width, tuple(values))


def _string(text: str) -> tuple[Immediate, ...]:
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        raise OperandError(".asciz needs one string", 'write .asciz "text"')
    values, inside = [], iter(text[1:-1])
    for character in inside:
        if character == '"':
            raise OperandError(".asciz with more than one string", "write one directive for each")
        if character == "\\":
            escape = next(inside, "")
            if escape not in _ESCAPES:
                raise OperandError(f"the escape \\{escape}", 'use \\n, \\t, \\\\ or \\"')
            values.append(Immediate(_ESCAPES[escape]))
        else:
            values.append(Immediate(ord(character)))
    return (*values, Immediate(0))
