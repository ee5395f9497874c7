"""Reading an ELF file's header tables, each checked against the file's length before it is followed.

pyelftools supplies the structures and the names; links between sections are followed in our own code,
because its section classes follow them without a bound.

Source: System V gABI, chapters 4 (object files) and 5 (program loading).
"""

from __future__ import annotations

import io
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.common.utils import struct_parse
from elftools.elf.structs import ELFStructs

from emu.build.elf.errors import ForeignElfError, MalformedElfError
from emu.build.elf.tables import ElfFile, ProgramHeader, Section, string_at

HEADER_SIZE, SECTION_SIZE, SEGMENT_SIZE = 64, 64, 56  # gABI: Elf64_Ehdr, Elf64_Shdr, Elf64_Phdr

MAX_PROGRAM_HEADERS = 128
"""Most program headers accepted; they are searched for each dynamic relocation."""


def read_elf(content: bytes, *, origin: str, machine: str) -> ElfFile:
    """Return the checked tables of ``content``, a little-endian 64-bit ELF file for ``machine``.

    Raises:
        MalformedElfError: a table or a section does not lie in the file.
        ForeignElfError: another class, byte order, machine or kind of file.
    """
    header = _header(content, origin, machine)
    structs = _structs(str(header["e_type"]), machine)
    at, count = header["e_shoff"], header["e_shnum"]
    if at and not count:
        raise MalformedElfError(
            origin, "has 65280 sections or more, or has lost their count", "link it with ld -r first"
        )
    fits = header["e_shentsize"] == SECTION_SIZE
    _check_table(content, origin, "section", at=at, size=count * SECTION_SIZE, entry_size_fits=fits)
    section_rows = _rows(content, structs.Elf_Shdr, at, count)
    at, count = header["e_phoff"], header["e_phnum"]
    if count > MAX_PROGRAM_HEADERS:
        raise MalformedElfError(
            origin, f"has {count} program headers, at most {MAX_PROGRAM_HEADERS} make sense"
        )
    fits = header["e_phentsize"] == SEGMENT_SIZE
    _check_table(content, origin, "program", at=at, size=count * SEGMENT_SIZE, entry_size_fits=fits)
    segment_rows = _rows(content, structs.Elf_Phdr, at, count)
    return ElfFile(
        origin=origin,
        content=content,
        type=header["e_type"],
        entry=header["e_entry"],
        sections=_sections(content, origin, section_rows, header["e_shstrndx"]),
        segments=_segments(content, origin, segment_rows),
    )


def _structs(kind: str, machine: str) -> ELFStructs:
    """Return pyelftools' structures for a little-endian 64-bit file."""
    structs = ELFStructs(little_endian=True, elfclass=64)
    structs.create_basic_structs()
    structs.create_advanced_structs(kind, machine, "ELFOSABI_SYSV")
    return structs


def _header(content: bytes, origin: str, machine: str) -> Any:
    """Return the file header, of a file that this loader takes."""
    if not content.startswith(b"\x7fELF"):
        found = "empty" if not content else f"{content[:4].hex(' ')} ..."
        what = {b"!<ar": "an archive", b"BC\xc0\xde": "LLVM bitcode"}.get(content[:4], found)
        raise ForeignElfError(
            origin, fact="the file", found=what, expected="an ELF file (7f 45 4c 46)",
            remedy="compile with -c and without -flto, and pass the .o or the linked file",
        )  # fmt: skip
    if len(content) < HEADER_SIZE:
        raise MalformedElfError(origin, f"has {len(content)} bytes, an ELF header alone has {HEADER_SIZE}")
    remedy = f"compile for {machine.removeprefix('EM_')}, or name the port that the file is for"
    for fact, at, names, expected in (
        ("the class", 4, {1: "ELF32", 2: "ELF64"}, 2),
        ("the byte order", 5, {1: "little-endian", 2: "big-endian"}, 1),
        ("the version", 6, {}, 1),
    ):
        if content[at] != expected:
            raise ForeignElfError(
                origin, fact=fact, found=names.get(content[at], str(content[at])),
                expected=names.get(expected, str(expected)), remedy=remedy,
            )  # fmt: skip
    try:
        header = struct_parse(_structs("ET_REL", machine).Elf_Ehdr, io.BytesIO(content), 0)
    except ELFError as error:
        raise MalformedElfError(origin, f"the header is damaged ({error})") from error
    if header["e_machine"] != machine:
        raise ForeignElfError(
            origin, fact="the machine", found=str(header["e_machine"]), expected=machine, remedy=remedy
        )
    if header["e_type"] not in ("ET_REL", "ET_EXEC", "ET_DYN"):
        raise ForeignElfError(
            origin, fact="the type", found=str(header["e_type"]), expected="ET_REL, ET_EXEC or ET_DYN",
            remedy="pass an object file, an executable or a shared object",
        )  # fmt: skip
    return header


