"""Entry sites of a loaded file, as the kernel's ``__mcount_loc`` would list them.

Three records of sites exist: ``__mcount_loc`` (``-mrecord-mcount``, recordmcount),
``__patchable_function_entries`` (``-fpatchable-function-entry``, several of them with
``SHF_LINK_ORDER``), and none, where the calls of the entry stub tell.

Source: GCC manual, "Instrumentation Options"; scripts/recordmcount.c and
ftrace_call_adjust() of Linux 6.1.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from emu.arch.port import Port
from emu.build.elf.errors import BadSiteError, MalformedElfError
from emu.build.elf.loaded import ElfSymbol, Memory

MCOUNT_LOC = "__mcount_loc"
PATCHABLE = "__patchable_function_entries"
MAX_PREFIX = 256
"""Most bytes of NOPs looked at before a function (the M of ``-fpatchable-function-entry=N,M``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteRecords:
    """What a file says about its sites, each an address.

    Args:
        mcount: from ``__mcount_loc``.
        patchable: from ``__patchable_function_entries``; may point at NOPs before the function.
        calls: of an entry stub, by relocations.
    """

    mcount: tuple[int, ...]
    patchable: tuple[int, ...]
    calls: tuple[int, ...] = ()


def table_entries(origin: str, name: str, data: bytes) -> list[int]:
    """Return the addresses in a table of 8-byte entries; 0 stands for a function that was dropped."""
    if len(data) % 8:
        raise MalformedElfError(
            origin, f"section {name} has {len(data):#x} bytes, expected whole 8-byte entries"
        )
    return [entry for entry in np.frombuffer(data, "<u8").tolist() if entry]


def find_sites(
    port: Port, origin: str, records: SiteRecords, memory: Memory, symbols: Iterable[ElfSymbol]
) -> tuple[int, ...]:
    """Return the addresses of all sites, ascending, each once.

    Raises:
        BadSiteError: a record names an address that is not text, or code that cannot be patched.
    """
    functions = sorted((symbol for symbol in symbols if symbol.kind == "func"), key=lambda f: f.address)
    starts = [function.address for function in functions]
    sites = {*records.mcount, *records.calls}
    sites |= {_behind_prefix(port, entry, memory, functions, starts) for entry in records.patchable}
    for site in sorted(sites):
        at = bisect_right(starts, site) - 1
        _check(port, origin, site, memory, functions[at].name if at >= 0 else "before every function")
    return tuple(sorted(sites))


def entry_calls(port: Port, memory: Memory, symbols: Sequence[ElfSymbol]) -> tuple[int, ...]:
    """Return the calls of an entry stub that stand at a function's entry, in a linked file.

    An old-style ``mcount`` call stands behind the frame and cannot be told from other calls without
    its relocation, so it is not found.
    """
    stubs = {symbol.address for symbol in symbols if symbol.name in port.stub_names}
    if not stubs:
        return ()
    sites = (
        _skip_pad(port, s.address, memory) for s in symbols if s.kind == "func" and s.address not in stubs
    )
    size = port.site.poke_size
    return tuple(s for s in sites if (code := memory.read(s, size)) and port.call_target(s, code) in stubs)


def _skip_pad(port: Port, address: int, memory: Memory) -> int:
    """Return the address behind the landing pad at ``address``, if there is one."""
    for pad in port.site.landing_pads:
        if memory.read(address, len(pad)) == pad:
            return address + len(pad)
    return address


def _behind_prefix(
    port: Port, entry: int, memory: Memory, functions: Sequence[ElfSymbol], starts: Sequence[int]
) -> int:
    """Return the site of a patchable entry: at the function that the NOPs at ``entry`` lead up to."""
    after = bisect_right(starts, entry)
    inside = after > 0 and entry < starts[after - 1] + max(1, functions[after - 1].size)
    if not inside and after < len(starts) and starts[after] - entry <= MAX_PREFIX:
        prefix = memory.read(entry, starts[after] - entry)
        if prefix and port.site.nops.fullmatch(prefix):
            entry = starts[after]
    return _skip_pad(port, entry, memory)


def _check(port: Port, origin: str, site: int, memory: Memory, where: str) -> None:
    """Raise unless a poke at ``site`` would replace whole instructions that are meant for it."""
    block = memory.find(site, port.site.poke_size)
    if block is None or block.kind != "text":
        raise BadSiteError(
            origin, site=site, where=where, found="not in the file's text", expected="an entry in text",
            remedy="record sites with -fpatchable-function-entry, -mrecord-mcount or recordmcount",
        )  # fmt: skip
    code = bytes(block.data[site - block.address :][: port.site.body_offset])
    if port.call_target(site, code) is not None or code == port.site.prologue + port.site.nop:
        return
    if len(code) < port.site.body_offset or not port.site.nops.fullmatch(code):
        raise BadSiteError(
            origin, site=site, where=where, found=f"code {code.hex(' ')}",
            expected=f"a call or {port.site.body_offset} bytes of whole NOPs",
            remedy="compile with the entry flags of emu.build.toolchain.TARGETS",
        )  # fmt: skip
