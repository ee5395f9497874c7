"""An image's symbols as the kernel's symbol table wants them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from emu.build.image import MARKS, Image
from emu.kernel.kallsyms import Symbol

SECOND_NAMES: Mapping[str, str] = MappingProxyType({"ftrace_ops_list_func": "arch_ftrace_ops_list_func"})
"""Kernel functions that have a second name, which is the one that addresses are printed with.

Source: include/asm-generic/vmlinux.lds.h, where the linker makes the first of them from the second (6.1).
"""


def kernel_symbols(image: Image, owner: str | None) -> list[Symbol]:
    """Return functions, labels and variables of ``image`` as symbols of object ``owner`` (None: vmlinux)."""
    return [
        Symbol(name=symbol.name, address=symbol.address, size=symbol.size, object=owner)
        for symbol in image.symbols.values()
        if not symbol.name.startswith(MARKS)
    ]


def second_names(symbols: Iterable[Symbol]) -> list[Symbol]:
    """Return those of ``symbols`` that have a second name, under that; to be added behind them."""
    return [
        replace(symbol, name=SECOND_NAMES[symbol.name]) for symbol in symbols if symbol.name in SECOND_NAMES
    ]
