"""The kernel's symbol table: which names lie where, object by object.

Source: kernel/kallsyms.c (6.1): lookups by name are per object, in address order; ``%pS`` and ``%ps`` of
lib/vsprintf.c.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable
from dataclasses import dataclass

from emu.errors import UnknownNameError


@dataclass(frozen=True, slots=True, kw_only=True)
class Symbol:
    """One name.

    Args:
        name: as linked; several symbols may share it.
        address: its first byte.
        size: bytes; 0: an inner label, found by name but never what an address lies in.
        object: the module that owns it; None = vmlinux.
        anonymous: found by name, but ``%pS`` prints the bare address (trampolines).
    """

    name: str
    address: int
    size: int
    object: str | None = None
    anonymous: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An address as its distance from the symbol that contains it."""

    symbol: Symbol
    offset: int


class Kallsyms:
    """Every object's symbols."""

    def __init__(self) -> None:
        self._objects: dict[str | None, list[Symbol]] = {None: []}
        self._addresses: list[tuple[int, int, Symbol]] = []
        self._serial = 0

    def add(self, name: str | None, symbols: Iterable[Symbol]) -> None:
        """Add ``symbols`` to the object ``name`` (None: vmlinux)."""
        table = self._objects.setdefault(name, [])
        for symbol in symbols:
            assert symbol.object == name, f"{symbol.name} belongs to {symbol.object}, not to {name}"
            table.append(symbol)
            if symbol.size:
                insort(self._addresses, (symbol.address, self._serial, symbol), key=lambda row: row[:2])
                self._serial += 1
        table.sort(key=lambda symbol: symbol.address)

    def remove(self, name: str) -> None:
        """Forget the object ``name``; nothing happens if it has no symbols."""
        self._objects.pop(name, None)
        self._addresses = [row for row in self._addresses if row[2].object != name]

    def discard(self, symbol: Symbol) -> None:
        """Forget one symbol."""
        self._objects[symbol.object].remove(symbol)
        self._addresses = [row for row in self._addresses if row[2] is not symbol]

    def find(self, object_name: str | None, name: str) -> list[Symbol]:
        """Return the symbols called ``name`` of one object, in address order."""
        return [symbol for symbol in self._objects.get(object_name, ()) if symbol.name == name]

    def objects(self) -> list[str | None]:
        """Return the objects that have symbols: None (vmlinux) first, then in order of arrival."""
        return list(self._objects)

    def symbols(self, object_name: str | None) -> list[Symbol]:
        """Return all symbols of one object, in address order."""
        return list(self._objects.get(object_name, ()))

    def address_of(self, name: str) -> int:
        """Return the address of the kernel's own symbol ``name``.

        Raises:
            UnknownNameError: vmlinux has none.
        """
        found = self.find(None, name)
        if not found:
            known = sorted({symbol.name for symbol in self._objects[None]})
            raise UnknownNameError("kernel symbol", name, known)
        return found[0].address

    def containing(self, address: int) -> Place | None:
        """Return the symbol that ``address`` lies in, or None. Of several, the one that starts last."""
        i = bisect_right(self._addresses, address, key=lambda row: row[0])
        while i:
            i -= 1
            symbol = self._addresses[i][2]
            if address < symbol.address + symbol.size:
                return Place(symbol=symbol, offset=address - symbol.address)
            if address - symbol.address > _FURTHEST:
                break
        return None

    def with_offset(self, address: int) -> str:
        """Return ``name+0x1/0x20 [module]``, as ``%pS`` prints; a bare address when no symbol is known."""
        place = self.containing(address)
        if place is None or place.symbol.anonymous:
            return f"{address:#x}"
        symbol = place.symbol
        return f"{symbol.name}+{place.offset:#x}/{symbol.size:#x}{_owner(symbol)}"

    def name_at(self, address: int) -> str:
        """Return ``name [module]``, as ``%ps`` prints; a bare address when no symbol is known."""
        place = self.containing(address)
        if place is None or place.symbol.anonymous:
            return f"{address:#x}"
        return f"{place.symbol.name}{_owner(place.symbol)}"


_FURTHEST = 0x10000
"""No symbol is larger than this, in bytes, so a search backwards may stop."""


def _owner(symbol: Symbol) -> str:
    return f" [{symbol.object}]" if symbol.object else ""
