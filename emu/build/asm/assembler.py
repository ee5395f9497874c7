"""Assembling units to bytes: the only module that imports Keystone.

Keystone 0.9.2 gets a small, safe part of its language: labels named by us, ``.byte``, ``.balign`` and
instructions whose equates and outside symbols are numbers already. No option of it is ever set: that
would change how it reads numbers, in the whole process. Its sizes are believed only as far as the
decoder confirms them, and `emu.build.asm.guard` proves the result.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keystone

from emu.arch.port import Port
from emu.build.asm.dialect import Dialect
from emu.build.asm.dialects import dialect_of
from emu.build.asm.emit import Emitter
from emu.build.asm.errors import DuplicateSymbolError, MiscompiledError, RefusedStatementError
from emu.build.asm.guard import prove
from emu.build.asm.items import read_items
from emu.build.asm.layout import Layout, LayoutError, lay_out
from emu.build.asm.program import Code, Program, outline
from emu.build.asm.source import Unit
from emu.build.asm.symbols import Symbol, symbols_of

__all__ = ["Assembly", "Symbol", "Unit", "assemble"]

_MODES = {
    "x86_64": (keystone.KS_ARCH_X86, keystone.KS_MODE_64),
    "arm64": (keystone.KS_ARCH_ARM64, keystone.KS_MODE_LITTLE_ENDIAN),
}

_STAND_IN = 0x1000_0000
"""Address of every outside symbol until the units are placed: as wide as a real one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """Units assembled and linked.

    Args:
        base: address of the first byte.
        code: all bytes; gaps between units are filled with the port's trap.
        symbols: visible labels.
        lines: (address, origin, line) of each instruction statement, by address.
    """

    base: int
    code: bytes
    symbols: dict[str, Symbol]
    lines: list[tuple[int, str, int]]


