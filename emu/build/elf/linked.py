"""Linked files: executables as they lie, shared objects and PIEs moved to where their segments fit.

Source: System V gABI, chapter 5, "Program Header".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from emu.arch.port import Port
from emu.build.elf import tables as elf_tables
from emu.build.elf.dynamic import relocate_dynamic
from emu.build.elf.errors import SegmentPlacementError
from emu.build.elf.loaded import Area, Block, ElfSymbol, LoadedElf, Memory, holds, sorted_symbols
from emu.build.elf.sites import MCOUNT_LOC, PATCHABLE, SiteRecords, entry_calls, find_sites, table_entries
from emu.build.elf.symbols import loaded_symbols
from emu.build.elf.tables import ElfFile, ProgramHeader
from emu.units import PAGE_SIZE

PF_X, PF_W = 1, 2
MAX_SEGMENTS = 64
"""Most PT_LOAD segments accepted; linkers make two to six."""

METADATA = frozenset({
    "SHT_NOTE", "SHT_DYNSYM", "SHT_STRTAB", "SHT_HASH", "SHT_GNU_HASH", "SHT_RELA", "SHT_RELR",
    "SHT_GNU_versym", "SHT_GNU_verneed", "SHT_GNU_verdef",
})  # fmt: skip
"""Types of loaded sections that a loader reads and the code does not."""

U64 = (1 << 64) - 1


def load_linked(file: ElfFile, port: Port, text: Area, data: Area, externs: Mapping[str, int]) -> LoadedElf:
    """Return an executable or a shared object, with its dynamic relocations applied."""
    loads = _loads(file, text, data)
    bias = _bias(file, loads, text, data) if file.type == "ET_DYN" else 0
    memory = Memory([_block(file, load, bias, text, data) for load in loads])
    for below, above in zip(memory.blocks, memory.blocks[1:], strict=False):
        if below.address + len(below.data) > above.address:
            raise file.malformed(f"{below.name} and {above.name} overlap at {above.address:#x}")
    relocate_dynamic(file, port, memory, bias, externs)
    symbols = sorted_symbols(_symbols(file, bias))
    records = _records(file, port, memory, bias, symbols)
    return LoadedElf(
        segments=memory.segments(),
        symbols=symbols,
        mcount_loc=find_sites(port, file.origin, records, memory, symbols),
        entry=file.entry + bias & U64,
    )


def _areas(load: ProgramHeader, text: Area, data: Area) -> tuple[Area, ...]:
    """Return the areas whose protection suits the segment; read-only data may lie in both."""
    if load.flags & PF_X:
        return (text,)
    return (data,) if load.flags & PF_W else (text, data)


def _loads(file: ElfFile, text: Area, data: Area) -> list[ProgramHeader]:
    """Return the segments to load, checked one by one."""
    loads = [s for s in file.segments if s.type == "PT_LOAD" and s.memory_size]
    loads = [s for s in loads[: MAX_SEGMENTS + 1] if not _is_metadata(file, s)]
    if not loads:
        raise file.malformed("has no segment to load")
    if len(loads) > MAX_SEGMENTS:
        raise file.malformed(f"has more than {MAX_SEGMENTS} segments to load")
    for load in loads:
        if load.file_size > load.memory_size:
            raise file.malformed(
                f"{_name(load)} has {load.file_size:#x} bytes for {load.memory_size:#x} of memory"
            )
        if load.flags & PF_X and load.flags & PF_W:
            raise SegmentPlacementError(
                file.origin, segment=_name(load), found="is writable and executable",
                expected="text and data apart", remedy="link without -N (--omagic)",
            )  # fmt: skip
        largest = max(area.size for area in _areas(load, text, data))
        if load.memory_size > largest:
            raise SegmentPlacementError(
                file.origin, segment=_name(load), found=f"has {load.memory_size:#x} bytes",
                expected=f"at most {largest:#x}", remedy="load less or give the area more room",
            )  # fmt: skip
    total = sum(load.memory_size for load in loads)
    if total > text.size + data.size:
        raise SegmentPlacementError(
            file.origin, segment="the image", found=f"has {total:#x} bytes",
            expected=f"at most {text.size + data.size:#x}", remedy="load less or give the areas more room",
        )  # fmt: skip
    return loads


def _is_metadata(file: ElfFile, load: ProgramHeader) -> bool:
    """Tell whether a read-only segment holds headers and tables for loaders, and nothing for the code."""
    if load.flags & (PF_X | PF_W) or not file.sections:
        return False
    inside = [s for s in file.sections if s.is_loaded and 0 <= s.address - load.address < load.memory_size]
    return all(section.type in METADATA or section.name == ".interp" for section in inside)


def _name(load: ProgramHeader) -> str:
    """Return how messages call a segment."""
    rights = "".join(
        letter if load.flags & bit else "-" for letter, bit in (("r", 4), ("w", PF_W), ("x", PF_X))
    )
    return f"segment {load.index} ({rights})"


def _bias(file: ElfFile, loads: list[ProgramHeader], text: Area, data: Area) -> int:
    """Return the lowest load bias that puts every segment into an area of its kind."""
    step = max([PAGE_SIZE, *(load.align for load in loads)])
    if step > max(text.end, data.end) or step & step - 1:
        raise file.malformed(f"a segment is aligned to {step:#x}")
    candidates = {
        -(-(area.base - load.address) // step) * step for load in loads for area in _areas(load, text, data)
    }
    for bias in sorted(candidates):
        if all(
            any(holds(area, load.address + bias, load.memory_size) for area in _areas(load, text, data))
            for load in loads
        ):
            return bias
    spans = ", ".join(f"{_name(s)} at {s.address:#x}" for s in loads)
    raise SegmentPlacementError(
        file.origin, segment="the image", found=f"fits at no load address ({spans})",
        expected=f"text in {_span(text)} and writable data in {_span(data)} of one and the same shift",
        remedy=_remedy(text, data),
    )  # fmt: skip


def _span(area: Area) -> str:
    """Return an area's range as messages print it."""
    return f"{area.base:#x}-{area.end:#x}"


