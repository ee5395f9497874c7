"""Where the items of a unit lie: worked out from the bytes, never taken from the assembler's word."""

from __future__ import annotations

from dataclasses import dataclass

from emu.arch.port import Port
from emu.build.asm.program import Align, Code, Data, Label, Program
from emu.build.decode import decode_lite

Decoded = tuple[int, int, str, str]
"""Address, size, mnemonic, operands."""


class LayoutError(Exception):
    """The bytes are not one instruction for each statement; the caller finds out which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A unit's bytes against its items.

    Args:
        offsets: of each item, and behind them the unit's size; length ``len(items) + 1``.
        labels: offset of each label.
        decoded: what lies at each `Code` item, in order.
    """

    offsets: list[int]
    labels: dict[str, int]
    decoded: list[Decoded]


def lay_out(port: Port, program: Program, code: bytes, address: int) -> Layout:
    """Return where each item of ``program`` lies in ``code``, which starts at ``address``.

    Raises:
        LayoutError: bytes are missing, left over, or no instruction.
    """
    offsets: list[int] = []
    labels: dict[str, int] = {}
    decoded: list[Decoded] = []
    at, items = 0, program.items
    run: list[Decoded] = []
    for place, item in enumerate(items):
        offsets.append(at)
        if isinstance(item, Code):
            if not run:
                run = _run(port, code, at, address, _length(program, place))
            insn = run.pop(0)
            decoded.append(insn)
            at += insn[1]
        elif isinstance(item, Label):
            labels[item.name] = at
        elif isinstance(item, Data):
            at += item.size
        else:
            assert isinstance(item, Align), "there are no other items"
            at += -(address + at) % item.boundary
    if at != len(code):
        raise LayoutError(f"{len(code):#x} bytes, not {at:#x}")
    offsets.append(at)
    return Layout(offsets=offsets, labels=labels, decoded=decoded)


def _length(program: Program, place: int) -> int:
    """Count the instructions from ``place`` on that only labels interrupt."""
    count = 0
    for item in program.items[place:]:
        if isinstance(item, Code):
            count += 1
        elif not isinstance(item, Label):
            break
    return count


def _run(port: Port, code: bytes, at: int, address: int, count: int) -> list[Decoded]:
    run = decode_lite(port, code[at:], address + at, count=count)
    if len(run) != count:
        raise LayoutError(f"{len(run)} instructions, not {count}")
    return run
