"""The symbol table of a run: every name that addresses in its trace may need, also of what has gone since."""

from __future__ import annotations

from collections.abc import Callable

from emu.build.image import MARKS, Image
from emu.trace.meta import Symbol


class SymbolBook:
    """Names of a run, each with one address for good.

    The kernel's and modules' symbols are called as they are, those of patch P "P:name". A name that is
    taken already gets its owner, and then a number, in front: "module:name", "module#2:name".

    Args:
        kernel: the image that runs.
    """

    def __init__(self, kernel: Image) -> None:
        self._table: dict[str, Symbol] = {}
        self._names: dict[int, str] = {}
        self._add(kernel, lambda name, _number: name)

    def add_module(self, name: str, image: Image) -> None:
        """Enter a module that has been loaded."""
        prefixes = ("", f"{name}:")
        self._add(image, lambda symbol, n: f"{prefixes[n - 1] if n <= 2 else f'{name}#{n - 1}:'}{symbol}")

    def add_patch(self, name: str, image: Image) -> None:
        """Enter a patch module that has been loaded."""
        self._add(image, lambda symbol, n: f"{name}{f'#{n}' if n > 1 else ''}:{symbol}")

    def name_at(self, address: int) -> str:
        """Return the name of the latest symbol at ``address``; the bare address if there is none."""
        return self._names.get(address, f"{address:#x}")

    def table(self) -> dict[str, Symbol]:
        """Return address, size and kind by name."""
        return dict(self._table)

    def _add(self, image: Image, spelling: Callable[[str, int], str]) -> None:
        names: dict[int, str] = {}
        own = [(key, symbol) for key, symbol in image.symbols.items() if not key.startswith(MARKS)]
        for key, symbol in sorted(own, key=lambda item: not item[1].size):  # functions before inner labels
            entry = Symbol(symbol.address, symbol.size, _kind(image, symbol.address, symbol.size))
            number = 1
            while self._table.setdefault(spelling(key, number), entry) != entry:
                number += 1
            names.setdefault(symbol.address, spelling(key, number))
        self._names |= names


def _kind(image: Image, address: int, size: int) -> str:
    if any(base <= address < base + len(code) for base, code in image.text):
        return "function" if size else "label"
    return "object"
