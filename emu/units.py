"""The quantities that cross layer borders: addresses and cycles."""

from typing import NewType

Addr = NewType("Addr", int)
"""A guest virtual address, in bytes from 0."""

Cycles = NewType("Cycles", int)
"""A CPU's local clock. One cycle per instruction while no timing model is active."""

PAGE_SIZE = 0x1000
"""Smallest unit of mapping, in bytes (Unicorn, both ports)."""


def page_up(size: int) -> int:
    """Return ``size`` rounded up to whole pages, in bytes.

    >>> hex(page_up(0x1001))
    '0x2000'
    """
    return -(-size // PAGE_SIZE) * PAGE_SIZE
