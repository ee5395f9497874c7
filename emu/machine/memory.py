"""Guest memory as the host sees it: one array for data, one for what text memory holds.

Each CPU fetches instructions from its own copy of text (see ``fetch``); the array
here is what a store to text has reached, the coherent value.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emu.build.memory_map import DATA_BASE, TEXT_WINDOWS, stacks_area
from emu.errors import EmuError
from emu.structs import Struct
from emu.units import PAGE_SIZE

TEXT_SIZE = sum(window.size for window in TEXT_WINDOWS)
"""Bytes of all text windows together."""


class GuestAddressError(EmuError):
    """The host asked for guest memory that does not exist."""

    def __init__(self, address: int, size: int) -> None:
        super().__init__(
            f"no guest memory at {address:#x}..{address + size:#x}; docs/guest-kernel.md has the memory map"
        )
        self.address, self.size = address, size


def page_aligned(size: int) -> NDArray[np.uint8]:
    """Return a zeroed uint8 array of shape ``(size,)`` that starts on a page."""
    raw = np.zeros(size + PAGE_SIZE, np.uint8)
    start = -raw.ctypes.data % PAGE_SIZE
    return raw[start : start + size]


def text_offset(address: int) -> int:
    """Return the offset of ``address`` in a text array, or -1 when it is not text."""
    offset = 0
    for window in TEXT_WINDOWS:
        if address in window:
            return offset + address - window.base
        offset += window.size
    return -1


def text_address(offset: int) -> int:
    """Return the address of an offset in a text array: the inverse of `text_offset`."""
    for window in TEXT_WINDOWS:
        if offset < window.size:
            return window.base + offset
        offset -= window.size
    raise ValueError(f"text arrays end {offset:#x} bytes before that")


class Memory:
    """The shared memory of one machine.

    Args:
        tasks: how many stack slots there are.
    """

    def __init__(self, *, tasks: int) -> None:
        self.stacks = stacks_area(tasks)
        self.data = page_aligned(self.stacks.end - DATA_BASE)
        self.text = page_aligned(TEXT_SIZE)

    def _slice(self, address: int, size: int) -> NDArray[np.uint8]:
        if address >= DATA_BASE and address + size <= self.stacks.end:
            return self.data[address - DATA_BASE : address - DATA_BASE + size]
        offset = text_offset(address)
        if offset < 0 or text_offset(address + max(size, 1) - 1) < 0:
            raise GuestAddressError(address, size)
        return self.text[offset : offset + size]

    def read(self, address: int, size: int) -> bytes:
        """Return ``size`` bytes at ``address``.

        Raises:
            GuestAddressError: part of it is not memory.
        """
        return self._slice(address, size).tobytes()

    def write(self, address: int, content: bytes) -> None:
        """Put ``content`` at ``address``; no CPU's fetched text changes by it."""
        self._slice(address, len(content))[:] = np.frombuffer(content, np.uint8)

    def load(self, address: int, size: int = 8) -> int:
        """Return the little-endian unsigned integer of ``size`` bytes at ``address``."""
        return int.from_bytes(self.read(address, size), "little")

    def store(self, address: int, value: int, size: int = 8) -> None:
        """Store the low ``size`` bytes of ``value`` at ``address``, little endian."""
        self.write(address, (value & (1 << 8 * size) - 1).to_bytes(size, "little"))

    def view(self, struct: Struct, address: int, count: int = 1) -> NDArray[np.void]:
        """Return ``count`` structs at ``address`` as a structured array, shape ``(count,)``, no copy."""
        return self._slice(address, struct.size * count).view(struct.dtype)
