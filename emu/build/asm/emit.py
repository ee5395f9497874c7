"""What Keystone is handed: the text of a unit with every name but its own labels made a number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from emu.build.asm.dialect import Dialect
from emu.build.asm.errors import OutOfRangeError, SourceError
from emu.build.asm.guard import data_bytes
from emu.build.asm.layout import Layout
from emu.build.asm.operands import OperandError, resolve
from emu.build.asm.program import Align, Code, Data, Item, Label, Program

_START = ".Ls"
"""The label that Keystone gets for the start of a unit."""


@dataclass(slots=True)
class Emitter:
    """Writes a unit for Keystone.

    Args:
        dialect: of the port.
        program: the unit.
        base: its address.
        addresses: of each symbol it may name; stand-ins while ``layout`` is None.
        layout: where its items will lie, or None while that is unknown.
    """

    dialect: Dialect
    program: Program
    base: int
    addresses: Mapping[str, int]
    layout: Layout | None
    names: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.names = {name: f".Lk{n}" for n, name in enumerate(self.program.labels)}

    def text(self, without: Code | None = None) -> str:
        """Return the text of the unit; ``without`` is left out."""
        lines = [_START + ":"] if self.program.items else []
        for place, item in enumerate(self.program.items):
            if item is not without and (line := self._line(item, place)):
                lines.append(line)
        return "\n".join(lines)

    def alone(self, item: Code) -> str:
        """Return the text of one instruction, its target replaced by the stand-in."""
        return f"{_START}:\n{self._instruction(item, self.base, alone=True)}"

    def _line(self, item: Item, place: int) -> str:
        offsets = self.layout.offsets if self.layout else None
        try:
            if isinstance(item, Code):
                return self._instruction(
                    item, self.base + (offsets[place + 1] if offsets else 0), alone=False
                )
            if isinstance(item, Label):
                return self.names[item.name] + ":"
            if isinstance(item, Data):
                return _bytes(data_bytes(item, self.addresses) if offsets else bytes(item.size))
        except OperandError as error:
            statement = item.statement
            raise SourceError(
                self.program.unit.origin, statement.line, statement.text, error.problem, error.remedy
            ) from error
        assert isinstance(item, Align), "there are no other items"
        return f".balign {item.boundary:#x}"

    def _instruction(self, item: Code, end: int, *, alone: bool) -> str:
        printed = [
            self._target(item, alone)
            if operand is item.target
            else self.dialect.print_operand(resolve(operand, self.addresses), end)
            for operand in item.operands
        ]
        return f"{item.mnemonic} {', '.join(printed)}"

    def _is_label(self, item: Code) -> bool:
        """Return whether the target is handed over as a label: it is one of this file."""
        target = item.target
        return target is not None and bool(target.refs) and target.refs[0].name in self.names

    def _target(self, item: Code, alone: bool) -> str:
        assert item.target is not None, "the caller looked"
        is_label = self._is_label(item)
        if is_label and not alone:
            return self.names[item.target.refs[0].name]
        if is_label or self.dialect.placeholder is None:
            return _START
        return f"{self.base + self.dialect.placeholder:#x}"

    def _target_address(self, item: Code) -> int:
        assert item.target is not None, "the caller looked"
        refs = item.target.refs
        return self.addresses[refs[0].name] if refs else item.target.value

    def _outside_branches(self) -> list[tuple[Code, int, int]]:
        """Return (branch, end offset, target) of those not handed over as labels."""
        assert self.layout is not None, "asked for before units are placed"
        return [
            (item, self.layout.offsets[place + 1], self._target_address(item))
            for place, item in enumerate(self.program.items)
            if isinstance(item, Code) and item.target and not self._is_label(item)
        ]

    def check_reach(self) -> None:
        """Return if every branch to the outside reaches its target, but for the last few bytes.

        The guard is exact; this gives the better message.
        """
        for item, end, target in self._outside_branches():
            reach = self.dialect.reach(item.mnemonic)
            distance = target - (self.base + end)
            if reach is not None and not -reach - 0x10 <= distance < reach:
                statement = item.statement
                raise OutOfRangeError(
                    self.program.unit.origin, statement.line, statement.text, distance, reach
                )

    def finish(self, code: bytearray) -> None:
        """Write in ``code`` what Keystone was not told: outside targets, and what fills padding.

        Keystone takes a fill of zero for none. The guard checks the result.
        """
        assert self.layout is not None, "asked for before units are placed"
        for _, end, target in self._outside_branches():
            if 4 <= end <= len(code):
                self.dialect.set_target(code, end, target - (self.base + end))
        for place, item in enumerate(self.program.items):
            if isinstance(item, Align) and item.fill is not None:
                start, end = self.layout.offsets[place : place + 2]
                code[start:end] = bytes([item.fill]) * (end - start)


def _bytes(content: bytes) -> str:
    return ".byte " + ",".join(f"{byte:#x}" for byte in content) if content else ""
