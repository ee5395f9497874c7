"""Names for the numbers in a trace: functions by address, versions by patch index."""

from collections import Counter
from collections.abc import Mapping

from emu.trace.meta import Meta, Symbol


def function_names(symbols: Mapping[str, Symbol]) -> dict[int, str]:
    """Return a name for each address that has one.

    Of several names the one of kind ``function`` wins, then the shortest, then the first by letters.
    """
    ranked = sorted(symbols.items(), key=lambda item: (item[1].kind != "function", len(item[0]), item[0]))
    names: dict[int, str] = {}
    for name, symbol in ranked:
        names.setdefault(symbol.address, name)
    return names


def function_name(symbols: Mapping[str, Symbol], address: int) -> str:
    """Return the name of the function at ``address``, or the address itself in hex.

    >>> function_name({"mini_leaf": Symbol(0x1000, 4, "function")}, 0x1000)
    'mini_leaf'
    >>> function_name({}, 0x1000)
    '0x1000'
    """
    return function_names(symbols).get(address, f"{address:#x}")


def version_names(meta: Meta) -> list[str]:
    """Return a name for each patch index, all different: of equal names all carry their index."""
    names = [patch["name"] for patch in meta["patches"]]
    count = Counter(names)
    return [name if count[name] == 1 else f"{name}#{index}" for index, name in enumerate(names)]


def version_name(names: list[str], index: int) -> str:
    """Return the name of one version; one that meta does not know is named by its number.

    >>> version_name(["original", "p"], 1), version_name(["original", "p"], 7)
    ('p', 'patch 7')
    """
    return names[index] if index < len(names) else f"patch {index}"
