"""Relocatable files: sections placed in the areas, relocations applied.

Source: System V gABI, chapter 4, "Sections", "Symbol Table", "Relocation".
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from emu.arch.port import Port
from emu.build.elf.errors import UndefinedSymbolsError
from emu.build.elf.klp_sections import late_sections
from emu.build.elf.loaded import Area, Block, LoadedElf, Memory, sorted_symbols
from emu.build.elf.place import Cursor, addresses_of, place, symbol_table
from emu.build.elf.relocate import MACHINES, Machine
from emu.build.elf.relocations import Got, Plt, Relocation, apply, got_key, needs_plt, read_relocations
from emu.build.elf.sites import MCOUNT_LOC, PATCHABLE, SiteRecords, find_sites, table_entries
from emu.build.elf.symbols import loaded_symbols
from emu.build.elf.tables import ElfFile
from emu.build.klp import Foreign


def load_object(
    file: ElfFile,
    port: Port,
    text: Area,
    data: Area,
    externs: Mapping[str, int],
    foreign: Mapping[str, Foreign],
) -> LoadedElf:
    """Return a relocatable file, placed and relocated, but for what is left to livepatch."""
    machine = MACHINES[port.machine]
    cursors = {"text": Cursor(text), "data": Cursor(data)}
    blocks = place(file, cursors)
    table, symbols = symbol_table(file)
    addresses = addresses_of(file, symbols, blocks, cursors["data"], externs)
    found = list(read_relocations(file, machine, blocks, symbols, table, foreign))
    relocations = [relocation for relocation in found if not relocation.klp_section]
    undefined = {r.target for r in relocations if r.rule.form != "none" and addresses[r.number] is None}
    if undefined:
        raise UndefinedSymbolsError(file.origin, sorted(undefined))
    got = Got()
    for relocation in sorted(found, key=lambda r: got_key(machine, r)):  # the order that ld.lld takes
        if relocation.rule.form.startswith("got"):
            value = (addresses[relocation.number] or 0) + (relocation.addend if machine.got_addend else 0)
            value = 0 if relocation.klp_section else value
            got.add(got_key(machine, relocation), value)
    placed = list(blocks.values())
    got_base = 0
    if got.values:
        got_base = cursors["data"].take(file.origin, ".got", 8 * len(got.values), 8)
        placed.append(Block(got_base, bytearray(np.array(got.values, "<u8").tobytes()), "data", ".got"))
    plt = Plt(port.tracing.plt_entry, cursors["text"]) if port.tracing.plt_entry is not None else None
    for relocation in relocations:
        slot = got_base + got.slots.get(got_key(machine, relocation), 0)
        target = addresses[relocation.number] or 0
        if plt is not None and needs_plt(machine, relocation, target):
            target = plt.add(file.origin, target + relocation.addend) - relocation.addend
        apply(file, machine, relocation, target, slot)
    late = [relocation for relocation in found if relocation.klp_section]
    klp_sections = late_sections(late, file, machine, got_base, got, plt, foreign)
    memory = Memory([*placed, *(plt.blocks.values() if plt is not None else ())])
    defined = sorted_symbols(loaded_symbols(zip(symbols, addresses, strict=True)))
    sites = find_sites(port, file.origin, _records(file, port, machine, blocks, relocations), memory, defined)
    return LoadedElf(
        segments=memory.segments(), symbols=defined, mcount_loc=sites, entry=0, klp_sections=klp_sections
    )


def _records(
    file: ElfFile, port: Port, machine: Machine, blocks: Mapping[int, Block], relocations: list[Relocation]
) -> SiteRecords:
    """Return what the file records about its sites, after relocation."""
    entries: dict[str, list[int]] = {MCOUNT_LOC: [], PATCHABLE: []}
    for block in blocks.values():
        if block.name in entries:
            entries[block.name] += table_entries(file.origin, block.name, bytes(block.data))
    calls = []
    for relocation in relocations:
        start = relocation.offset - machine.call_offset
        if start >= 0 and relocation.name in machine.call_names and relocation.symbol.name in port.stub_names:
            site = relocation.block.address + start
            if (
                port.call_target(site, bytes(relocation.block.data[start : start + port.site.poke_size]))
                is not None
            ):
                calls.append(site)
    return SiteRecords(
        mcount=tuple(entries[MCOUNT_LOC]), patchable=tuple(entries[PATCHABLE]), calls=tuple(calls)
    )
