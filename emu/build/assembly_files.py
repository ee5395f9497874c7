"""The assembly that ships with klpemu."""

from __future__ import annotations

from importlib.resources import files

from emu.arch.port import Port
from emu.build.asm.assembler import Unit
from emu.errors import UnknownNameError


def read_units(port: Port, folder: str, names: list[str] | None = None) -> list[Unit]:
    """Return the assembly files of ``asm/<port>/<folder>``: the named ones in order, else all, sorted.

    Raises:
        UnknownNameError: there is no such folder or file.
    """
    root = files("emu") / "asm" / port.name
    for part in filter(None, folder.split("/")):
        known = sorted(entry.name for entry in root.iterdir() if entry.is_dir())
        if part not in known:
            raise UnknownNameError("assembly folder", folder, known)
        root = root / part
    present = sorted(entry.name for entry in root.iterdir() if entry.name.endswith(".s"))
    for name in names or ():
        if name not in present:
            raise UnknownNameError("assembly file", name, present)
    names = present if names is None else names
    prefix = "/".join(filter(None, ("asm", port.name, folder)))
    return [
        Unit(
            name=name.removesuffix(".s"),
            text=(root / name).read_text(encoding="utf-8"),
            origin=f"{prefix}/{name}",
        )
        for name in names
    ]
