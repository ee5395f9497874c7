"""Reading manifests, and the modules and patches that scenarios bring along, from TOML."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

from emu.build.code_source import AssemblyFolder, CodeSource, ObjectFile, SourceFile
from emu.build.contents import (
    BUFFER,
    CALLBACKS,
    MOST_ARGUMENTS,
    MOST_ROUNDS,
    VMLINUX,
    Call,
    CallbackSource,
    Manifest,
    ModuleSource,
    PatchSource,
    StateSource,
)
from emu.build.toolchain import EntryScheme
from emu.errors import EmuError, UnknownNameError

_KNOWN = ("name", "description", "base", "variables", "calls", "modules", "patches", "sources")
_CODE = ("folder", "object", "source")
_OF_SOURCE = ("entry", "defines")
_OF_PATCH = ("objects", "replace", "states", "unchecked")
_OF_OBJECT = ("callbacks", "pre_patch_returns")
"""Keys of an object of a patch that are no functions."""
_FUNCTION = re.compile(r"[^,]+(,[1-9][0-9]{0,8})?")
UNCHECKED = "if the kernel shall refuse it, give the patch unchecked = true"
"""What to do when a patch is malformed on purpose."""
_RETURNS = range(-4095, 1)
"""Of pre_patch: an errno, as the kernel's IS_ERR_VALUE understands it, or 0."""


class ManifestError(EmuError):
    """A manifest, or the modules and patches of a scenario, say something that can't be."""

    def __init__(self, origin: str, key: str, problem: str) -> None:
        super().__init__(f"{origin}: {key}: {problem}")
        self.origin, self.key = origin, key


def image_names() -> list[str]:
    """Return the names of the images that ship with klpemu, sorted."""
    root = files("emu") / "images"
    return sorted(entry.name for entry in root.iterdir() if (entry / "manifest.toml").is_file())


def load_manifest(name: str) -> Manifest:
    """Return the manifest of the shipped image ``name``, or raise `UnknownNameError`."""
    if name not in image_names():
        raise UnknownNameError("image", name, image_names())
    folder = Path(str(files("emu") / "images" / name))
    text = (folder / "manifest.toml").read_text(encoding="utf-8")
    return parse_manifest(text, origin=f"images/{name}/manifest.toml", folder=folder)


def parse_manifest(text: str, *, origin: str, folder: Path = Path()) -> Manifest:
    """Return the manifest that ``text`` (TOML) describes.

    With ``base = "<shipped image>"`` it has everything of that one, and its own on top.

    Args:
        text: the manifest.
        origin: how messages name it.
        folder: what the paths in it are relative to.

    Raises:
        ManifestError: it is no TOML, or a key is unknown, missing or of the wrong kind.
        UnknownNameError: ``base`` is not a shipped image.
    """
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # TOMLDecodeError, huge numbers, nesting without end
        raise ManifestError(origin, "TOML", str(error)) from error
    _only_known(table, _KNOWN, origin, "")
    name, base = table.get("name"), table.get("base")
    if not isinstance(name, str):
        raise ManifestError(origin, "name", "must be a string")
    if base is not None and (not isinstance(base, str) or base == name):
        raise ManifestError(origin, "base", "must name another image")
    own = Manifest(
        name=name,
        description=str(table.get("description", "")),
        origin=origin,
        variables=_variables(table.get("variables", {}), origin, "variables"),
        calls=_calls(table.get("calls", []), origin, "calls"),
        modules=parse_modules(table.get("modules", {}), origin=origin, folder=folder),
        patches=parse_patches(table.get("patches", {}), origin=origin, folder=folder),
        sources=_sources(table.get("sources", {}), origin),
    )
    return own if base is None else _on_top(load_manifest(base), own)


def _on_top(base: Manifest, own: Manifest) -> Manifest:
    return replace(
        own,
        variables=base.variables | own.variables,
        calls=base.calls + own.calls,
        modules=base.modules | own.modules,
        patches=base.patches | own.patches,
        sources={**base.sources, **own.sources},
    )


def parse_modules(rows: object, *, origin: str, folder: Path) -> dict[str, ModuleSource]:
    """Return the modules of a table ``modules``: code and calls by name; paths are relative to ``folder``."""
    found = {}
    for name, value in _tables(rows, origin, "modules").items():
        where = f"modules.{name}"
        _only_known(value, (*_CODE, *_OF_SOURCE, "calls", "variables"), origin, f"{where}.")
        code = _code(value, origin, where, folder) or AssemblyFolder(folder=name)
        if "variables" in value and not isinstance(code, AssemblyFolder):
            raise ManifestError(origin, f"{where}.variables", "are for a folder alone")
        found[name] = ModuleSource(
            name=name,
            code=code,
            calls=_calls(value.get("calls", []), origin, f"{where}.calls"),
            variables=_variables(value.get("variables", {}), origin, f"{where}.variables"),
        )
    return found


