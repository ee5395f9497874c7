"""Relocatable ELF files made byte by byte, for tests that need what no compiler writes."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from emu.arch import Port

ALLOC, WRITE, EXEC, LIVEPATCH = 0x2, 0x1, 0x4, 0x0010_0000
SHN_UNDEF, SHN_LIVEPATCH = 0, 0xFF20
_PROGBITS, _SYMTAB, _STRTAB, _RELA = 1, 2, 3, 4
_MACHINES = {"x86_64": 62, "arm64": 183}


@dataclass(frozen=True, kw_only=True)
class Part:
    """A section with content."""

    name: str
    content: bytes
    flags: int


@dataclass(frozen=True, kw_only=True)
class Name:
    """A global symbol; ``part`` is a section's name, or a special section number."""

    name: str
    part: str | int
    value: int = 0
    size: int = 0
    kind: int = 2


@dataclass(frozen=True, kw_only=True)
class Rela:
    """One relocation; ``kind`` is the type's number."""

    offset: int
    kind: int
    symbol: str
    addend: int = 0


@dataclass(frozen=True, kw_only=True)
class Relas:
    """A section of relocations for the section ``target``."""

    name: str
    target: str
    rows: Sequence[Rela]
    flags: int = 0


def elf_object(port: Port, parts: Sequence[Part], names: Sequence[Name], relas: Sequence[Relas]) -> bytes:
    """Return the file: header, contents, section headers."""
    index = {part.name: at for at, part in enumerate(parts, 1)}
    number = {name.name: at for at, name in enumerate(names, 1)}
    symtab_at = len(parts) + len(relas) + 1
    strings, string_at = _strings([name.name for name in names])
    symbols = bytes(24)
    for n in names:
        shndx = index[n.part] if isinstance(n.part, str) else n.part
        symbols += struct.pack("<IBBHQQ", string_at[n.name], 1 << 4 | n.kind, 0, shndx, n.value, n.size)
    rows = [(part.name, _PROGBITS, part.flags, part.content, 0, 0, 16, 0) for part in parts]
    for section in relas:
        content = b"".join(
            struct.pack("<QIIq", r.offset, r.kind, number[r.symbol], r.addend) for r in section.rows
        )
        rows.append((section.name, _RELA, section.flags, content, symtab_at, index[section.target], 8, 24))
    rows.append((".symtab", _SYMTAB, 0, symbols, symtab_at + 1, 1, 8, 24))
    rows.append((".strtab", _STRTAB, 0, strings, 0, 0, 1, 0))
    headings, heading_at = _strings([row[0] for row in rows] + [".shstrtab"])
    rows.append((".shstrtab", _STRTAB, 0, headings, 0, 0, 1, 0))
    body, headers = b"", bytes(64)
    for name, kind, flags, content, link, info, align, entry in rows:
        body += bytes(-(64 + len(body)) % 16)
        headers += struct.pack(
            "<IIQQQQIIQQ", heading_at[name], kind, flags, 0, 64 + len(body), len(content), link, info, align,
            entry,
        )  # fmt: skip
        body += content
    body += bytes(-(64 + len(body)) % 16)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = ident + struct.pack(
        "<HHIQQQIHHHHHH", 1, _MACHINES[port.name], 1, 0, 0, 64 + len(body), 0, 64, 0, 0, 64, len(rows) + 1,
        len(rows),
    )  # fmt: skip
    return header + body + headers


def _strings(names: Sequence[str]) -> tuple[bytes, dict[str, int]]:
    table, places = b"\0", dict[str, int]()
    for name in names:
        places[name] = len(table)
        table += name.encode() + b"\0"
    return table, places
