"""An image: a kernel in miniature or a module, assembled and placed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files

import numpy as np

from emu.arch.port import Port
from emu.arch.registry import port_named
from emu.build.asm.assembler import Symbol, Unit, assemble
from emu.build.assembly_files import check_exchanged, read_units
from emu.build.contents import Manifest
from emu.build.klp import Foreign, KlpSection
from emu.build.memory_map import KERNEL_DATA, KERNEL_TEXT, USER_TEXT, Area
from emu.build.stubs import make_stubs
from emu.errors import EmuError
from emu.structs import shared_equates

ENGINE_RESERVED = 0x100
"""Bytes at the start of kernel data that the engine keeps its descriptor table in."""

_ROOM_BEHIND = 0x4000
"""Bytes that kernel variables leave for the ``__mcount_loc`` table."""

SITE_PREFIX, WARN_PREFIX, BUG_PREFIX = "__mcount_loc_", "__warn_", "__bug_"
MARKS = (SITE_PREFIX, WARN_PREFIX, BUG_PREFIX)
"""What the labels begin with that are for the build, not for the kernel's symbol table."""

_NUMBERED = re.compile(r"(.+)__([1-9][0-9]*)")
"""Labels of a module's static functions of one name: ``vic_dup__1``, ``vic_dup__2``."""


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
        symbols: functions, inner labels, variables, by a key of their own; several may share a name.
        mcount_loc: address and number of entries of the ``__mcount_loc`` table.
        sites: address of each entry site by the function's key.
        traps: (address, place, is_bug) of each ``__warn_`` and ``__bug_`` label.
        lines: (address, file, line) of each instruction, ascending.
        klp_sections: relocations that are left to livepatch.
    """

    name: str
    text: tuple[tuple[int, bytes], ...]
    data: tuple[tuple[int, bytes], ...]
    symbols: dict[str, Symbol]
    mcount_loc: tuple[int, int]
    sites: dict[str, int]
    traps: tuple[tuple[int, str, bool], ...]
    lines: tuple[tuple[int, str, int], ...]
    klp_sections: tuple[KlpSection, ...] = ()

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

    An image is never changed, so kernels of the same variables and sources are one and the same.

    Raises:
        EmuError: a source does not exist or is not assemblable, or something does not fit.
    """
    given = manifest.name, tuple(manifest.variables.items()), tuple(manifest.sources.items())
    return _build_kernel(port.name, *given)


@lru_cache(maxsize=16)
def _build_kernel(
    arch: str, name: str, sizes: tuple[tuple[str, int], ...], exchanged: tuple[tuple[str, str], ...]
) -> Image:
    port = port_named(arch)
    variables, table_at = _place_variables(dict(sizes), KERNEL_DATA.base + ENGINE_RESERVED)
    if table_at + _ROOM_BEHIND > KERNEL_DATA.end:
        raise ImageTooLargeError(name, KERNEL_DATA, table_at - KERNEL_DATA.base)
    equates = port_equates(port) | {name: symbol.address for name, symbol in variables.items()}
    order = (files("emu") / "asm" / port.name / "order.txt").read_text(encoding="utf-8").split()
    user = assemble(port, read_units(port, "user"), base=USER_TEXT.base, equates=equates)
    equates |= {name: symbol.address for name, symbol in user.symbols.items()}
    check_exchanged(port, dict(exchanged))
    units = read_units(port, "", order, exchanged=dict(exchanged))
    kernel = assemble(port, units, base=KERNEL_TEXT.base, equates=equates)
    if len(kernel.code) > KERNEL_TEXT.size:
        raise ImageTooLargeError(name, KERNEL_TEXT, len(kernel.code))
    sites = site_addresses(kernel.symbols)
    return Image(
        name=name,
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
    variables: Mapping[str, int] | None = None,
    foreign: Mapping[str, Foreign] | None = None,
) -> Image:
    """Assemble a module at its place.

    Args:
        port: what to assemble it for.
        name: of the module.
        units: its sources.
        text_base: where its code goes.
        data_base: where its data go: variables, then the ``__mcount_loc`` table.
        externs: addresses of what it may refer to.
        constants: further equates, e.g. ``KLP_VERSION``.
        variables: bytes of each of its variables, which begin as zeros.
        foreign: functions that it calls through stubs, which livepatch fills in once their objects are there.
    """
    own, table_at = _place_variables(variables or {}, data_base)
    stubs = make_stubs(port, units, foreign or {}, base=text_base)
    equates = {**port_equates(port), **externs, **(constants or {}), **stubs.addresses}
    equates |= {key: symbol.address for key, symbol in own.items()}
    module = assemble(port, units, base=text_base + len(stubs.code), equates=equates)
    sites = site_addresses(module.symbols)
    data = [(data_base, bytes(table_at - data_base))] if own else []
    data += [(table_at, site_table(sites.values()))] if sites else []
    return Image(
        name=name,
        text=((text_base, stubs.code + module.code),),
        data=tuple(data),
        symbols=_as_listed(module.symbols) | own | stubs.symbols,
        mcount_loc=(table_at, len(sites)),
        sites=sites,
        traps=trap_places(module.symbols),
        lines=tuple(module.lines),
        klp_sections=stubs.sections,
    )


def _place_variables(variables: Mapping[str, int], at: int) -> tuple[dict[str, Symbol], int]:
    """Return variables placed one behind the other from ``at``, and where the next one would go."""
    symbols = {}
    for name, size in variables.items():
        symbols[name] = Symbol(name=name, address=at, size=size, unit="variables")
        at += -(-size // 0x40) * 0x40  # a cache line of its own
    return symbols, at


def _as_listed(symbols: Mapping[str, Symbol]) -> dict[str, Symbol]:
    """Return a module's symbols under the names that kallsyms lists: ``f`` for labels ``f__1``, ``f__2``."""
    return {label: replace(symbol, name=numbered(label)[0]) for label, symbol in symbols.items()}


def numbered(label: str) -> tuple[str, int]:
    """Return the name that kallsyms lists a module's label under, and which one of that name, 0 = the only.

    >>> numbered("vic_dup__2"), numbered("vic_alpha")
    (('vic_dup', 2), ('vic_alpha', 0))
    """
    found = _NUMBERED.fullmatch(label)
    return (found[1], int(found[2])) if found else (label, 0)


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
