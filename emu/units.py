"""The unit in which guest memory is mapped, and how quantities are written."""

PAGE_SIZE = 0x1000
"""Smallest unit of mapping, in bytes (Unicorn, both ports)."""


def page_up(size: int) -> int:
    """Return ``size`` rounded up to whole pages, in bytes.

    >>> hex(page_up(0x1001))
    '0x2000'
    """
    return -(-size // PAGE_SIZE) * PAGE_SIZE


def counted(number: int, what: str) -> str:
    """Return a number with what it counts.

    >>> counted(1, "call"), counted(0, "call"), counted(12_000, "function")
    ('1 call', '0 calls', '12_000 functions')
    """
    return f"{number:_} {what}{'' if number == 1 else 's'}"
