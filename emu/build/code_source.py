"""Where a module's code comes from: assembly of ours, an ELF object, or C that has yet to be compiled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from emu.arch.port import Port
from emu.build.asm.assembler import Unit
from emu.build.assembly_files import AS_THEY_ARE, Exchanged, read_units
from emu.build.elf.errors import one_line
from emu.build.toolchain import EntryScheme, compile_object
from emu.errors import EmuError

ARCH = "{arch}"
"""Stands for the port's name in the path of an object or source."""


class UnreadableFileError(EmuError):
    """A file that a manifest or scenario names can't be read."""

    def __init__(self, path: Path, reason: str) -> None:
        remedy = "name a file that exists; paths in a file are relative to it"
        super().__init__(one_line(f"{path}: can't be read: {reason}; {remedy}"))
        self.path = path


@dataclass(frozen=True, slots=True, kw_only=True)
class AssemblyFolder:
    """The ``.s`` files of ``asm/<port>/<folder>``, or those ``names`` of them (without ``.s``)."""

    folder: str
    names: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AssemblyText:
    """Assembly in the dialect of docs/guest-kernel.md."""

    units: tuple[Unit, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectFile:
    """An ELF relocatable file: its path, or its bytes and what to call them."""

    path: Path
    content: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """C or GNU assembly (``.c``, ``.s``, ``.S``), which the toolchain compiles.

    Args:
        path: of it.
        entry: how traced functions begin; None: as the kernel that it is for wants it.
        defines: macros, name -> value.
    """

    path: Path
    entry: EntryScheme | None = None
    defines: Mapping[str, int | str] = field(default_factory=dict)


CodeSource = AssemblyFolder | AssemblyText | ObjectFile | SourceFile
GivenCode = CodeSource | Path | str | bytes | Sequence[Unit]
"""What `code_source` takes."""

OBJECT_SUFFIXES = frozenset({".o", ".ko", ".elf", ".so"})
"""Of ELF files; every other path is a source."""


def code_source(name: str, code: GivenCode) -> CodeSource:
    """Return what ``code`` is.

    Args:
        name: of the module, for messages about bytes.
        code: path of an ELF object (``.o``) or of C or GNU assembly (``.c``, ``.s``, ``.S``); an ELF object's
            bytes; assembly in the dialect of docs/guest-kernel.md; or a `CodeSource`, which can say more.
    """
    match code:
        case bytes():
            return ObjectFile(path=Path(name), content=code)
        case str() | Path():
            path = Path(code)
            return ObjectFile(path=path) if path.suffix in OBJECT_SUFFIXES else SourceFile(path=path)
        case AssemblyFolder() | AssemblyText() | ObjectFile() | SourceFile():
            return code
        case _:
            return AssemblyText(units=tuple(code))


@dataclass(frozen=True, slots=True, kw_only=True)
class ElfCode:
    """An ELF file's bytes; ``origin`` is how messages name it."""

    content: bytes
    origin: str


Code = tuple[Unit, ...] | ElfCode
"""Code that is ready to be placed."""


def read_code(
    port: Port,
    source: CodeSource,
    constants: Mapping[str, int],
    *,
    entry: EntryScheme,
    exchanged: Exchanged = AS_THEY_ARE,
) -> Code:
    """Return the code that ``source`` means on ``port``, compiled if need be.

    Args:
        port: what to read it for.
        source: where it is.
        constants: macros for a compiler, besides those of the source itself.
        entry: how traced functions begin when the source does not say.
        exchanged: files of a folder that others take the place of.

    Raises:
        UnreadableFileError: a file is missing or forbidden.
        MissingOptionalError: C, and no toolchain.
        EmuError: it can't be compiled.
    """
    match source:
        case AssemblyFolder():
            names = None if source.names is None else [f"{name}.s" for name in source.names]
            return tuple(read_units(port, source.folder, names, exchanged=exchanged))
        case AssemblyText():
            return source.units
        case ObjectFile():
            path = _for_port(source.path, port)
            content = _content(path) if source.content is None else source.content
            return ElfCode(content=content, origin=str(path))
        case SourceFile():
            path = _for_port(source.path, port)
            _content(path)
            defines = {**constants, **source.defines}
            compiled = compile_object(port, path, entry=source.entry or entry, defines=defines)
            return ElfCode(content=compiled, origin=str(path))


def _for_port(path: Path, port: Port) -> Path:
    return Path(str(path).replace(ARCH, port.name))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise UnreadableFileError(path, getattr(error, "strerror", None) or str(error)) from error
