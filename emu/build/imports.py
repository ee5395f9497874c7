"""What a module's code uses and does not define, without placing it."""

from __future__ import annotations

import re

from emu.arch.port import Port
from emu.build.asm.dialects import dialect_of
from emu.build.asm.source import Kind, read_statements
from emu.build.code_source import Code, ElfCode
from emu.build.elf import tables as elf_tables
from emu.build.elf.file import read_elf

_WORD = re.compile(r"(?<![\w.])[A-Za-z_]\w*")
_HALF = re.compile(r"_(LO|HI)16$")


def whole_name(word: str) -> str:
    """Return the symbol of which assembly mentions a half.

    >>> whole_name("vic_gates_LO16"), whole_name("vic_gates")
    ('vic_gates', 'vic_gates')
    """
    return _HALF.sub("", word)


def imports(port: Port, code: Code) -> set[str]:
    """Return the names that ``code`` uses and does not define; of assembly registers and constants, too.

    Raises:
        EmuError: the code is malformed.
    """
    if isinstance(code, ElfCode):
        file = read_elf(code.content, origin=code.origin, machine=port.machine)
        tables = (section for section in file.sections if section.type in ("SHT_SYMTAB", "SHT_DYNSYM"))
        rows = [row for table in tables for row in file.symbols_of(table)]
        return {row.name for row in rows if row.shndx == elf_tables.SHN_UNDEF and row.name}
    statements = [row for unit in code for row in read_statements(unit, dialect_of(port))]
    words = {whole_name(word) for row in statements for word in _WORD.findall(row.rest)}
    return words - {row.head for row in statements if row.kind is Kind.LABEL}
