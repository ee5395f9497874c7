"""The tables of an ELF file that has been read: sections, segments, symbols.

Rows of symbols and relocations are NumPy records.

Source: System V gABI, chapter 4, "Sections", "Symbol Table".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emu.build.elf.errors import MalformedElfError

MAX_NAME = 1024
"""Longest symbol name accepted, in bytes: it bounds what a hostile string table can cost."""

SHF_ALLOC, SHF_EXECINSTR, SHF_TLS, SHF_COMPRESSED = 0x2, 0x4, 0x400, 0x800
SHN_UNDEF, SHN_LORESERVE, SHN_ABS, SHN_COMMON = 0, 0xFF00, 0xFFF1, 0xFFF2
SHF_RELA_LIVEPATCH, SHN_LIVEPATCH = 0x0010_0000, 0xFF20
"""Source: include/uapi/linux/elf.h (6.1)."""
STT_NOTYPE, STT_OBJECT, STT_FUNC, STT_COMMON, STT_TLS, STT_GNU_IFUNC = 0, 1, 2, 5, 6, 10
STB_LOCAL, STB_WEAK = 0, 2

SYMBOL = np.dtype(
    [("name", "<u4"), ("info", "u1"), ("other", "u1"), ("shndx", "<u2"), ("value", "<u8"), ("size", "<u8")]
)
RELA = np.dtype([("offset", "<u8"), ("type", "<u4"), ("symbol", "<u4"), ("addend", "<i8")])


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A section header; ``type`` is pyelftools' name, or the number when it has none."""

    index: int
    name: str
    type: str | int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    align: int
    entry_size: int

    @property
    def is_loaded(self) -> bool:
        """Whether the section occupies guest memory."""
        return bool(self.flags & SHF_ALLOC) and self.type != "SHT_NULL"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramHeader:
    """A program header; ``flags`` has PF_X 1, PF_W 2, PF_R 4."""

    index: int
    type: str | int
    flags: int
    offset: int
    address: int
    file_size: int
    memory_size: int
    align: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RawSymbol:
    """A symbol table row with its name."""

    name: str
    type: int
    binding: int
    shndx: int
    value: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ElfFile:
    """A file whose header, sections and segments have been read and bounds-checked."""

    origin: str
    content: bytes
    type: str
    entry: int
    sections: tuple[Section, ...]
    segments: tuple[ProgramHeader, ...]

    def malformed(self, what: str) -> MalformedElfError:
        """Return the error that says ``what`` is wrong with this file."""
        return MalformedElfError(self.origin, what)

    def bytes_of(self, section: Section) -> bytes:
        """Return the section's bytes in the file; none for a NOBITS section."""
        if section.type == "SHT_NOBITS":
            return b""
        return self.content[section.offset : section.offset + section.size]

    def rows_of(self, section: Section, dtype: np.dtype[np.void]) -> NDArray[np.void]:
        """Return a table section as records; its size and entry size must agree with ``dtype``."""
        if section.entry_size != dtype.itemsize or section.size % dtype.itemsize:
            raise self.malformed(
                f"section {section.index} {section.name} has {section.size:#x} bytes in entries of "
                f"{section.entry_size}, expected whole entries of {dtype.itemsize}"
            )
        return np.frombuffer(self.bytes_of(section), dtype)

    def symbols_of(self, section: Section) -> list[RawSymbol]:
        """Return the rows of a symbol table section, in order."""
        if not 0 < section.link < len(self.sections) or self.sections[section.link].type != "SHT_STRTAB":
            raise self.malformed(
                f"symbol table {section.index} links to section {section.link}, no string table"
            )
        return self.named_symbols(
            self.rows_of(section, SYMBOL),
            self.bytes_of(self.sections[section.link]),
            f"section {section.index}",
        )

    def named_symbols(self, rows: NDArray[np.void], strings: bytes, where: str) -> list[RawSymbol]:
        """Return symbol rows with their names looked up in ``strings``."""
        names = {0: ""}
        symbols = []
        for number, (name_at, info, _other, shndx, value, size) in enumerate(rows.tolist()):
            if name_at not in names:
                name = string_at(strings, name_at)
                if name is None:
                    raise self.malformed(
                        f"{where}: the name of symbol {number}, at {name_at:#x}, "
                        f"is no string of at most {MAX_NAME} bytes"
                    )
                names[name_at] = name
            symbols.append(
                RawSymbol(
                    name=names[name_at],
                    type=info & 15,
                    binding=info >> 4,
                    shndx=shndx,
                    value=value,
                    size=size,
                )
            )
        return symbols


def string_at(strings: bytes, at: int) -> str | None:
    """Return the NUL-terminated string at ``at``, or None if there is none."""
    end = strings.find(b"\0", at, at + MAX_NAME + 1)
    return (
        strings[at:end].decode("utf-8", "backslashreplace") if 0 <= at < len(strings) and end >= 0 else None
    )
