"""Where everything lies in guest memory: the one memory map of every port.

All of it is below 4 GiB, so an address fits one 32-bit immediate (x86-64) or a
MOVZ/MOVK pair (arm64). docs/guest-kernel.md draws it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from emu.units import PAGE_SIZE


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """A named range of guest addresses.

    Args:
        base: first address.
        size: bytes, whole pages.
        kind: text is executable and read-only, data is neither executable nor read-only.
    """

    name: str
    base: int
    size: int
    kind: Literal["text", "data"]

    @property
    def end(self) -> int:
        """First address behind the area."""
        return self.base + self.size

    def __contains__(self, address: int) -> bool:
        return self.base <= address < self.end


USER_TEXT = Area(name="user text", base=0x0040_0000, size=0x1_0000, kind="text")
KERNEL_TEXT = Area(name="kernel text", base=0x0100_0000, size=0x8_0000, kind="text")
TRAMPOLINES = Area(name="trampolines", base=0x0108_0000, size=0x2_0000, kind="text")
MODULES = Area(name="modules", base=0x010A_0000, size=0x6_0000, kind="text")
FAR_MODULES = Area(name="far modules", base=0x1200_0000, size=0x4_0000, kind="text")

TEXT_WINDOWS = (
    Area(name="kernel", base=0x0100_0000, size=0x10_0000, kind="text"),
    USER_TEXT,
    FAR_MODULES,
)
"""Contiguous runs of text areas, the hottest first; each CPU has a private copy of all."""

DATA_BASE = 0x2000_0000
KERNEL_DATA = Area(name="kernel data", base=DATA_BASE, size=0x2_0000, kind="data")
PERCPU_AREA = Area(name="per-CPU areas", base=0x2002_0000, size=0x4_0000, kind="data")
TASKS = Area(name="task structs", base=0x2008_0000, size=0x28_0000, kind="data")
CALL_TABLES = Area(name="call tables", base=0x2030_0000, size=0x10_0000, kind="data")
MODULE_DATA = Area(name="module data", base=0x2040_0000, size=0x40_0000, kind="data")
HEAP = Area(name="heap", base=0x2080_0000, size=0x80_0000, kind="data")
STACKS_BASE = 0x2100_0000

MAX_CPUS = 64

SLOT_SIZE = 0x8000
"""Bytes of a task's stack slot: guard, kernel stack, guard, user stack."""
KERNEL_STACK = (PAGE_SIZE, PAGE_SIZE + 0x4000)
"""Start and end of the kernel stack within a slot."""
USER_STACK = (0x6000, 0x8000)
"""Start and end of the user stack within a slot."""


def stacks_area(tasks: int) -> Area:
    """Return the area that holds the stack slots of ``tasks`` tasks."""
    return Area(name="stacks", base=STACKS_BASE, size=max(tasks, 1) * SLOT_SIZE, kind="data")
