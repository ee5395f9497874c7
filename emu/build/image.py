"""An image: a kernel in miniature or a module, assembled and placed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from emu.arch.port import Port
from emu.build.asm.assembler import Symbol, Unit, assemble
from emu.build.assembly_files import read_units
from emu.build.contents import Manifest
from emu.build.memory_map import KERNEL_DATA, KERNEL_TEXT, USER_TEXT, Area
from emu.errors import EmuError
from emu.structs import shared_equates

ENGINE_RESERVED = 0x100
"""Bytes at the start of kernel data that the engine keeps its descriptor table in."""

SITE_PREFIX, WARN_PREFIX, BUG_PREFIX = "__mcount_loc_", "__warn_", "__bug_"
MARKS = (SITE_PREFIX, WARN_PREFIX, BUG_PREFIX)
"""What the labels begin with that are for the build, not for the kernel's symbol table."""


class ImageTooLargeError(EmuError):
    """Code or data does not fit the area it is meant for."""

    def __init__(self, name: str, area: Area, needed: int) -> None:
        super().__init__(
            f"{name}: {needed:#x} bytes do not fit the {area.name} area "
            f"of {area.size:#x} bytes at {area.base:#x}"
        )
        self.area, self.needed = area, needed


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """Code and data with their places and names.

    Args:
        name: of the image or module.
        text: (address, code) pieces, never overlapping.
        data: (address, content) pieces.
        symbols: functions, inner labels, variables.
        mcount_loc: address and number of entries of the ``__mcount_loc`` table.
        sites: address of each entry site by the function's name.
        traps: (address, place, is_bug) of each ``__warn_`` and ``__bug_`` label.
        lines: (address, file, line) of each instruction, ascending.
    """

    name: str
    text: tuple[tuple[int, bytes], ...]
    data: tuple[tuple[int, bytes], ...]
    symbols: dict[str, Symbol]
    mcount_loc: tuple[int, int]
    sites: dict[str, int]
    traps: tuple[tuple[int, str, bool], ...]
    lines: tuple[tuple[int, str, int], ...]

    def address(self, name: str) -> int:
        """Return the address of symbol ``name``; a `KeyError` is a mistake in klpemu."""
        return self.symbols[name].address


def port_equates(port: Port) -> dict[str, int]:
    """Return every constant that assembly of ``port`` may use."""
    return {
        **shared_equates(),
        **port.pt_regs.equates(),
        **port.switch_frame.equates(),
        **port.equates,
        "USER_TEXT_BASE": USER_TEXT.base,
        "USER_TEXT_END": USER_TEXT.end,
    }


def build_kernel(port: Port, manifest: Manifest) -> Image:
    """Assemble the kernel that ``manifest`` describes and place it by the memory map.

    Raises:
        EmuError: a source is not assemblable, or something does not fit.
    """
    variables = _place_variables(manifest)
    equates = port_equates(port) | {name: symbol.address for name, symbol in variables.items()}
    order = (files("emu") / "asm" / port.name / "order.txt").read_text(encoding="utf-8").split()
    user = assemble(port, read_units(port, "user"), base=USER_TEXT.base, equates=equates)
    equates |= {name: symbol.address for name, symbol in user.symbols.items()}
    kernel = assemble(port, read_units(port, "", order), base=KERNEL_TEXT.base, equates=equates)
    if len(kernel.code) > KERNEL_TEXT.size:
        raise ImageTooLargeError(manifest.name, KERNEL_TEXT, len(kernel.code))
    table_at = max(symbol.address + symbol.size for symbol in variables.values())
    sites = site_addresses(kernel.symbols)
    return Image(
        name=manifest.name,
        text=((kernel.base, kernel.code), (user.base, user.code)),
        data=((table_at, site_table(sites.values())),),
        symbols=kernel.symbols | user.symbols | variables,
        mcount_loc=(table_at, len(sites)),
        sites=sites,
        traps=trap_places(kernel.symbols),
        lines=tuple(user.lines + kernel.lines),
    )


def build_module(
    port: Port,
    name: str,
    units: list[Unit],
    *,
    text_base: int,
    data_base: int,
    externs: Mapping[str, int],
    constants: Mapping[str, int] | None = None,
) -> Image:
    """Assemble a module at its place.

    Args:
        port: what to assemble it for.
        name: of the module.
        units: its sources.
        text_base: where its code goes.
        data_base: where its only data goes, the ``__mcount_loc`` table.
        externs: addresses of what it may refer to.
        constants: further equates, e.g. ``KLP_VERSION``.
    """
    equates = {**port_equates(port), **externs, **(constants or {})}
    module = assemble(port, units, base=text_base, equates=equates)
    sites = site_addresses(module.symbols)
    return Image(
        name=name,
        text=((module.base, module.code),),
        data=((data_base, site_table(sites.values())),) if sites else (),
        symbols=module.symbols,
        mcount_loc=(data_base, len(sites)),
        sites=sites,
        traps=trap_places(module.symbols),
        lines=tuple(module.lines),
    )


def _place_variables(manifest: Manifest) -> dict[str, Symbol]:
    symbols, at = {}, KERNEL_DATA.base + ENGINE_RESERVED
    for name, size in manifest.variables.items():
        symbols[name] = Symbol(name=name, address=at, size=size, unit="variables")
        at += -(-size // 0x40) * 0x40  # a cache line of its own
    if at + 0x4000 > KERNEL_DATA.end:
        raise ImageTooLargeError(manifest.name, KERNEL_DATA, at - KERNEL_DATA.base)
    return symbols


def site_addresses(symbols: Mapping[str, Symbol]) -> dict[str, int]:
    """Return the entry sites among ``symbols``, by the function's name."""
    return {
        name.removeprefix(SITE_PREFIX): symbol.address
        for name, symbol in symbols.items()
        if name.startswith(SITE_PREFIX)
    }


def trap_places(symbols: Mapping[str, Symbol]) -> tuple[tuple[int, str, bool], ...]:
    """Return (address, place, is_bug) of every ``__warn_`` and ``__bug_`` label, by address."""
    return tuple(
        sorted(
            (symbol.address, name.removeprefix(prefix), prefix == BUG_PREFIX)
            for name, symbol in symbols.items()
            for prefix in (WARN_PREFIX, BUG_PREFIX)
            if name.startswith(prefix)
        )
    )


def site_table(sites: Iterable[int]) -> bytes:
    """Return the ``__mcount_loc`` table: site addresses, u64 little endian, ascending."""
    return np.array(sorted(sites), "<u8").tobytes()