def assemble(
    port: Port, units: Sequence[Unit], *, base: int, equates: Mapping[str, int], align: int = 16
) -> Assembly:
    """Return ``units`` placed one behind the other from ``base``, linked and proven.

    Args:
        port: what they are written for.
        units: in order.
        base: address of the first, a multiple of ``align``.
        equates: constants, and addresses of symbols outside; on arm64 each also exists as
            ``NAME_LO16`` and ``NAME_HI16``, as do the symbols of the units.
        align: least alignment of each unit, bytes, a power of two.

    Raises:
        SourceError: a statement is outside the dialect.
        UndefinedSymbolError: a name is nowhere defined.
        DuplicateSymbolError: a name is defined twice.
        RefusedStatementError: Keystone refuses a statement.
        OutOfRangeError: a branch does not reach its target.
        MiscompiledError: Keystone's bytes cannot be proven to mean their statement.
        ValueError: ``base`` is not a multiple of ``align``, or ``align`` no power of two.
    """
    dialect = dialect_of(port)
    if align < dialect.alignment or align & align - 1 or base % align:
        raise ValueError(f"base {base:#x} must be a multiple of align {align:#x}, a power of two")
    programs = [outline(unit, dialect) for unit in units]
    visible = _visible(programs, equates)
    for program in programs:
        read_items(program, dialect, visible, equates)
    engine = keystone.Ks(*_MODES[port.name])
    stand_ins = dict.fromkeys(visible, _STAND_IN)
    sketches = [_sketch(engine, port, dialect, program, stand_ins) for program in programs]

    starts, end = [], base
    for program, sketch in zip(programs, sketches, strict=True):
        start = end + -end % program.alignment(align)
        starts.append(start)
        end = start + sketch.offsets[-1]
    placed = list(zip(programs, sketches, starts, strict=True))
    addresses = {
        name: start + offset
        for program, sketch, start in placed
        for name, offset in sketch.labels.items()
        if program.is_visible(name)
    }
    code = bytearray(port.trap * ((end - base) // len(port.trap) + 1))[: end - base]
    symbols: dict[str, Symbol] = {}
    lines: list[tuple[int, str, int]] = []
    for program, sketch, start in placed:
        own = {name: start + offset for name, offset in sketch.labels.items()}
        emitter = Emitter(dialect, program, start, ChainMap(own, addresses), sketch)
        unit_code = _final(engine, port, emitter, sketch)
        code[start - base : start - base + len(unit_code)] = unit_code
        symbols |= symbols_of(program, sketch, start)
        lines += [
            (start + offset, program.unit.origin, item.statement.line)
            for offset, item in zip(sketch.offsets, program.items, strict=False)
            if isinstance(item, Code)
        ]
    return Assembly(base=base, code=bytes(code), symbols=symbols, lines=lines)


def _visible(programs: list[Program], equates: Mapping[str, int]) -> dict[str, str]:
    visible: dict[str, str] = {}
    for program in programs:
        for name, statement in program.labels.items():
            first = "an equate" if name in equates else visible.get(name)
            if first and not name.startswith(".L"):
                raise DuplicateSymbolError(program.unit.origin, statement.line, statement.text, name, first)
            if program.is_visible(name):
                visible[name] = f"{program.unit.origin}:{statement.line}"
    return visible


def _sketch(
    engine: keystone.Ks, port: Port, dialect: Dialect, program: Program, stand_ins: dict[str, int]
) -> Layout:
    """Return the layout of a unit at an address of no meaning: sizes do not depend on it."""
    own = dict.fromkeys(program.labels, _STAND_IN)
    emitter = Emitter(dialect, program, _STAND_IN, ChainMap(own, stand_ins), None)
    code = _run(engine, port, emitter)
    try:
        return lay_out(port, program, code, _STAND_IN)
    except LayoutError as error:
        raise _culprit(engine, port, emitter, str(error)) from error


def _final(engine: keystone.Ks, port: Port, emitter: Emitter, sketch: Layout) -> bytes:
    """Return the bytes of a unit at its place, proven."""
    emitter.check_reach()
    code = bytearray(_run(engine, port, emitter))
    if len(code) != sketch.offsets[-1]:
        reason = f"{len(code):#x} bytes where there were {sketch.offsets[-1]:#x}"
        raise _culprit(engine, port, emitter, reason)
    emitter.finish(code)
    try:
        layout = lay_out(port, emitter.program, bytes(code), emitter.base)
    except LayoutError as error:
        raise _culprit(engine, port, emitter, str(error)) from error
    for item, before, after in zip(emitter.program.items, sketch.offsets, layout.offsets, strict=False):
        if before != after:
            statement = item.statement
            raise MiscompiledError(
                emitter.program.unit.origin, statement.line, statement.text,
                f"something at {after:#x}", f"it was at {before:#x} before the units were placed",
            )  # fmt: skip
    prove(port, emitter.dialect, emitter.program, bytes(code), emitter.base, layout, emitter.addresses)
    return bytes(code)


def _assemble_text(engine: keystone.Ks, text: str, address: int) -> bytes | str:
    """Return Keystone's bytes, or its reason for giving none."""
    try:
        code, _ = engine.asm(text, address, True)
    except keystone.KsError as error:
        return str(error.message)
    return code if code else "no bytes and no reason"


def _run(engine: keystone.Ks, port: Port, emitter: Emitter) -> bytes:
    text = emitter.text()
    if not text:
        return b""
    found = _assemble_text(engine, text, emitter.base)
    if isinstance(found, bytes):
        return found
    raise _culprit(engine, port, emitter, found)


def _culprit(
    engine: keystone.Ks, port: Port, emitter: Emitter, reason: str
) -> RefusedStatementError | MiscompiledError:
    """Return the error of the statement that is to blame: Keystone names none."""
    origin = emitter.program.unit.origin
    code_items = [item for item in emitter.program.items if isinstance(item, Code)]
    for item in code_items:
        statement = item.statement
        found = _assemble_text(engine, emitter.alone(item), emitter.base)
        if isinstance(found, str):
            return RefusedStatementError(origin, statement.line, statement.text, found)
        try:
            lay_out(port, Program(emitter.program.unit, [], items=[item]), found, emitter.base)
        except LayoutError as error:
            return MiscompiledError(origin, statement.line, statement.text, found.hex(), str(error))
    for item in code_items:
        rest = emitter.text(without=item)
        if item.target and isinstance(_assemble_text(engine, rest, emitter.base), bytes):
            return RefusedStatementError(origin, item.statement.line, item.statement.text, reason)
    first = emitter.program.items[0].statement
    return RefusedStatementError(origin, first.line, "the file as a whole", reason)
