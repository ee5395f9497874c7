"""Room for code that comes and goes: trampolines and modules."""

from __future__ import annotations

from dataclasses import dataclass

from emu.build.memory_map import Area
from emu.machine.engine import Engine
from emu.units import page_up


@dataclass(frozen=True, slots=True, kw_only=True)
class TextBlock:
    """A block of an area; ``freed_at`` is the patching CPU's clock, -1 while it is in use."""

    address: int
    size: int
    freed_at: int = -1


class TextArea:
    """An allocator over one text area. Freed blocks are filled with traps.

    Blocks are whole pages; a freed one is used again only when nothing fresh is left, so that a CPU
    still inside meets a trap rather than somebody else's code.

    Args:
        engine: whose text.
        area: which part of it.
    """

    def __init__(self, engine: Engine, area: Area) -> None:
        self._engine, self.area = engine, area
        self._next = area.base
        self._blocks: dict[int, TextBlock] = {}
        self._freed: list[int] = []

    def allocate(self, size: int) -> int:
        """Return the address of room for ``size`` bytes of code, page-aligned, or 0."""
        whole = page_up(size)
        if self._next + whole <= self.area.end:
            address, self._next = self._next, self._next + whole
        else:
            address = self._reuse(whole)
        if address:
            self._blocks[address] = TextBlock(address=address, size=whole)
        return address

    def _reuse(self, whole: int) -> int:
        for address in self._freed:
            if self._blocks[address].size == whole:
                self._freed.remove(address)
                return address
        return 0

    def free(self, address: int) -> None:
        """Give a block back; every CPU meets traps there from now on."""
        block = self._blocks[address]
        assert block.freed_at < 0, f"{address:#x} is free already"
        self._engine.fetch.load(address, self._engine.port.trap_fill(block.size).tobytes())
        self._engine.tables.clear_probes(address, block.size)
        self._blocks[address] = TextBlock(address=address, size=block.size, freed_at=self._engine.clock(0))
        self._freed.append(address)

    def live(self) -> list[TextBlock]:
        """Return the blocks in use, by address."""
        return [block for _, block in sorted(self._blocks.items()) if block.freed_at < 0]

    def find(self, address: int) -> TextBlock | None:
        """Return the block, in use or freed, that holds ``address``."""
        for block in self._blocks.values():
            if block.address <= address < block.address + block.size:
                return block
        return None
