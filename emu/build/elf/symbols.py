"""Symbols of a loaded file, from its symbol table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from emu.build.elf import tables as elf_tables
from emu.build.elf.loaded import ElfSymbol, SymbolKind
from emu.build.elf.tables import RawSymbol

KINDS: dict[int, SymbolKind] = {
    elf_tables.STT_FUNC: "func",
    elf_tables.STT_OBJECT: "object",
    elf_tables.STT_COMMON: "object",
    elf_tables.STT_NOTYPE: "notype",
}


def loaded_symbols(symbols: Iterable[tuple[RawSymbol, int | None]]) -> Iterator[ElfSymbol]:
    """Yield the defined, named symbols of (row, address) pairs.

    Left out: section and file symbols, and mapping symbols (``$x``, ``$d``: AAELF64, section 5.5.4).
    """
    for symbol, address in symbols:
        kind = KINDS.get(symbol.type)
        is_mapping = symbol.name.startswith("$") and symbol.binding == elf_tables.STB_LOCAL
        if (
            address is None
            or kind is None
            or symbol.shndx == elf_tables.SHN_UNDEF
            or not symbol.name
            or is_mapping
        ):
            continue
        yield ElfSymbol(
            name=symbol.name,
            address=address,
            size=symbol.size,
            kind=kind,
            is_global=symbol.binding != elf_tables.STB_LOCAL,
        )