def _remedy(text: Area, data: Area) -> str:
    """Return how to link so that the segments lie in the areas."""
    first = text.base + PAGE_SIZE  # the headers, when they are mapped, come one page earlier
    return (
        f"link with -Wl,-Ttext={first:#x},-Tdata={data.base + PAGE_SIZE:#x},"
        f"--section-start=.rodata={data.base:#x}, or pass the .o"
    )


def _block(file: ElfFile, load: ProgramHeader, bias: int, text: Area, data: Area) -> Block:
    """Return a segment's bytes at their place."""
    address = load.address + bias
    for area in _areas(load, text, data):
        if holds(area, address, load.memory_size):
            content = bytearray(file.content[load.offset : load.offset + load.file_size])
            content.extend(bytes(load.memory_size - load.file_size))
            return Block(address, content, area.kind, _name(load))
    places = " or ".join(f"{area.kind} {_span(area)}" for area in _areas(load, text, data))
    raise SegmentPlacementError(
        file.origin, segment=_name(load), found=f"lies at {address:#x}-{address + load.memory_size:#x}",
        expected=f"inside {places}", remedy=_remedy(text, data),
    )  # fmt: skip


def _symbols(file: ElfFile, bias: int) -> Iterator[ElfSymbol]:
    """Yield the symbols of ``.symtab``, else of ``.dynsym``, else none."""
    tables = sorted(
        (s for s in file.sections if s.type in ("SHT_SYMTAB", "SHT_DYNSYM")),
        key=lambda s: s.type != "SHT_SYMTAB",
    )
    rows = file.symbols_of(tables[0]) if tables else []
    for row in rows:
        shift = 0 if row.shndx == elf_tables.SHN_ABS else bias
        yield from loaded_symbols([(row, row.value + shift & U64)])


def _records(
    file: ElfFile, port: Port, memory: Memory, bias: int, symbols: tuple[ElfSymbol, ...]
) -> SiteRecords:
    """Return what the file records about its sites, after relocation."""
    entries: dict[str, list[int]] = {MCOUNT_LOC: [], PATCHABLE: []}
    spans = [
        (s.name, s.address + bias, s.size)
        for s in file.sections
        if s.name in entries and s.is_loaded and s.size and s.type != "SHT_NOBITS"
    ]
    bounds = {s.name: s.address for s in symbols if s.name in ("__start_mcount_loc", "__stop_mcount_loc")}
    if len(bounds) == 2 and not any(name == MCOUNT_LOC for name, _, _ in spans):
        start, stop = bounds["__start_mcount_loc"], bounds["__stop_mcount_loc"]
        spans.append((MCOUNT_LOC, start, max(0, stop - start)))
    for name, address, size in spans:
        content = memory.read(address, size)
        if content is None:
            raise file.malformed(f"section {name} at {address:#x} is not in a segment")
        entries[name] += table_entries(file.origin, name, content)
    calls = () if any(entries.values()) else entry_calls(port, memory, symbols)
    return SiteRecords(mcount=tuple(entries[MCOUNT_LOC]), patchable=tuple(entries[PATCHABLE]), calls=calls)
