"""Runs of bytes and strings in guest memory, read and written as single operations of 8 bytes or less."""

from __future__ import annotations

from emu.kernel.guest import Guest


def load_bytes(guest: Guest, address: int, size: int) -> bytes:
    """Return ``size`` bytes at ``address``."""
    content = b""
    while len(content) < size:
        left = size - len(content)
        width = next(w for w in (8, 4, 2, 1) if w <= left)
        content += guest.load(address + len(content), width).to_bytes(width, "little")
    return content


def load_string(guest: Guest, address: int, limit: int = 512) -> str:
    """Return the NUL-terminated ASCII string at ``address``, which is 8-byte aligned."""
    content = b""
    while b"\0" not in content and len(content) < limit:
        content += guest.load(address + len(content)).to_bytes(8, "little")
    return content.split(b"\0", 1)[0].decode("ascii")


def store_string(guest: Guest, address: int, text: str, what: str) -> None:
    """Store ``text`` and its NUL at ``address``, which has `string_size` bytes."""
    content = text.encode("ascii").ljust(string_size(text), b"\0")
    for offset in range(0, len(content), 8):
        word = int.from_bytes(content[offset : offset + 8], "little")
        guest.store(address + offset, word, what=what)


def string_size(text: str) -> int:
    """Return the bytes that ``text`` takes with its NUL, in whole words."""
    return (len(text) + 8) // 8 * 8
