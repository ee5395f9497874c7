"""The relocations of a relocatable file: read and checked, then applied.

Source: System V gABI, chapter 4, "Relocation".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from emu.build.elf import tables as elf_tables
from emu.build.elf.errors import RelocationAlignmentError, RelocationOverflowError, UnsupportedRelocationError
from emu.build.elf.loaded import Block
from emu.build.elf.place import Cursor
from emu.build.elf.relocate import Machine, Rule, insert, value_of
from emu.build.elf.tables import ElfFile, RawSymbol, Section
from emu.build.klp import Foreign

U64 = (1 << 64) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Relocation:
    """One relocation of a placed section, its numbers looked up and checked."""

    block: Block
    offset: int
    name: str
    rule: Rule
    number: int
    symbol: RawSymbol
    addend: int
    klp_section: str = ""
    """Name of the section that leaves it to livepatch, "" if it is to be applied now."""

    @property
    def target(self) -> str:
        """The symbol's name, for messages."""
        return self.symbol.name or f"section {self.symbol.shndx}"


@dataclass(slots=True)
class Got:
    """The global offset table made for the file: one 8-byte slot per value asked for."""

    slots: dict[tuple[int, int], int] = field(default_factory=dict)
    values: list[int] = field(default_factory=list)

    def add(self, key: tuple[int, int], value: int) -> None:
        """Give ``key`` a slot that holds ``value``, once."""
        if key not in self.slots:
            self.slots[key] = 8 * len(self.values)
            self.values.append(value & U64)


@dataclass(slots=True)
class Plt:
    """The procedure linkage table made for the file: one entry per function that calls don't reach."""

    entry: Callable[[int], bytes]
    cursor: Cursor
    blocks: dict[int | str, Block] = field(default_factory=dict)

    def add(self, origin: str, target: int) -> int:
        """Return the address of code that jumps to ``target`` from anywhere."""
        return self._entry_for(origin, target, target)

    def reserve(self, origin: str, name: str) -> int:
        """Return the address of an entry for ``name``, whose address is not known yet."""
        return self._entry_for(origin, name, 0)

    def _entry_for(self, origin: str, key: int | str, target: int) -> int:
        if key not in self.blocks:
            code = bytearray(self.entry(target))
            address = self.cursor.take(origin, ".plt", len(code), len(code))
            self.blocks[key] = Block(address, code, "text", ".plt")
        return self.blocks[key].address


def needs_plt(machine: Machine, relocation: Relocation, symbol: int) -> bool:
    """Tell whether a call or jump does not reach ``symbol`` but may go through a PLT entry."""
    rule, target = relocation.rule, symbol + relocation.addend
    if relocation.name not in machine.plt_names or rule.reach is None or not 0 < target < 1 << 48:
        return False
    x = target - relocation.block.address - relocation.offset
    return not rule.reach[0] <= x < rule.reach[1]


def read_relocations(
    file: ElfFile,
    machine: Machine,
    blocks: Mapping[int, Block],
    symbols: list[RawSymbol],
    table: Section | None,
    foreign: Mapping[str, Foreign],
) -> Iterator[Relocation]:
    """Yield the relocations of every placed section, in file order.

    Left to livepatch are those of the file's own klp sections, and those to undefined ``foreign`` symbols.
    """
    for section in file.sections:
        if section.type not in ("SHT_RELA", "SHT_REL") or section.info not in blocks:
            continue
        block = blocks[section.info]
        if section.type == "SHT_REL":
            raise file.malformed(f"section {section.index} {section.name} has relocations without addends")
        if table is None or section.link != table.index:
            raise file.malformed(
                f"section {section.index} {section.name} links to {section.link}, no symbol table"
            )
        is_nobits = file.sections[section.info].type == "SHT_NOBITS"
        for offset, number, symbol, addend in file.rows_of(section, elf_tables.RELA).tolist():
            name = machine.names.get(number, f"type {number}")
            if symbol >= len(symbols):
                raise file.malformed(
                    f"{block.name}+{offset:#x}: {name} names symbol {symbol}, the table has {len(symbols)}"
                )
            rule = machine.rules.get(name)
            if rule is None or symbols[symbol].type in (elf_tables.STT_TLS, elf_tables.STT_GNU_IFUNC):
                raise UnsupportedRelocationError(
                    file.origin, section=block.name, offset=offset, kind=name, symbol=symbols[symbol].name
                )
            if offset + rule.size > len(block.data) or (is_nobits and rule.size):
                raise file.malformed(
                    f"{block.name}+{offset:#x}: {name} lies outside the section's {len(block.data):#x} bytes"
                )
            is_undefined = symbols[symbol].shndx == elf_tables.SHN_UNDEF
            owned = foreign.get(symbols[symbol].name) if is_undefined else None
            klp_section = owned.section(block.name) if owned is not None else ""
            if section.flags & elf_tables.SHF_RELA_LIVEPATCH:
                klp_section = section.name
            yield Relocation(
                block=block,
                offset=offset,
                name=name,
                rule=rule,
                number=symbol,
                symbol=symbols[symbol],
                addend=addend,
                klp_section=klp_section,
            )


def got_key(machine: Machine, relocation: Relocation) -> tuple[int, int]:
    """Return what tells one GOT slot from another: the symbol, and the addend if the slot holds it."""
    return relocation.number, relocation.addend if machine.got_addend else 0


def apply(file: ElfFile, machine: Machine, relocation: Relocation, symbol: int, slot: int) -> None:
    """Write one relocation's value into its place."""
    rule, block, offset = relocation.rule, relocation.block, relocation.offset
    place = block.address + offset
    x = value_of(rule, symbol=symbol, addend=relocation.addend, place=place, got=slot)
    is_weak_call = relocation.name in machine.call_names and symbol == 0 and machine.skips_weak
    if is_weak_call and relocation.symbol.binding == elf_tables.STB_WEAK:
        x = rule.size
    if rule.reach is not None and not rule.reach[0] <= x < rule.reach[1]:
        raise RelocationOverflowError(
            file.origin, section=block.name, offset=offset, kind=relocation.name, symbol=relocation.target,
            value=x, low=rule.reach[0], high=rule.reach[1], remedy=rule.remedy,
        )  # fmt: skip
    if x % rule.align:
        raise RelocationAlignmentError(
            file.origin, section=block.name, offset=offset, kind=relocation.name, symbol=relocation.target,
            value=x, align=rule.align,
        )  # fmt: skip
    word = int.from_bytes(block.data[offset : offset + rule.size], "little")
    block.data[offset : offset + rule.size] = insert(rule, word, x).to_bytes(rule.size, "little")
