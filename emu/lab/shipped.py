"""TOML files that ship with klpemu in a folder of ``images``: their names and texts."""

from __future__ import annotations

from importlib.resources import files

_SUFFIX = ".toml"


def shipped_names(folder: str) -> list[str]:
    """Return the names of the files in ``folder`` of ``images`` without their ending, sorted."""
    names = (entry.name for entry in (files("emu") / "images" / folder).iterdir())
    return sorted(name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX))


def shipped_text(folder: str, name: str) -> str:
    """Return the text of one of those that `shipped_names` lists."""
    return (files("emu") / "images" / folder / f"{name}{_SUFFIX}").read_text(encoding="utf-8")
