"""Where a relocatable file's sections and symbols go.

Source: System V gABI, chapter 4, "Sections" (alignment, NOBITS), "Symbol Values".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from emu.build.elf import tables as elf_tables
from emu.build.elf.errors import AreaFullError
from emu.build.elf.loaded import Area, Block
from emu.build.elf.tables import ElfFile, RawSymbol, Section

U64 = (1 << 64) - 1


@dataclass(slots=True)
class Cursor:
    """How far an area is filled, in bytes."""

    area: Area
    used: int = 0

    def take(self, origin: str, name: str, size: int, align: int) -> int:
        """Return the address of ``size`` fresh bytes."""
        address = -(-(self.area.base + self.used) // align) * align
        self.used = address + size - self.area.base
        if self.used > self.area.size:
            raise AreaFullError(
                origin, section=name, area=self.area.kind, needed=self.used, size=self.area.size
            )
        return address


def place(file: ElfFile, cursors: Mapping[str, Cursor]) -> dict[int, Block]:
    """Return the loaded sections by index, each at its address."""
    blocks = {}
    for section in file.sections:
        if not section.is_loaded or section.flags & elf_tables.SHF_RELA_LIVEPATCH:
            continue
        if section.flags & elf_tables.SHF_COMPRESSED:
            raise file.malformed(f"section {section.index} {section.name} is loaded and compressed")
        if section.flags & elf_tables.SHF_TLS:
            raise file.malformed(
                f"section {section.index} {section.name} is thread-local, which has no place here"
            )
        cursor = cursors["text" if section.flags & elf_tables.SHF_EXECINSTR else "data"]
        address = cursor.take(file.origin, section.name, section.size, section.align)
        content = bytearray(file.bytes_of(section) or section.size)
        blocks[section.index] = Block(address, content, cursor.area.kind, section.name)
    return blocks


def symbol_table(file: ElfFile) -> tuple[Section | None, list[RawSymbol]]:
    """Return the symbol table and its rows; (None, []) when the file has none."""
    tables = [section for section in file.sections if section.type == "SHT_SYMTAB"]
    if len(tables) > 1:
        raise file.malformed(f"has {len(tables)} symbol tables, expected one")
    return (tables[0], file.symbols_of(tables[0])) if tables else (None, [])


def addresses_of(
    file: ElfFile,
    symbols: list[RawSymbol],
    blocks: dict[int, Block],
    data: Cursor,
    externs: Mapping[str, int],
) -> list[int | None]:
    """Return each symbol's address; None for one that nobody defines or that is not in guest memory.

    COMMON symbols get a block of their own in ``blocks``, under a negative key.
    """
    addresses: list[int | None] = []
    for number, symbol in enumerate(symbols):
        address: int | None = None
        if symbol.shndx == elf_tables.SHN_UNDEF:
            address = externs.get(symbol.name)
            if address is None and (symbol.binding == elf_tables.STB_WEAK or not number):
                address = 0
        elif symbol.shndx == elf_tables.SHN_ABS:
            address = symbol.value
        elif symbol.shndx == elf_tables.SHN_COMMON:  # value is the alignment: gABI, "Symbol Values"
            align = max(1, symbol.value)
            address = data.take(file.origin, f"COMMON {symbol.name}", symbol.size, align)
            blocks[-number] = Block(address, bytearray(symbol.size), "data", symbol.name)
        elif symbol.shndx == elf_tables.SHN_LIVEPATCH:
            address = None  # livepatch looks it up when its object is there
        elif symbol.shndx >= elf_tables.SHN_LORESERVE or symbol.shndx >= len(file.sections):
            raise file.malformed(
                f"symbol {number} {symbol.name} is in section {symbol.shndx}, which does not exist"
            )
        elif symbol.shndx in blocks:
            address = blocks[symbol.shndx].address + symbol.value & U64
        addresses.append(address)
    return addresses