def _check_table(
    content: bytes, origin: str, what: str, *, at: int, size: int, entry_size_fits: bool
) -> None:
    """Raise unless a header table of ``size`` bytes at ``at`` lies in the file."""
    if size and not entry_size_fits:
        raise MalformedElfError(origin, f"its {what} headers are not of the size of ELF64's")
    if size and at + size > len(content):
        raise MalformedElfError(
            origin,
            f"the {what} header table ends at {at + size:#x}, the file at {len(content):#x}",
            "the file is cut short: copy or build it again",
        )


def _rows(content: bytes, struct: Any, at: int, count: int) -> list[Any]:
    """Return ``count`` rows of a header table."""
    stream = io.BytesIO(content)
    return [struct_parse(struct, stream, at + number * struct.sizeof()) for number in range(count)]


def _sections(content: bytes, origin: str, rows: list[Any], names_at: int) -> tuple[Section, ...]:
    """Return the sections, each inside the file and together no longer than it."""
    names = b""
    if names_at < len(rows) and rows[names_at]["sh_type"] != "SHT_NOBITS":
        start = rows[names_at]["sh_offset"]
        names = content[start : start + rows[names_at]["sh_size"]]
    total = 0
    sections = []
    for index, row in enumerate(rows):
        name = string_at(names, row["sh_name"])
        section = Section(
            index=index, name=f"#{index}" if name is None else name, type=row["sh_type"],
            flags=row["sh_flags"], address=row["sh_addr"], offset=row["sh_offset"], size=row["sh_size"],
            link=row["sh_link"], info=row["sh_info"], align=max(1, row["sh_addralign"]),
            entry_size=row["sh_entsize"],
        )  # fmt: skip
        sections.append(section)
        if section.align & section.align - 1:
            raise MalformedElfError(
                origin, f"section {index} {section.name} is aligned to {section.align:#x}, no power of 2"
            )
        if section.type in ("SHT_NULL", "SHT_NOBITS"):
            continue
        total += section.size
        if section.offset + section.size > len(content):
            raise MalformedElfError(
                origin,
                f"section {index} {section.name} ends at {section.offset + section.size:#x}, "
                f"behind the file's end {len(content):#x}",
                "the file is cut short: copy or build it again",
            )
    if total > len(content):
        raise MalformedElfError(origin, f"its sections have {total:#x} bytes, the file has {len(content):#x}")
    return tuple(sections)


def _segments(content: bytes, origin: str, rows: list[Any]) -> tuple[ProgramHeader, ...]:
    """Return the program headers, each segment inside the file."""
    segments = []
    for index, row in enumerate(rows):
        segment = ProgramHeader(
            index=index, type=row["p_type"], flags=row["p_flags"], offset=row["p_offset"],
            address=row["p_vaddr"], file_size=row["p_filesz"], memory_size=row["p_memsz"],
            align=max(1, row["p_align"]),
        )  # fmt: skip
        segments.append(segment)
        if segment.offset + segment.file_size > len(content) and segment.type in ("PT_LOAD", "PT_DYNAMIC"):
            raise MalformedElfError(
                origin,
                f"segment {index} ends at {segment.offset + segment.file_size:#x}, "
                f"behind the file's end {len(content):#x}",
                "the file is cut short: copy or build it again",
            )
    return tuple(segments)
