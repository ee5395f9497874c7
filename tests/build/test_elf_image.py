"""An ELF file as a module's image: symbols, sizes, sites, its own ``__mcount_loc`` table."""

from __future__ import annotations

import struct

import pytest

from emu.arch import PORTS, Port
from emu.build.code_source import ElfCode
from emu.build.elf_image import build_elf_module
from emu.build.image import Image
from emu.build.memory_map import Area
from tests.build.test_elf_hostile import (
    CODE,
    EM,
    NOBITS,
    PROGBITS,
    STRTAB,
    SYMTAB,
    Sec,
    handmade,
    parts,
    symbol,
)

TEXT = Area(name="text", base=0x010A_0000, size=0x1_0000, kind="text")
DATA = Area(name="data", base=0x2040_0000, size=0x1_0000, kind="data")
GLOBAL_FUNC, LOCAL_FUNC, GLOBAL_NOTYPE, LOCAL_NOTYPE = 0x12, 0x02, 0x10, 0x00

pytestmark = pytest.mark.parametrize("port", PORTS.values(), ids=PORTS)


def image_of(port: Port, sections: list[Sec]) -> Image:
    """Return handmade sections as a module."""
    code = ElfCode(content=handmade(EM[port.name], sections), origin="x.o")
    return build_elf_module(port, "x", code, text=TEXT, data=DATA, externs={})


def with_symbols(port: Port, rows: list[tuple[str, int, int, int]], copies: int = 1) -> list[Sec]:
    """Return ``copies`` of the port's function, and (name, info, value, size) symbols in them."""
    names, table = b"\0", symbol(0, 0, 0)
    first_global = 1 + sum(info >> 4 == 0 for _, info, _, _ in rows)
    for name, info, value, size in sorted(rows, key=lambda row: row[1] >> 4):
        table += symbol(len(names), info, 1, value, size)
        names += name.encode() + b"\0"
    return [
        Sec(".text", PROGBITS, 6, CODE[port.name] * copies),
        Sec(".symtab", SYMTAB, 0, table, link=3, info=first_global, entsize=24),
        Sec(".strtab", STRTAB, 0, names),
    ]


def test_sites_lie_in_a_table_behind_the_files_own_data(port: Port) -> None:
    image = image_of(port, parts(port))

    at, count = image.mcount_loc
    own = [(place, content) for place, content in image.data if place != at]
    assert image.sites == {"fn": TEXT.base}
    assert count == 1
    assert dict(image.data)[at] == struct.pack("<Q", TEXT.base)
    assert all(place + len(content) <= at for place, content in own)
    assert image.text == ((TEXT.base, image.text[0][1]),)
    assert image.symbols["fn"].size == len(CODE[port.name])
    assert image.symbols["obj"].size == 8


def test_a_function_of_unknown_size_ends_where_the_next_begins(port: Port) -> None:
    size = len(CODE[port.name])
    rows = [("first", GLOBAL_FUNC, 0, 0), ("label", LOCAL_NOTYPE, 4, 0), ("second", GLOBAL_NOTYPE, size, 0)]

    symbols = image_of(port, with_symbols(port, rows, copies=2)).symbols

    assert {name: entry.size for name, entry in symbols.items()} == {
        "first": size,
        "label": 0,
        "second": size,
    }


def test_a_size_beyond_the_text_is_cut(port: Port) -> None:
    rows = [("f", GLOBAL_FUNC, 0, 1 << 60)]

    assert image_of(port, with_symbols(port, rows)).symbols["f"].size == len(CODE[port.name])


def test_of_several_symbols_of_one_name_the_global_one_has_it(port: Port) -> None:
    size = len(CODE[port.name])
    rows = [("f", LOCAL_FUNC, 0, size), ("f", LOCAL_FUNC, size, size), ("f", GLOBAL_FUNC, 2 * size, size)]

    symbols = image_of(port, with_symbols(port, rows, copies=3)).symbols

    assert {key: (entry.name, entry.address - TEXT.base) for key, entry in symbols.items()} == {
        "f": ("f", 2 * size), "f.2": ("f", 0), "f.3": ("f", size)
    }  # fmt: skip


def test_labels_mark_sites_and_traps_as_in_our_assembly(port: Port) -> None:
    rows = [
        ("f", GLOBAL_FUNC, 0, len(CODE[port.name])), ("__mcount_loc_f", GLOBAL_NOTYPE, 0, 0),
        ("__warn_here", GLOBAL_NOTYPE, 8, 0), ("__bug_there", GLOBAL_NOTYPE, 4, 0),
    ]  # fmt: skip

    image = image_of(port, with_symbols(port, rows))

    assert image.sites == {"f": TEXT.base}
    assert image.traps == ((TEXT.base + 4, "there", True), (TEXT.base + 8, "here", False))


def test_gaps_between_sections_are_traps(port: Port) -> None:
    code = CODE[port.name]
    sections = [Sec(".text", PROGBITS, 6, code), Sec(".text.b", PROGBITS, 6, code, align=64)]

    ((base, content),) = image_of(port, sections).text

    assert content[: len(code)] == code
    assert content[64:] == code
    assert set(content[len(code) : 64]) <= set(port.trap)
    assert base == TEXT.base


def test_a_file_without_text_has_one_trap(port: Port) -> None:
    image = image_of(port, [Sec(".data", PROGBITS, 3, b"data"), Sec(".bss", NOBITS, 3, size=0x3000)])

    assert image.text == ((TEXT.base, port.trap),)
    assert image.mcount_loc[1] == 0
    assert sum(len(content) for _, content in image.data) == 0x3004
