"""What a module defines, without placing it: what patches of it may refer to before it is loaded."""

from __future__ import annotations

from emu.arch.port import Port
from emu.build.asm.dialects import dialect_of
from emu.build.asm.source import Kind, read_statements
from emu.build.code_source import Code, ElfCode
from emu.build.elf import tables as elf_tables
from emu.build.elf.file import read_elf
from emu.build.elf.place import symbol_table
from emu.build.elf.symbols import KINDS
from emu.build.image import MARKS, numbered
from emu.build.klp import Foreign


def foreign_symbols(port: Port, module: str, code: Code) -> dict[str, Foreign]:
    """Return what ``module`` defines by the names that others use: of assembly its functions alone.

    Raises:
        EmuError: the code is malformed.
    """
    if isinstance(code, ElfCode):
        file = read_elf(code.content, origin=code.origin, machine=port.machine)
        _, rows = symbol_table(file)
        names = {row.name for row in rows if row.type in KINDS and row.shndx != elf_tables.SHN_UNDEF}
        return {name: Foreign(object=module, name=name) for name in sorted(names) if name}
    found = {}
    for statement in (row for unit in code for row in read_statements(unit, dialect_of(port))):
        if statement.kind is Kind.LABEL and not statement.head.startswith((".", *MARKS)):
            name, sympos = numbered(statement.head)
            found[statement.head] = Foreign(object=module, name=name, sympos=sympos)
    return found
