"""klp relocations: what a patch module leaves to livepatch to fill in, once what it refers to is there.

Source: Documentation/livepatch/module-elf-format.rst (6.1).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from emu.build.elf.relocate import Machine, insert

SECTION_PREFIX, SYMBOL_PREFIX = ".klp.rela.", ".klp.sym."


@dataclass(frozen=True, slots=True, kw_only=True)
class KlpRelocation:
    """One place of a patch module.

    Args:
        place: its address.
        in_text: whether that is text.
        kind: name of the relocation type.
        symbol: name of the ELF symbol, ``.klp.sym.OBJECT.NAME,POSITION`` if it is well formed.
        is_marked: the symbol is in section SHN_LIVEPATCH.
        addend: of the relocation.
        slot: address of the 8 bytes in the global offset table that are for it, 0 = none.
        plt: address of the PLT entry to go through if the place does not reach the symbol, 0 = none.
    """

    place: int
    in_text: bool
    kind: str
    symbol: str
    is_marked: bool = True
    addend: int = 0
    slot: int = 0
    plt: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class KlpSection:
    """A section of them; ``name`` is ``.klp.rela.OBJECT.SECTION`` if it is well formed."""

    name: str
    relocations: tuple[KlpRelocation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """A symbol of an object that a patch patches.

    Args:
        object: the module.
        name: as its symbol table lists it.
        sympos: which of several of that name, from 1; 0: it must be the only one.
    """

    object: str
    name: str
    sympos: int = 0

    @property
    def symbol(self) -> str:
        """The name of the ELF symbol that stands for it."""
        return f"{SYMBOL_PREFIX}{self.object}.{self.name},{self.sympos}"

    def section(self, target: str) -> str:
        """Return the name of the section of relocations that it is used in, for section ``target``."""
        return f"{SECTION_PREFIX}{self.object}.{target.removeprefix('.')}"


def pointing_away(machine: Machine, base: int, code: bytes, sections: Iterable[KlpSection]) -> bytes:
    """Return ``code`` with its branches that have yet to be filled in going far away, not to themselves.

    Who reads code for where it goes, an unwinder say, needs that they leave their function; not where to.

    Args:
        machine: whose relocations they are.
        base, code: a piece of text.
        sections: with places in it or elsewhere.
    """
    filled = bytearray(code)
    for relocation in (relocation for section in sections for relocation in section.relocations):
        rule, at = machine.rules[relocation.kind], relocation.place - base
        if rule.form == "prel" and rule.reach is not None and 0 <= at <= len(code) - rule.size:
            furthest = (rule.reach[1] - 1) // rule.align * rule.align
            word = int.from_bytes(filled[at : at + rule.size], "little")
            filled[at : at + rule.size] = insert(rule, word, furthest).to_bytes(rule.size, "little")
    return bytes(filled)
