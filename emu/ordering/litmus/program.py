"""Puts the columns of a litmus test together: one text, labels, initial registers and memory."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from emu.ordering.code.dialects import DIALECTS
from emu.ordering.code.errors import CodeError
from emu.ordering.code.layout import Layout, Piece
from emu.ordering.code.thread import Code, Instruction
from emu.ordering.litmus.condition import Condition, Place, read_condition
from emu.ordering.litmus.errors import LitmusError, UnsupportedTestError, located
from emu.ordering.litmus.init import Init, Item, read_init
from emu.ordering.litmus.source import Source
from emu.ordering.litmus.values import INT, Names, Type, number

_LABEL = re.compile(r"\s*([A-Za-z_.][\w.]*)\s*:(?!:)\s*")
_LABEL_VALUE = re.compile(r'(?:label\s*:\s*")?\s*P?(\d+)\s*:\s*(\w+)\s*"?$')
_INSTRUCTION_VALUE = re.compile(r'instr\s*:\s*"([^"]*)"$')
_BRANCH = re.compile(r"(.*[\s,])?([A-Za-z_]\w*)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class LitmusTest:
    """A litmus test that is ready to run.

    Args:
        source: its parts.
        code: of all columns.
        starts: per CPU its first instruction.
        handlers: per CPU its fault handler; -1: none.
        registers: per CPU the initial ones.
        memory: initial values by address.
        names: of symbols, labels, instructions.
        types: declared, of registers ``(cpu, name)`` and symbols ``(-1, name)``.
        condition: what is asked.
        lines: number of the line of each instruction, 0 at the end of a column.
    """

    source: Source
    code: Code
    starts: dict[int, int]
    handlers: dict[int, int]
    registers: dict[int, dict[str, int]]
    memory: dict[int, int]
    names: Names
    types: dict[tuple[int, str], Type]
    condition: Condition
    lines: list[int]

    def type_of(self, place: Place) -> Type:
        """Return the type of a register or location."""
        return self.types.get((place.cpu, place.name), INT)

    def pieces_of(self, place: Place) -> list[Piece]:
        """Return the bytes of a location, element after element if it is a whole array."""
        kind = self.type_of(place)
        base = self.names.symbol(place.name)
        numbers = range(kind.count) if kind.count and place.index < 0 else [max(place.index, 0)]
        return [Piece(base + number * kind.size, kind.size) for number in numbers]


class _Builder:
    """Puts one test together, step by step.

    ``cells`` are all columns one behind the other, (line, instruction) or None at a column's end,
    ``column_of`` their CPUs, ``is_declared`` whether all symbols that the test can use are known.
    """

    def __init__(self, source: Source, unroll: int) -> None:
        self.source = source
        self.unroll = unroll
        self.dialect = DIALECTS[source.arch]
        self.names = Names()
        self.cells: list[tuple[int, str] | None] = []
        self.column_of: list[int] = []
        self.labels: dict[int, dict[str, int]] = {}
        self.starts: dict[int, int] = {}
        self.handlers: dict[int, int] = {}
        self.init: Init
        self.decoded: dict[tuple[Any, int], Instruction] = {}
        self.items: dict[Piece, int] = {}
        self.is_declared = False

    def build(self) -> LitmusTest:
        source = self.source
        self._columns()
        self.init = read_init(source, self._register)
        self._declare()
        exposed = self._exposed()
        registers: dict[int, dict[str, int]] = {cpu: {} for cpu in self.starts}
        memory: dict[int, int] = {}
        for index in exposed:
            memory[Code.BASE + 4 * index] = self.names.code(self._relative(index))
        for item in self.init.items:
            self._initialise(item, registers, memory)
        code = Code(
            [self._compile(index) for index in range(len(self.cells))],
            exposed,
            self._decode,
            self._restricted,
            self.unroll,
        )
        self.is_declared = True
        condition = read_condition(source, self._register, self._written)
        self._check_places(condition)
        test = LitmusTest(
            source=source, code=code, starts=self.starts, handlers=self.handlers, registers=registers,
            memory=memory, names=self.names, types=self.init.types, condition=condition,
            lines=[cell[0] if cell else 0 for cell in self.cells],
        )  # fmt: skip
        shown = [piece for place in condition.places if place.cpu < 0 for piece in test.pieces_of(place)]
        code.layout = Layout(self.items, shown, self.dialect.ATOMIC_LINE)
        return test

    def _columns(self) -> None:
        """Lay the columns out one behind the other, each with a stop at its end."""
        source = self.source
        for column, head in enumerate(source.names):
            match = re.match(r"P(\d+)(\.F)?", head)
            assert match is not None, "the reader of the source has looked"
            cpu = int(match[1])
            start = len(self.cells)
            if match[2]:
                self.handlers[cpu] = start
            elif cpu in self.starts:
                raise LitmusError(source.path, source.names_line, f"column P{cpu} is there twice")
            else:
                self.starts[cpu] = start
            labels = self.labels.setdefault(cpu, {})
            for line, cells in source.rows:
                text = cells[column]
                while True:
                    found = _LABEL.match(text)
                    if found is None:
                        break
                    name = found[1]
                    if name in labels:
                        raise LitmusError(source.path, line, f"label {name!r} is there twice in P{cpu}")
                    labels[name] = len(self.cells)
                    self.names.labels[cpu, name] = len(self.cells)
                    text = text[found.end() :]
                if text.strip():
                    self.cells.append((line, " ".join(text.split())))
                    self.column_of.append(cpu)
            self.cells.append(None)
            self.column_of.append(cpu)
        for cpu in self.handlers:
            if cpu not in self.starts:
                what = f"P{cpu}.F handles faults of P{cpu}, which is not there"
                raise LitmusError(source.path, source.names_line, what)

    def _register(self, name: str, line: int) -> str:
        """Return the whole register that a name stands for."""
        try:
            return self.dialect.register_name(name)
        except CodeError as error:
            raise located(error, self.source.path, line) from None

    def _declare(self) -> None:
        """Give addresses to all symbols that the initial state names."""
        for item in self.init.items:
            if item.cpu < 0:
                self.names.symbol(item.name.partition("[")[0])
            if item.cpu >= 0 and item.cpu not in self.starts:
                raise LitmusError(self.source.path, item.line, f"there is no P{item.cpu}")

    def _check_places(self, condition: Condition) -> None:
        line = self.source.tail[0]
        for place in condition.places:
            if place in condition.listed and place.cpu < 0:
                self.names.symbol(place.name)
            elif place.cpu < 0:
                self._symbol(place.name, line)
            elif place.cpu not in self.starts:
                raise LitmusError(self.source.path, line, f"there is no P{place.cpu}")

    def _symbol(self, name: str, line: int) -> int:
        """Return the address of a symbol; the condition can't be the first to name one."""
        if self.is_declared and name not in self.names.symbols:
            what = f"{name!r} is neither in the initial state nor in the program"
            raise LitmusError(self.source.path, line, what)
        return self.names.symbol(name)

    def _label(self, text: str, line: int) -> int | None:
        match = _LABEL_VALUE.match(text)
        if match is None:
            return None
        index = self.names.labels.get((int(match[1]), match[2]))
        if index is None:
            raise LitmusError(self.source.path, line, f"there is no label {match[2]!r} in P{match[1]}")
        return index

    def _exposed(self) -> frozenset[int]:
        """Return the instructions at labels that occur as values: only those can be written."""
        found: set[str] = set()
        for item in self.init.items:
            match = _LABEL_VALUE.match(item.value or "")
            if match is not None:
                self._label(item.value or "", item.line)
                found.add(match[2])
        for cell in self.cells:
            label = None if cell is None else self.dialect.label_taken(cell[1])
            if label is not None:
                found.add(label)
        return frozenset(
            index
            for (_, name), index in self.names.labels.items()
            if name in found and self.cells[index] is not None
        )

    def _relative(self, index: int) -> str:
        """Return an instruction as it is stored in memory: with offsets for labels."""
        cell = self.cells[index]
        assert cell is not None, "the end of a column is not exposed"
        text = cell[1]
        match = _BRANCH.match(text)
        if match is not None and match[1]:
            to = self.labels[self.column_of[index]].get(match[2])
            if to is not None:
                text = f"{match[1]}.{4 * (to - index):+d}"
        return self.dialect.normal(text)

    def _value(self, text: str, line: int) -> int:
        """Return the number that a value stands for."""
        plain = number(text)
        if plain is not None:
            return plain
        index = self._label(text, line)
        if index is not None:
            return Code.BASE + 4 * index
        match = _INSTRUCTION_VALUE.match(text)
        if match is not None or text in ("NOP", "nop"):
            written = match[1] if match is not None else text
            return self.names.code(self.dialect.normal(written))
        symbol = re.fullmatch(r"&?([A-Za-z_][\w.]*)(?:\s*\+\s*(\d+)|\s*\[\s*(\d+)\s*\])?", text)
        if symbol is not None:
            element = int(symbol[3] or 0) * self.init.types.get((-1, symbol[1]), INT).size
            return self._symbol(symbol[1], line) + int(symbol[2] or 0) + element
        if text.startswith("("):
            raise UnsupportedTestError(self.source.path, line, "virtual memory (vmsa) is not modelled")
        raise LitmusError(
            self.source.path, line, f'{text!r} is not a value, such as 1, x, P0:L or instr:"NOP"'
        )

    def _initialise(self, item: Item, registers: dict[int, dict[str, int]], memory: dict[int, int]) -> None:
        if item.value is None:
            return
        if item.cpu >= 0:
            value = self._value(item.value, item.line)
            if value < 0:
                kind = self.init.types.get((item.cpu, item.name))
                value &= (1 << (8 * kind.size if kind else 64)) - 1
            registers[item.cpu][item.name] = value & 2**64 - 1
            return
        name, _, rest = item.name.partition("[")
        kind = self.init.types.get((-1, name), INT)
        base = self.names.symbol(name)
        if item.value.startswith("{"):
            values = [part for part in item.value.strip("{} ").split(",") if part.strip()]
            for place, text in enumerate(values):
                number = self._value(text.strip(), item.line) & (1 << 8 * kind.size) - 1
                memory[base + place * kind.size] = number
                self.items[Piece(base + place * kind.size, kind.size)] = number
            return
        offset = int(rest.rstrip("] ")) * kind.size if rest else 0
        value = self._value(item.value, item.line)
        size = 8 if value >= Code.BASE else kind.size  # addresses need no declaration of their type
        memory[base + offset] = value & (1 << 8 * size) - 1
        self.items[Piece(base + offset, size)] = memory[base + offset]

    def _written(self, text: str, place: Place, line: int) -> int | str:
        """Return what a value in the condition looks like at a place."""
        kind = self.init.types.get((place.cpu, place.name), INT)
        if text.startswith("{"):
            parts = [part for part in text.strip("{} ").split(",") if part.strip()]
            return "{" + ",".join(str(self._written(part.strip(), place, line)) for part in parts) + "}"
        plain = number(text)
        if plain is not None:
            return kind.number(plain)
        value = self._value(text, line)
        return self.names.shown(value, kind)

    def _instruction(self, text: str, index: int) -> Instruction:
        labels = self.labels[self.column_of[index]]
        return self.dialect.compile_instruction(
            text, index, labels, symbol=self.names.symbol, variants=self.source.variants
        )

    def _compile(self, index: int) -> Instruction | None:
        cell = self.cells[index]
        if cell is None:
            return None
        line, text = cell
        try:
            return self._instruction(text, index)
        except CodeError as error:
            raise located(error, self.source.path, line) from None

    def _decode(self, value: Any, index: int) -> Instruction:
        key = (value, index)
        found = self.decoded.get(key)
        if found is None:
            text = self.names.text(value)
            if text is None:
                found = self.dialect.undefined(self.source.variants)
            else:
                found = self._instruction(text, index)
            self.decoded[key] = found
        return found

    def _restricted(self, value: Any, index: int) -> bool:
        del index
        text = self.names.text(value)
        return text is not None and self.dialect.is_restricted(text)


def read_test(source: Source, unroll: int = 2) -> LitmusTest:
    """Return a test that is ready to run.

    Args:
        source: its parts.
        unroll: how often a backward jump is taken.

    Raises:
        LitmusError: something in it can't be read.
        UnsupportedTestError: it uses something that is not modelled.
    """
    return _Builder(source, unroll).build()