def parse_patches(rows: object, *, origin: str, folder: Path) -> dict[str, PatchSource]:
    """Return the patches of a table ``patches``: code and functions by name; paths as in `parse_modules`."""
    found = {}
    for name, value in _tables(rows, origin, "patches").items():
        where = f"patches.{name}"
        _only_known(value, (*_CODE, *_OF_SOURCE, *_OF_PATCH), origin, f"{where}.")
        unchecked = _flag(value, "unchecked", origin, where)
        tables = _object_tables(value.get("objects"), origin, where, unchecked=unchecked)
        callbacks = {key: _callbacks(row, origin, f"{where}.objects.{key}") for key, row in tables.items()}
        found[name] = PatchSource(
            name=name,
            objects={
                key: _functions(row, origin, f"{where}.objects.{key}", unchecked=unchecked)
                for key, row in tables.items()
            },
            code=_code(value, origin, where, folder),
            replace=_flag(value, "replace", origin, where),
            states=_states(value.get("states", []), origin, f"{where}.states"),
            callbacks={key: source for key, source in callbacks.items() if source is not None},
            unchecked=unchecked,
        )
    return found


def _only_known(table: Mapping[str, object], known: tuple[str, ...], origin: str, prefix: str) -> None:
    for key in table:
        if key not in known:
            raise ManifestError(origin, f"{prefix}{key}", f"unknown key; known: {', '.join(sorted(known))}")


def _tables(rows: object, origin: str, key: str) -> dict[str, dict[str, object]]:
    if not isinstance(rows, dict):
        raise ManifestError(origin, key, f"must be tables ([{key}.NAME])")
    for name, value in rows.items():
        if not isinstance(value, dict):
            raise ManifestError(origin, f"{key}.{name}", f"must be a table ([{key}.{name}])")
        if not name or not name.isprintable():
            raise ManifestError(origin, f"{key}.{name!r}", "must have a printable name")
        if name == VMLINUX:
            raise ManifestError(origin, f"{key}.{name}", "is the name of the kernel itself; choose another")
    return rows


def _code(value: Mapping[str, object], origin: str, where: str, folder: Path) -> CodeSource | None:
    """Return where the code is, None when no key says so."""
    given = [key for key in _CODE if key in value]
    if len(given) > 1:
        raise ManifestError(origin, where, f"has both {given[0]} and {given[1]}; give one")
    kind = given[0] if given else ""
    for key in _OF_SOURCE:
        if key in value and kind != "source":
            raise ManifestError(origin, f"{where}.{key}", "is for a source alone")
    if not kind:
        return None
    path = value[kind]
    if not isinstance(path, str) or not path:
        raise ManifestError(origin, f"{where}.{kind}", f"must be a path, not {path!r}")
    if kind == "folder":
        return AssemblyFolder(folder=path)
    if kind == "object":
        return ObjectFile(path=folder / path)
    return SourceFile(
        path=folder / path,
        entry=_entry(value["entry"], origin, f"{where}.entry") if "entry" in value else None,
        defines=_defines(value.get("defines", {}), origin, f"{where}.defines"),
    )


def _entry(value: object, origin: str, key: str) -> EntryScheme:
    names = [scheme.value for scheme in EntryScheme]
    if value not in names:
        raise ManifestError(origin, key, f"must be one of {', '.join(names)}, not {value!r}")
    return EntryScheme(value)


def _defines(value: object, origin: str, key: str) -> dict[str, int | str]:
    if not isinstance(value, dict) or not all(type(v) in (int, str) for v in value.values()):
        raise ManifestError(origin, key, "must be a table of macro = number or text")
    for name in value:
        if not name.isidentifier() or not name.isascii():
            raise ManifestError(origin, f"{key}.{name}", "must be the name of a macro")
    return dict(value)


def _sources(table: object, origin: str) -> dict[str, str]:
    if not isinstance(table, dict) or not all(isinstance(path, str) for path in table.values()):
        raise ManifestError(origin, "sources", "must be a table of file = file that takes its place")
    return dict(table)


def _variables(table: object, origin: str, key: str) -> dict[str, int]:
    if not isinstance(table, dict):
        raise ManifestError(origin, key, "must be a table of name = bytes")
    for name, size in table.items():
        if type(size) is not int or not 0 < size <= 0x4000:
            raise ManifestError(origin, f"{key}.{name}", f"must be 1 to 0x4000 bytes, not {size!r}")
    return dict(table)


def _calls(rows: object, origin: str, key: str) -> tuple[Call, ...]:
    if not isinstance(rows, list):
        raise ManifestError(origin, key, "must be an array of tables")
    return tuple(_call(row, origin, f"{key}[{at}]") for at, row in enumerate(rows))


