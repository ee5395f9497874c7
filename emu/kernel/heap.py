"""The kernel's allocator: every object on pages of its own, fenced off when it is freed.

An access to freed memory faults at once on whichever CPU makes it, so a use after
free is seen at its first instruction, in either mode and at no cost while nothing
is freed. With a CPU model objects are coloured: each is another number of cache lines before its page's end,
or all would share a few sets of the caches (docs/adr/0005).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from emu.build.memory_map import HEAP, Area
from emu.machine.engine import Engine
from emu.units import PAGE_SIZE, page_up

POISON_FREE = 0x6B
"""Byte that freed memory is filled with. Source: include/linux/poison.h."""

LINE = 64
"""Bytes between one colour and the next: a cache line. Source: every CPU model's TRM or manual."""

QUARANTINE = 256
"""Freed objects that stay fenced off before their pages are used again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """One object on the heap; ``freed_at`` is the patching CPU's clock, -1 while it lives."""

    address: int
    size: int
    what: str
    freed_at: int = -1


class Heap:
    """Pages of a data area.

    Args:
        engine: whose memory.
        area: which part of it.
    """

    def __init__(self, engine: Engine, area: Area = HEAP) -> None:
        self._engine, self._area = engine, area
        self._next = area.base
        self._coloured = engine.clocks is not None
        self._allocations = 0
        self._reusable: dict[int, list[int]] = {}
        self._quarantine: deque[int] = deque()
        self._objects: dict[int, Allocation] = {}

    def allocate(self, size: int, what: str) -> int:
        """Return the address of ``size`` zeroed bytes, or 0; without a CPU model they end at a page's end."""
        whole = page_up(size)
        pages = self._reusable.get(whole)
        if pages:
            base = pages.pop()
            self._fence(base, whole, accessible=True)
        elif self._next + whole <= self._area.end:
            base, self._next = self._next, self._next + whole
        else:
            return 0
        address = base + self._offset(whole - -(-size // 16) * 16)
        self._engine.order.before_reuse(0, base, whole)
        self._engine.memory.write(base, bytes(whole))
        self._objects[base] = Allocation(address=address, size=size, what=what)
        return address

    def _offset(self, room: int) -> int:
        """Return where on its pages an object is that leaves ``room`` bytes (16-aligned) of them."""
        if not self._coloured:
            return room
        self._allocations += 1
        return room - LINE * (self._allocations % (room // LINE + 1))

    def free(self, address: int) -> Allocation:
        """Poison an object and fence its pages off; returns what it was.

        Freeing what is not allocated is an impossible state of the installer, not of the guest.
        """
        base = address // PAGE_SIZE * PAGE_SIZE
        found = self._objects[base]
        assert (found.address, found.freed_at) == (address, -1), f"{address:#x} is not allocated"
        whole = page_up(found.size)
        self._engine.order.before_reuse(0, base, whole)
        self._engine.memory.write(base, bytes([POISON_FREE]) * whole)
        self._fence(base, whole, accessible=False)
        freed = Allocation(address=address, size=found.size, what=found.what, freed_at=self._engine.clock(0))
        self._objects[base] = freed
        self._quarantine.append(base)
        if len(self._quarantine) > QUARANTINE:
            oldest = self._quarantine.popleft()
            size = page_up(self._objects.pop(oldest).size)
            self._reusable.setdefault(size, []).append(oldest)
        return freed

    def live(self) -> list[Allocation]:
        """Return the objects in use, by address."""
        return [found for _, found in sorted(self._objects.items()) if found.freed_at < 0]

    def find(self, address: int) -> Allocation | None:
        """Return the object, living or freed, on whose pages ``address`` lies."""
        for base, found in self._objects.items():
            if base <= address < base + page_up(found.size):
                return found
        return None

    def what_was_at(self, address: int) -> str:
        """Return what began at ``address`` before it was freed, "" when that is not known any more."""
        found = self.find(address)
        return found.what if found is not None and found.address == address and found.freed_at >= 0 else ""

    def _fence(self, base: int, size: int, *, accessible: bool) -> None:
        for page in range(base, base + size, PAGE_SIZE):
            self._engine.protect(page, accessible=accessible)
