"""Dynamic relocations of a linked file: ``DT_RELA``, ``DT_JMPREL``, ``DT_RELR``.

Source: System V gABI, chapter 5, "Dynamic Section"; chapter 4, "Relative Relocation Table".
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from emu.arch.port import Port
from emu.build.elf import tables as elf_tables
from emu.build.elf.errors import UndefinedSymbolsError, UnsupportedRelocationError
from emu.build.elf.loaded import Memory
from emu.build.elf.relocate import MACHINES
from emu.build.elf.tables import ElfFile, ProgramHeader, RawSymbol

DYNAMIC = np.dtype([("tag", "<u8"), ("value", "<u8")])
DT_NULL, DT_STRTAB, DT_SYMTAB, DT_RELA, DT_RELASZ, DT_STRSZ = 0, 5, 6, 7, 8, 10
DT_REL, DT_PLTRELSZ, DT_JMPREL, DT_RELRSZ, DT_RELR = 17, 2, 23, 35, 36
U64 = (1 << 64) - 1


def relocate_dynamic(
    file: ElfFile, port: Port, memory: Memory, bias: int, externs: Mapping[str, int]
) -> None:
    """Apply the dynamic relocations, if the file has a dynamic segment."""
    dynamic = next((s for s in file.segments if s.type == "PT_DYNAMIC"), None)
    if dynamic is None:
        return
    tags = _tags(file, dynamic)
    if DT_REL in tags:
        raise file.malformed("has dynamic relocations without addends")
    _apply_relr(file, memory, bias, _table(file, tags, (DT_RELR, DT_RELRSZ)))
    machine = MACHINES[port.machine]
    strings = _table(file, tags, (DT_STRTAB, DT_STRSZ))
    undefined = set()
    for pair in ((DT_RELA, DT_RELASZ), (DT_JMPREL, DT_PLTRELSZ)):
        content = _table(file, tags, pair)
        rows = np.frombuffer(content[: len(content) // 24 * 24], elf_tables.RELA)
        for offset, number, index, addend in rows.tolist():
            name = machine.names.get(number, f"type {number}")
            if machine.rules.get(name) is not None and machine.rules[name].form == "none":
                continue
            symbol = _dynamic_symbol(file, tags.get(DT_SYMTAB, 0), strings, index)
            target: int | None = bias
            if name in machine.symbolic:
                target = _target(symbol, bias, externs)
            elif name != machine.relative:
                raise UnsupportedRelocationError(
                    file.origin,
                    section="the image",
                    offset=offset,
                    kind=name,
                    symbol=symbol.name or "no symbol",
                )
            if target is None:
                undefined.add(symbol.name)
            elif not memory.write(offset + bias & U64, (target + addend & U64).to_bytes(8, "little")):
                raise file.malformed(f"{name} at {offset:#x} lies outside every segment")
    if undefined:
        raise UndefinedSymbolsError(file.origin, sorted(undefined))


def _tags(file: ElfFile, dynamic: ProgramHeader) -> dict[int, int]:
    """Return the dynamic section's entries, the first of each tag."""
    content = file.content[dynamic.offset : dynamic.offset + dynamic.file_size]
    tags: dict[int, int] = {}
    for tag, value in np.frombuffer(content[: len(content) // 16 * 16], DYNAMIC).tolist():
        if tag == DT_NULL:
            break
        tags.setdefault(tag, value)
    return tags


def _read(file: ElfFile, address: int, size: int) -> bytes | None:
    """Return ``size`` bytes that the file, as linked, has at ``address``; None if it has not."""
    for load in file.segments:
        start = address - load.address
        if load.type == "PT_LOAD" and start >= 0 and start + size <= load.file_size:
            return file.content[load.offset + start : load.offset + start + size]
    return None


def _table(file: ElfFile, tags: Mapping[int, int], pair: tuple[int, int]) -> bytes:
    """Return the table that two dynamic tags, address and size, describe; none when one is absent or 0."""
    address, size = (tags.get(tag, 0) for tag in pair)
    if not address or not size:
        return b""
    content = _read(file, address, size)
    if content is None:
        raise file.malformed(f"dynamic table {pair[0]} ({size:#x} bytes at {address:#x}) is not in a segment")
    return content


def _dynamic_symbol(file: ElfFile, table: int, strings: bytes, index: int) -> RawSymbol:
    """Return one row of the dynamic symbol table, which has no stated length."""
    if index == 0:
        return RawSymbol(name="", type=0, binding=0, shndx=elf_tables.SHN_ABS, value=0, size=0)
    row = _read(file, table + 24 * index, 24)
    if row is None:
        raise file.malformed(f"dynamic symbol {index} is not in a segment")
    return file.named_symbols(np.frombuffer(row, elf_tables.SYMBOL), strings, f"dynamic symbol {index}")[0]


def _target(symbol: RawSymbol, bias: int, externs: Mapping[str, int]) -> int | None:
    """Return the address of a dynamic symbol, or None when nobody defines it."""
    if symbol.shndx == elf_tables.SHN_UNDEF:
        return externs.get(symbol.name, 0 if symbol.binding == elf_tables.STB_WEAK else None)
    return symbol.value if symbol.shndx == elf_tables.SHN_ABS else symbol.value + bias


def _apply_relr(file: ElfFile, memory: Memory, bias: int, content: bytes) -> None:
    """Add the bias to each word of a packed table of relative relocations.

    An even entry is an address; an odd one is a bitmap of the 63 words behind the last.
    """
    where = count = 0
    words = sum(len(block.data) for block in memory.blocks) // 8
    for entry in np.frombuffer(content[: len(content) // 8 * 8], "<u8").tolist():
        if entry & 1:
            places = [where + 8 * bit for bit in range(63) if entry >> bit + 1 & 1]
            where += 63 * 8
        else:
            places, where = [entry], entry + 8
        count += len(places)
        if count > words:
            raise file.malformed("has more packed relocations than words")
        for place in places:
            word = memory.read(place + bias, 8)
            if word is None:
                raise file.malformed(f"a packed relocation at {place:#x} lies outside every segment")
            memory.write(place + bias, (int.from_bytes(word, "little") + bias & U64).to_bytes(8, "little"))
