"""The symbol table of a run: every name that addresses in its trace may need, also of what has gone since."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from emu.build.image import MARKS, Image
from emu.trace.meta import Symbol


class SymbolBook:
    """Names of a run, each with one address for good.

    The kernel's and modules' symbols are called as they are, those of patch P "P:name". A name that is
    taken already gets its owner, and then a number, in front: "module:name", "module#2:name". The trampoline
    of function F is "ftrace_trampoline:F", and module M's PLT entry for a caller "M:caller@plt".

    What is added comes back as the names it has here, by those it had.

    Args:
        kernel: the image that runs.
    """

    def __init__(self, kernel: Image) -> None:
        self._table: dict[str, Symbol] = {}
        self._names: dict[int, str] = {}
        self._add(_symbols_of(kernel), lambda name, _number: name)

    def add_module(self, name: str, image: Image) -> dict[str, str]:
        """Enter a module that has been loaded."""
        owned = _owned_by(name)
        return self._add(_symbols_of(image), lambda symbol, n: owned(symbol, n - 1) if n > 1 else symbol)

    def add_patch(self, name: str, image: Image) -> dict[str, str]:
        """Enter a patch module that has been loaded."""
        return self._add(_symbols_of(image), _owned_by(name))

    def add_trampoline(self, function: str, address: int, size: int) -> str:
        """Enter the trampoline of a traced function."""
        symbols = {function: Symbol(address, size, "trampoline")}
        return self._add(symbols, _owned_by("ftrace_trampoline"))[function]

    def add_plt(self, module: str, callers: Mapping[str, tuple[int, int]]) -> dict[str, str]:
        """Enter a module's PLT entries: address and size by the name of what they lead to."""
        symbols = {f"{name}@plt": Symbol(*place, "plt") for name, place in callers.items()}
        return self._add(symbols, _owned_by(module))

    def name_at(self, address: int) -> str:
        """Return the name of the latest symbol at ``address``; the bare address if there is none."""
        return self._names.get(address, f"{address:#x}")

    def table(self) -> dict[str, Symbol]:
        """Return address, size and kind by name."""
        return dict(self._table)

    def _add(self, symbols: Mapping[str, Symbol], spelling: Callable[[str, int], str]) -> dict[str, str]:
        names, by_address = dict[str, str](), dict[int, str]()
        for key, entry in sorted(symbols.items(), key=lambda item: not item[1].size):  # inner labels last
            number = 1
            while self._table.setdefault(spelling(key, number), entry) != entry:
                number += 1
            names[key] = spelling(key, number)
            by_address.setdefault(entry.address, names[key])
        self._names |= by_address
        return names


def _owned_by(owner: str) -> Callable[[str, int], str]:
    return lambda name, number: f"{owner}{f'#{number}' if number > 1 else ''}:{name}"


def _symbols_of(image: Image) -> dict[str, Symbol]:
    return {
        key: Symbol(symbol.address, symbol.size, _kind(image, symbol.address, symbol.size))
        for key, symbol in image.symbols.items()
        if not key.startswith(MARKS)
    }


def _kind(image: Image, address: int, size: int) -> str:
    if any(base <= address < base + len(code) for base, code in image.text):
        return "function" if size else "label"
    return "object"
