"""The unit in which guest memory is mapped, how words hold numbers, and how quantities are written."""

PAGE_SIZE = 0x1000
"""Smallest unit of mapping, in bytes (Unicorn, both ports)."""


def page_up(size: int) -> int:
    """Return ``size`` rounded up to whole pages, in bytes.

    >>> hex(page_up(0x1001))
    '0x2000'
    """
    return -(-size // PAGE_SIZE) * PAGE_SIZE


def unsigned64(value: int) -> int:
    """Return the u64 that holds ``value``, in two's complement if it is negative.

    >>> hex(unsigned64(-1)), unsigned64(2)
    ('0xffffffffffffffff', 2)
    """
    return value & (1 << 64) - 1


def signed64(word: int) -> int:
    """Return the number that a u64 holds when it is read as an s64.

    >>> signed64(0xFFFF_FFFF_FFFF_FFFF), signed64(2)
    (-1, 2)
    """
    return word - (1 << 64) if word >> 63 else word


def counted(number: int, what: str) -> str:
    """Return a number with what it counts.

    >>> counted(1, "call"), counted(0, "call"), counted(12_000, "function")
    ('1 call', '0 calls', '12_000 functions')
    """
    return f"{number:_} {what}{'' if number == 1 else 's'}"
