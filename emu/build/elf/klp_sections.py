"""The relocations of a file that are left to livepatch, as it wants them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from emu.build.elf import tables as elf_tables
from emu.build.elf.relocate import Machine
from emu.build.elf.relocations import Got, Plt, Relocation, got_key
from emu.build.elf.tables import ElfFile
from emu.build.klp import Foreign, KlpRelocation, KlpSection


def late_sections(
    late: Sequence[Relocation],
    file: ElfFile,
    machine: Machine,
    got_base: int,
    got: Got,
    plt: Plt | None,
    foreign: Mapping[str, Foreign],
) -> tuple[KlpSection, ...]:
    """Return the relocations that have a klp section, by section, in file order.

    Those to undefined symbols look as if their file had been made for livepatch.

    Args:
        late: them.
        file, machine: whose they are.
        got_base, got: the global offset table, with slots for those that need one.
        plt: entries are reserved in it for calls and jumps; None: they always reach.
        foreign: what undefined symbols mean.
    """

    def made(relocation: Relocation) -> KlpRelocation:
        raw = relocation.symbol
        is_foreign = raw.shndx == elf_tables.SHN_UNDEF and raw.name in foreign
        symbol = foreign[raw.name].symbol if is_foreign else raw.name
        is_branch = relocation.name in machine.plt_names
        is_got = relocation.rule.form.startswith("got")
        return KlpRelocation(
            place=relocation.block.address + relocation.offset,
            in_text=relocation.block.kind == "text",
            kind=relocation.name,
            symbol=symbol,
            is_marked=is_foreign or raw.shndx == elf_tables.SHN_LIVEPATCH,
            addend=relocation.addend,
            slot=got_base + got.slots[got_key(machine, relocation)] if is_got else 0,
            plt=plt.reserve(file.origin, f"{symbol}+{relocation.addend}") if plt and is_branch else 0,
        )

    return tuple(
        KlpSection(name=name, relocations=tuple(map(made, group)))
        for name, group in groupby(late, lambda relocation: relocation.klp_section)
    )