def _call(row: object, origin: str, where: str) -> Call:
    if not isinstance(row, dict) or row.keys() - {"every"} != {"fn", "args", "expected"}:
        raise ManifestError(origin, where, "needs exactly fn, args and expected, and may have every")
    fn, args, expected, every = row["fn"], row["args"], row["expected"], row.get("every", 1)
    if not isinstance(fn, str):
        raise ManifestError(origin, f"{where}.fn", f"must name a function, not {fn!r}")
    if not isinstance(args, list) or len(args) > MOST_ARGUMENTS:
        raise ManifestError(origin, f"{where}.args", "must be an array of at most ten")
    for value in args:
        if value != BUFFER and (type(value) is not int or not 0 <= value < 1 << 64):
            raise ManifestError(origin, f"{where}.args", f'must hold u64 or "{BUFFER}", not {value!r}')
    if type(expected) is not int or not 0 <= expected < 1 << 32:
        raise ManifestError(origin, f"{where}.expected", f"must be a u32, not {expected!r}")
    if type(every) is not int or not 1 <= every <= MOST_ROUNDS:
        raise ManifestError(origin, f"{where}.every", f"must be 1 to {MOST_ROUNDS}, not {every!r}")
    return Call(fn=fn, args=tuple(args), expected=expected, every=every)


def _flag(value: Mapping[str, object], key: str, origin: str, where: str) -> bool:
    flag = value.get(key, False)
    if not isinstance(flag, bool):
        raise ManifestError(origin, f"{where}.{key}", f"must be true or false, not {flag!r}")
    return flag


def _object_tables(
    value: object, origin: str, where: str, *, unchecked: bool
) -> dict[str, dict[str, object]]:
    """Return the objects of a patch; only an ``unchecked`` one may have none, or such without anything."""
    tables = {} if value is None and unchecked else value
    if not isinstance(tables, dict) or not (tables or unchecked):
        raise ManifestError(origin, where, f"needs objects.<object>.<function> = <replacement>; {UNCHECKED}")
    for name, row in tables.items():
        if not isinstance(row, dict) or not (row or unchecked):
            problem = f"must map functions to replacements; {UNCHECKED}"
            raise ManifestError(origin, f"{where}.objects.{name}", problem)
    return tables


def _functions(row: Mapping[str, object], origin: str, where: str, *, unchecked: bool) -> dict[str, str]:
    """Return the replacement of each function of an object; an ``unchecked`` one may be empty: NULL."""
    found = {}
    for function, replacement in row.items():
        if function in _OF_OBJECT:
            continue
        key = f"{where}.{function}"
        if not isinstance(replacement, str) or not (replacement or unchecked):
            remedy = "" if replacement else f"; {UNCHECKED}"
            raise ManifestError(origin, key, f"must name the replacement, not {replacement!r}{remedy}")
        if not _FUNCTION.fullmatch(function):
            raise ManifestError(origin, key, 'must be a function, or "function,position" from 1')
        found[function] = replacement
    return found


def _callbacks(row: Mapping[str, object], origin: str, where: str) -> CallbackSource | None:
    """Return the callbacks of an object, None if it has none."""
    names, returns = row.get("callbacks", []), row.get("pre_patch_returns", 0)
    if not isinstance(names, list) or not all(name in CALLBACKS for name in names):
        problem = f"must be an array of {', '.join(CALLBACKS)}, not {names!r}"
        raise ManifestError(origin, f"{where}.callbacks", problem)
    key = f"{where}.pre_patch_returns"
    if type(returns) is not int or returns not in _RETURNS:
        raise ManifestError(origin, key, f"must be 0 or a negative errno, not {returns!r}")
    if "pre_patch_returns" in row and "pre_patch" not in names:
        raise ManifestError(origin, key, "needs pre_patch among the callbacks")
    return CallbackSource(names=tuple(names), pre_patch_returns=returns) if names else None


def _states(rows: object, origin: str, key: str) -> tuple[StateSource, ...]:
    if not isinstance(rows, list):
        raise ManifestError(origin, key, "must be an array of { id = ..., version = ... }")
    found = []
    for at, row in enumerate(rows):
        if not isinstance(row, dict) or row.keys() != {"id", "version"}:
            raise ManifestError(origin, f"{key}[{at}]", "needs exactly id and version")
        for member, bits in (("id", 64), ("version", 32)):
            if type(row[member]) is not int or not 0 <= row[member] < 1 << bits:
                problem = f"must be a u{bits}, not {row[member]!r}"
                raise ManifestError(origin, f"{key}[{at}].{member}", problem)
        found.append(StateSource(id=row["id"], version=row["version"]))
    return tuple(found)
