"""A piece of code to be timed: read from assembly, an object or an ELF file, and placed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from emu.arch.port import Port
from emu.arch.registry import PORTS
from emu.build.code_source import ElfCode, ObjectFile, SourceFile, code_source, read_code
from emu.build.elf.file import read_elf
from emu.build.elf.load import load_elf
from emu.build.toolchain import EntryScheme, compile_object
from emu.errors import EmuError, UnknownNameError
from emu.units import PAGE_SIZE

_TEXT_BASE, _DATA_BASE, _ROOM = 0x10_0000, 0x80_0000, 0x40_0000
_LOW_BASE, _HIGH_END = 0x1_0000, 0x2000_0000
"""Where linked files may lie: below the scratch area."""


class PieceError(EmuError):
    """A file can't be timed."""

    def __init__(self, path: Path, what: str, remedy: str) -> None:
        super().__init__(f"{path}: {what}; {remedy}")
        self.path, self.what = path, what


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Code with its data, placed.

    Args:
        path: where it is from.
        port: what runs it.
        segments: bytes by address; none share a page.
        text: address and bytes of all that may be executed.
        entry: address of the function.
        symbols: addresses by name.
    """

    path: Path
    port: Port
    segments: dict[int, bytes]
    text: tuple[int, bytes]
    entry: int
    symbols: dict[str, int]

    def address(self, symbol: str) -> int:
        """Return the address of ``symbol``, in the text."""
        base, content = self.text
        known = sorted(name for name, at in self.symbols.items() if base <= at < base + len(content))
        if symbol not in known:
            raise UnknownNameError(f"symbol of {self.path.name}", symbol, known)
        return self.symbols[symbol]

    def name_at(self, address: int) -> str:
        """Return the symbol at exactly ``address``, empty if there is none."""
        return next((name for name, at in sorted(self.symbols.items()) if at == address), "")

    def stretch_at(self, address: int) -> str:
        """Return the last symbol of the text at or before ``address``; its first address if there is none."""
        base, content = self.text
        places = [(at, name) for name, at in self.symbols.items() if base <= at < base + len(content)]
        return max((place for place in places if place[0] <= address), default=(base, f"{base:#x}"))[1]


def read_piece(path: Path, arch: str | None, entry: str | None) -> Piece:
    """Return the code in a file.

    Args:
        path: ``.s``, ``.S`` or ``.c`` for the toolchain, else an ELF file.
        arch: port; None: that of an ELF file, x86-64 for sources.
        entry: function to call; None: the only global function, else the start of the text.

    Raises:
        EmuError: it can't be read, compiled, loaded; it has no such function.
    """
    port = _port(path, arch)
    code = _content(port, path)
    kind = read_elf(code.content, origin=code.origin, machine=port.machine).type
    linked = kind == "ET_EXEC"
    low, room = (_LOW_BASE, _HIGH_END - _LOW_BASE) if linked else (_TEXT_BASE, _ROOM)
    loaded = load_elf(
        port, code.content, origin=code.origin, text_base=low, text_size=room,
        data_base=low if linked else _DATA_BASE, data_size=room, externs={},
    )  # fmt: skip
    texts = [s for s in loaded.segments if s.kind == "text"]
    if not texts:
        raise PieceError(path, "it has no code", "put instructions into .text")
    base = min(s.address for s in texts)
    end = max(s.address + len(s.data) for s in texts)
    content = bytearray(port.trap_fill(end - base).tobytes())
    for segment in texts:
        content[segment.address - base : segment.address - base + len(segment.data)] = segment.data
    symbols = {s.name: s.address for s in loaded.symbols if s.name}
    functions = [s for s in loaded.symbols if s.is_global and base <= s.address < end and s.kind != "object"]
    piece = Piece(
        path=path, port=port, segments=_merged([(base, bytes(content))], loaded.segments),
        text=(base, bytes(content)), entry=base, symbols=symbols,
    )  # fmt: skip
    if entry is not None:
        start = piece.address(entry)
    elif len(functions) == 1:
        start = functions[0].address
    else:
        start = texts[0].address
    return Piece(path=path, port=port, segments=piece.segments, text=piece.text, entry=start, symbols=symbols)


_SOURCES = (".s", ".S", ".c")
_FLAGS = {"arm64": ("-mcpu=generic+v8_5a",)}
"""Of the toolchain, by port: what the role tables know, not only the least that the kernel is built for."""


def _content(port: Port, path: Path) -> ElfCode:
    """Return an ELF file's bytes, or what a source compiles to."""
    source = code_source(path.name, ObjectFile(path=path) if _head(path).startswith(b"\x7fELF") else path)
    if isinstance(source, SourceFile) and path.is_file():
        if path.suffix not in _SOURCES:
            what = f"is no ELF file, and its name does not end in {', '.join(_SOURCES)}"
            raise PieceError(path, what, "name a source so, or pass an object")
        flags = _FLAGS.get(port.name, ())
        return ElfCode(
            content=compile_object(port, path, entry=EntryScheme.NONE, flags=flags), origin=str(path)
        )
    code = read_code(port, source, {}, entry=EntryScheme.NONE)
    assert isinstance(code, ElfCode), "a path is an ELF file or a source of one"
    return code


def _head(path: Path) -> bytes:
    """Return the first 20 bytes of a file: an ELF file's up to its machine."""
    try:
        with path.open("rb") as file:
            return file.read(20)
    except (OSError, ValueError):
        return b""  # whoever reads it all will say so


def _port(path: Path, arch: str | None) -> Port:
    if arch is not None:
        if arch not in PORTS:
            raise UnknownNameError("port", arch, sorted(PORTS))
        return PORTS[arch]
    head = _head(path)
    machines = {62: "x86_64", 183: "arm64"}  # gABI: e_machine
    if head.startswith(b"\x7fELF") and len(head) == 20:
        return PORTS[machines.get(int.from_bytes(head[18:20], "little"), "x86_64")]
    return PORTS["x86_64"]


def _merged(texts: list[tuple[int, bytes]], segments: object) -> dict[int, bytes]:
    """Return all bytes, joined where pieces share a page."""
    pieces = texts + [(s.address, s.data) for s in segments if s.kind != "text" and s.data]  # type: ignore[attr-defined]
    areas: list[tuple[int, bytearray]] = []
    for at, content in sorted(pieces):
        if areas and at < -(-(areas[-1][0] + len(areas[-1][1])) // PAGE_SIZE) * PAGE_SIZE:
            start, joined = areas[-1]
            joined.extend(bytes(max(at + len(content) - start - len(joined), 0)))
            joined[at - start : at - start + len(content)] = content
        else:
            areas.append((at, bytearray(content)))
    return {at: bytes(content) for at, content in areas}
