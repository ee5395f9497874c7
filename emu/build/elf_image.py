"""A module made of an ELF file: loaded, its sites and trap labels found, as an `Image`."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from emu.arch.port import Port
from emu.build.asm.assembler import Symbol
from emu.build.code_source import ElfCode
from emu.build.elf.load import load_elf
from emu.build.elf.loaded import ElfSymbol, LoadedElf, LoadedSegment
from emu.build.image import Image, site_addresses, site_table, trap_places
from emu.build.klp import Foreign
from emu.build.memory_map import MODULE_DATA, Area


def build_elf_module(
    port: Port,
    name: str,
    code: ElfCode,
    *,
    text: Area,
    data: Area,
    externs: Mapping[str, int],
    foreign: Mapping[str, Foreign] | None = None,
) -> Image:
    """Load an ELF file at the start of two areas.

    Sites are those that the file records; besides, its symbols may mark sites and traps as the
    assembly of docs/guest-kernel.md does. The ``__mcount_loc`` table follows the file's own data.

    Args:
        port: what it must be for.
        name: of the module.
        code: the file.
        text: where its code goes.
        data: where everything else goes.
        externs: addresses of what it may refer to.
        foreign: undefined symbols that livepatch looks up once their objects are there.

    Raises:
        EmuError: the file is malformed, foreign, does not fit, or refers to what is not there.
    """
    loaded = load_elf(
        port, code.content, origin=code.origin, text_base=text.base, text_size=text.size,
        data_base=data.base, data_size=data.size, externs=externs, foreign=foreign,
    )  # fmt: skip
    segments = [segment for segment in loaded.segments if segment.kind == "text"]
    symbols = _symbols(loaded, segments, name)
    marked = site_addresses(symbols)
    locations = sorted({*loaded.mcount_loc, *marked.values()})
    sites = _owners(symbols, segments, loaded.mcount_loc) | marked
    pieces = [(s.address, s.data) for s in loaded.segments if s.kind == "data"]
    table_at = -(-max((at + len(content) for at, content in pieces), default=data.base) // 8) * 8
    if locations:
        pieces.append((table_at, site_table(locations)))
    return Image(
        name=name,
        text=((text.base, _joined(port, segments, text.base)),),
        data=tuple(pieces),
        symbols=symbols,
        mcount_loc=(table_at, len(locations)),
        sites=sites,
        traps=trap_places(symbols),
        lines=(),
        klp_sections=loaded.klp_sections,
    )


def _joined(port: Port, segments: Sequence[LoadedSegment], base: int) -> bytes:
    """Return all text as one piece, gaps filled with traps; a trap alone if the file has none."""
    end = max((_end(segment) for segment in segments), default=base + len(port.trap))
    content = bytearray(port.trap_fill(end - base).tobytes())
    for segment in segments:
        content[segment.address - base : _end(segment) - base] = segment.data
    return bytes(content)


def _end(segment: LoadedSegment) -> int:
    return segment.address + len(segment.data)


def _symbols(loaded: LoadedElf, text: Sequence[LoadedSegment], unit: str) -> dict[str, Symbol]:
    """Return the symbols by a key of their own: the name, of several the first global one's alone."""
    symbols: dict[str, Symbol] = {}
    count: Counter[str] = Counter()
    for symbol, size in sorted(_sized(loaded.symbols, text), key=lambda pair: not pair[0].is_global):
        count[symbol.name] += 1
        key = symbol.name if count[symbol.name] == 1 else f"{symbol.name}.{count[symbol.name]}"
        symbols.setdefault(key, Symbol(name=symbol.name, address=symbol.address, size=size, unit=unit))
    return symbols


def _sized(symbols: Sequence[ElfSymbol], text: Sequence[LoadedSegment]) -> Iterator[tuple[ElfSymbol, int]]:
    """Yield each symbol with its size; a function of unknown size ends where the next one begins.

    Source: kernel/kallsyms.c, get_symbol_pos (6.1), which knows no other sizes.
    """
    opens = {s.address for s in symbols if s.kind == "func" or (s.is_global and s.kind == "notype")}
    starts, places = sorted(opens), [segment.address for segment in text]
    for symbol in symbols:
        at = bisect_right(places, symbol.address) - 1
        room = _end(text[at]) - symbol.address if at >= 0 else 0
        if room <= 0:
            yield symbol, min(symbol.size, MODULE_DATA.size)
        elif symbol.size or symbol.address not in opens:
            yield symbol, min(symbol.size, room)
        else:
            after = bisect_right(starts, symbol.address)
            yield symbol, min(room, starts[after] - symbol.address) if after < len(starts) else room


def _owners(
    symbols: Mapping[str, Symbol], text: Sequence[LoadedSegment], locations: Sequence[int]
) -> dict[str, int]:
    """Return the first site of each function by the function's key; of several keys the first."""
    low, high = min((s.address for s in text), default=0), max(map(_end, text), default=0)
    keys: dict[int, str] = {}
    for key, symbol in symbols.items():
        if symbol.size and low <= symbol.address < high:
            keys.setdefault(symbol.address, key)
    starts, sites = sorted(keys), dict[str, int]()
    for place in locations:
        at = bisect_right(starts, place) - 1
        if at >= 0 and place < starts[at] + symbols[keys[starts[at]]].size:
            sites.setdefault(keys[starts[at]], place)
    return sites
