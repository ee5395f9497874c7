"""What loading an ELF file gives: segments at their addresses, symbols, entry sites."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from emu.build.klp import KlpSection

AreaKind = Literal["text", "data"]
SymbolKind = Literal["func", "object", "notype"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedSegment:
    """Bytes at an address, relocated and ready to copy to guest memory."""

    address: int
    data: bytes
    kind: AreaKind
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ElfSymbol:
    """A defined symbol; ``size`` in bytes, 0 when the file does not say."""

    name: str
    address: int
    size: int
    kind: SymbolKind
    is_global: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedElf:
    """A file, loaded.

    Args:
        segments: by address; they do not overlap.
        symbols: by address, then name.
        mcount_loc: addresses of the entry sites, ascending.
        entry: where the file wants to be started; 0 in a relocatable file.
        klp_sections: relocations that are left to livepatch.
    """

    segments: tuple[LoadedSegment, ...]
    symbols: tuple[ElfSymbol, ...]
    mcount_loc: tuple[int, ...]
    entry: int
    klp_sections: tuple[KlpSection, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """Where the file's segments of one kind may lie; ``size`` in bytes."""

    kind: AreaKind
    base: int
    size: int

    @property
    def end(self) -> int:
        """The first address behind the area."""
        return self.base + self.size


def holds(area: Area, address: int, size: int) -> bool:
    """Tell whether ``size`` bytes at ``address`` lie inside ``area``."""
    return area.base <= address and address + size <= area.end


@dataclass(slots=True)
class Block:
    """A segment under construction: its bytes may still be relocated."""

    address: int
    data: bytearray
    kind: AreaKind
    name: str


@dataclass(slots=True)
class Memory:
    """The blocks of one file, found by address."""

    blocks: list[Block]
    _starts: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.blocks = sorted((b for b in self.blocks if b.data), key=lambda block: block.address)
        self._starts = [block.address for block in self.blocks]

    def find(self, address: int, size: int) -> Block | None:
        """Return the block that holds ``size`` bytes at ``address``, or None."""
        at = bisect_right(self._starts, address) - 1
        if at < 0 or size < 0:
            return None
        block = self.blocks[at]
        return block if address + size <= block.address + len(block.data) else None

    def read(self, address: int, size: int) -> bytes | None:
        """Return ``size`` bytes at ``address``, or None if they are not all in one block."""
        block = self.find(address, size)
        if block is None:
            return None
        offset = address - block.address
        return bytes(block.data[offset : offset + size])

    def write(self, address: int, data: bytes) -> bool:
        """Store ``data`` at ``address``; False, and nothing stored, if it is not all in one block."""
        block = self.find(address, len(data))
        if block is None:
            return False
        offset = address - block.address
        block.data[offset : offset + len(data)] = data
        return True

    def segments(self) -> tuple[LoadedSegment, ...]:
        """Return the finished segments, by address."""
        return tuple(
            LoadedSegment(address=b.address, data=bytes(b.data), kind=b.kind, name=b.name)
            for b in self.blocks
        )


def sorted_symbols(symbols: Iterable[ElfSymbol]) -> tuple[ElfSymbol, ...]:
    """Return ``symbols`` by address, then name."""
    return tuple(sorted(symbols, key=lambda symbol: (symbol.address, symbol.name)))
