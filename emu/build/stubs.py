"""Stubs: how assembly of ours calls functions of a module that may come and go while it stays.

Assembly knows addresses as numbers, so a call of such a function goes to a jump of the same module
instead, and livepatch fills that in: see `emu.build.klp`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from emu.arch.port import Port
from emu.build.asm.assembler import Symbol, Unit
from emu.build.asm.dialects import dialect_of
from emu.build.asm.source import read_statements
from emu.build.elf.relocate import MACHINES
from emu.build.klp import Foreign, KlpRelocation, KlpSection

_WORD = re.compile(r"[A-Za-z_]\w*")
_HALF = re.compile(r"_(LO|HI)16$")
_ALIGN = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Stubs:
    """The stubs of one module.

    Args:
        code: them, gaps filled with traps; empty = none are needed.
        addresses: what the module's code calls instead of each function, by label.
        symbols: their own, ``FUNCTION@plt``.
        sections: what livepatch has to fill in.
    """

    code: bytes
    addresses: dict[str, int]
    symbols: dict[str, Symbol]
    sections: tuple[KlpSection, ...]


def make_stubs(port: Port, units: Iterable[Unit], foreign: Mapping[str, Foreign], *, base: int) -> Stubs:
    """Return stubs for the ``foreign`` functions that ``units`` mention, to be placed at ``base``."""
    if not foreign:
        return Stubs(code=b"", addresses={}, symbols={}, sections=())
    machine, dialect = MACHINES[port.machine], dialect_of(port)
    operands = [statement.rest for unit in units for statement in read_statements(unit, dialect)]
    mentioned = {_HALF.sub("", word) for rest in operands for word in _WORD.findall(rest)}
    wanted = [label for label in foreign if label in mentioned]
    code, addresses, symbols = b"", dict[str, int](), dict[str, Symbol]()
    sections: dict[str, list[KlpRelocation]] = {}
    for label in wanted:
        at, owner = base + len(code), foreign[label]
        addresses[label] = at
        name = f"{label}@plt"
        symbols[name] = Symbol(name=name, address=at, size=len(machine.stub), unit="stubs")
        code += machine.stub + port.trap_fill(-len(machine.stub) % _ALIGN).tobytes()
        sections.setdefault(owner.section("text"), []).extend(
            KlpRelocation(place=at + offset, in_text=True, kind=kind, symbol=owner.symbol, addend=addend)
            for offset, kind, addend in machine.stub_relocations
        )
    return Stubs(
        code=code,
        addresses=addresses,
        symbols=symbols,
        sections=tuple(KlpSection(name=name, relocations=tuple(rows)) for name, rows in sections.items()),
    )
