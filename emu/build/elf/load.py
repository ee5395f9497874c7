"""ELF input: an object, executable or shared object becomes segments, symbols and entry sites."""

from __future__ import annotations

from collections.abc import Mapping

from emu.arch.port import Port
from emu.build.elf.file import read_elf
from emu.build.elf.linked import load_linked
from emu.build.elf.loaded import Area, ElfSymbol, LoadedElf, LoadedSegment
from emu.build.elf.object import load_object
from emu.build.klp import Foreign

__all__ = ["ElfSymbol", "LoadedElf", "LoadedSegment", "load_elf"]


def load_elf(
    port: Port,
    content: bytes,
    *,
    origin: str,
    text_base: int,
    data_base: int,
    text_size: int,
    data_size: int,
    externs: Mapping[str, int],
    foreign: Mapping[str, Foreign] | None = None,
) -> LoadedElf:
    """Return ``content`` loaded into a text area and a data area.

    Sections of a relocatable file are placed from the start of their area, executable ones in text, all
    others in data, ``.got`` last. An executable stays where it was linked, which must be inside
    the areas; a shared object is shifted as a whole. Calls of entry stubs stay calls:
    ``ftrace_init`` turns the sites into NOPs.

    Args:
        port: the machine the file must be for.
        content: the file.
        origin: how messages name it.
        text_base: where the text area begins.
        data_base: where the data area begins.
        text_size: of the text area, bytes.
        data_size: of the data area, bytes.
        externs: addresses of symbols that other files define.
        foreign: undefined symbols that livepatch looks up once their objects are there.

    Raises:
        EmuError: of `emu.build.elf.errors`, whatever the bytes are.
    """
    file = read_elf(content, origin=origin, machine=port.machine)
    text = Area(base=text_base, size=text_size, kind="text")
    data = Area(base=data_base, size=data_size, kind="data")
    if file.type == "ET_REL":
        return load_object(file, port, text, data, externs, foreign or {})
    return load_linked(file, port, text, data, externs)
