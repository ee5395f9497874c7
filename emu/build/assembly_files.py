"""The assembly that ships with klpemu."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

from emu.arch.port import Port
from emu.build.asm.assembler import Unit
from emu.errors import UnknownNameError

Exchanged = Mapping[str, str]
"""Files of ``asm/<port>`` -> the file of there that is read instead."""

AS_THEY_ARE: Exchanged = {}


def read_units(
    port: Port, folder: str, names: list[str] | None = None, *, exchanged: Exchanged = AS_THEY_ARE
) -> list[Unit]:
    """Return the assembly files of ``asm/<port>/<folder>``: the named ones in order, else all, sorted.

    Raises:
        UnknownNameError: there is no such folder or file.
    """
    root = _root(port)
    for part in filter(None, folder.split("/")):
        known = sorted(entry.name for entry in root.iterdir() if entry.is_dir())
        if part not in known:
            raise UnknownNameError("assembly folder", folder, known)
        root = root / part
    present = sorted(entry.name for entry in root.iterdir() if entry.name.endswith(".s"))
    for name in names or ():
        if name not in present:
            raise UnknownNameError("assembly file", name, present)
    paths = ["/".join(filter(None, (folder, name))) for name in (present if names is None else names)]
    return [_unit(port, exchanged.get(path, path)) for path in paths]


def check_exchanged(port: Port, exchanged: Exchanged) -> None:
    """Raise `UnknownNameError` unless there are all of these files."""
    known = sorted(_paths(_root(port), ""))
    for path in (path for pair in exchanged.items() for path in pair):
        if path not in known:
            raise UnknownNameError("assembly file", path, known)


def _root(port: Port) -> Traversable:
    return files("emu") / "asm" / port.name


def _paths(folder: Traversable, prefix: str) -> Iterator[str]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _paths(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".s"):
            yield f"{prefix}{entry.name}"


def _unit(port: Port, path: str) -> Unit:
    file = _root(port)
    for part in path.split("/"):
        file = file / part
    name = path.rpartition("/")[2].removesuffix(".s")
    return Unit(name=name, text=file.read_text(encoding="utf-8"), origin=f"asm/{port.name}/{path}")
