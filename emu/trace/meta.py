"""What ``meta.json`` and ``symbols.json`` hold: their shapes, and the check of what a file brought."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypedDict, cast

from emu.trace.errors import NewerSchemaError, NotARunError, RunFileError
from emu.trace.schema import SCHEMA_VERSION

SCHEMA_FAMILY = "klpemu.run/"
SCHEMA = f"{SCHEMA_FAMILY}{SCHEMA_VERSION}"
"""``schema`` of every run that this klpemu writes."""

_LARGEST = 2**64 - 1


class TaskEntry(TypedDict):
    """A task that traced calls refer to by ``index``; ``cpu`` is where it started."""

    index: int
    pid: int
    comm: str
    cpu: int


class PatchEntry(TypedDict):
    """A version that traced calls refer to by ``index``.

    Entry 0 is the original. ``functions`` maps the patched function's name to its replacement's; both
    are keys of ``symbols.json``. A nop func maps to its own name.
    """

    index: int
    name: str
    functions: dict[str, str]


class Versions(TypedDict):
    """Versions of what the run was made with."""

    klpemu: str
    python: str
    unicorn: str
    numpy: str
    numba: str


class Meta(TypedDict):
    """The contents of ``meta.json``; `META_FIELDS` says what each means."""

    schema: str
    arch: str
    image: str
    cpus: int
    seed: int
    mode: str
    timing: str
    ordering: str
    schedule: str
    fetch: str
    calls: int
    instructions: int
    cycles: int
    tasks: list[TaskEntry]
    patches: list[PatchEntry]
    versions: Versions
    warnings: int
    digest: str
    complete: bool


class MetaChanges(TypedDict, total=False):
    """What may change in a `Meta` while its run goes on; the recorder itself sets the rest."""

    instructions: int
    cycles: int
    tasks: list[TaskEntry]
    patches: list[PatchEntry]
    warnings: int


class Symbol(NamedTuple):
    """An entry of ``symbols.json``: address, size in bytes, kind (``function``, ``object`` ...)."""

    address: int
    size: int
    kind: str


@dataclass(frozen=True, slots=True)
class MetaField:
    """A key of ``meta.json``: the type of its value and what it means."""

    type: type
    doc: str


META_FIELDS: dict[str, MetaField] = {
    "schema": MetaField(str, "`klpemu.run/1`: the layout of this directory"),
    "arch": MetaField(str, "port"),
    "image": MetaField(str, "image that ran"),
    "cpus": MetaField(int, "number of CPUs"),
    "seed": MetaField(int, "seed of every choice left open"),
    "mode": MetaField(str, "`exact` or `fast`"),
    "timing": MetaField(str, "cycle model or its file, or `off`"),
    "ordering": MetaField(str, "memory model: `sc`, `tso`, `arm64`"),
    "schedule": MetaField(str, "how the next CPU is picked"),
    "fetch": MetaField(str, "how long a CPU may execute outdated text"),
    "calls": MetaField(int, "rows of `calls.npy`; 0 until the run is complete"),
    "instructions": MetaField(int, "instructions executed, all CPUs"),
    "cycles": MetaField(int, "furthest clock of a CPU at the end"),
    "tasks": MetaField(list, "`[{index, pid, comm, cpu}]`: what `task` columns refer to"),
    "patches": MetaField(list, "`[{index, name, functions}]`: what `patch` refers to; 0 is the original"),
    "versions": MetaField(dict, "`{klpemu, python, unicorn, numpy, numba}`: what the run was made with"),
    "warnings": MetaField(int, "WARNs and BUGs hit"),
    "digest": MetaField(str, "hex digest of the run, see below; empty until the run is complete"),
    "complete": MetaField(bool, "false until everything is written"),
}
"""Every key of ``meta.json``, in order."""

PARAMETERS = ("arch", "image", "cpus", "seed", "mode", "timing", "ordering", "schedule", "fetch")
"""The keys that determine a run, and so are part of its digest."""


def with_changes(meta: Meta, changes: MetaChanges) -> Meta:
    """Return ``meta`` with ``changes`` made; the argument stays as it is."""
    return cast("Meta", {**meta, **changes})


def check_meta(value: object, path: Path) -> Meta:
    """Return ``value``, read from ``path``, as a `Meta` whose every field has its documented type.

    Raises:
        NotARunError: it is no klpemu meta data at all.
        NewerSchemaError: a later klpemu wrote it.
        RunFileError: a field is missing or of another type.
    """
    schema = value.get("schema") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(schema, str) or not schema.startswith(SCHEMA_FAMILY):
        raise NotARunError(path.parent, f"{path.name} has no schema of the form {SCHEMA_FAMILY}N")
    number = schema.removeprefix(SCHEMA_FAMILY)
    if not (number.isascii() and number.isdigit() and len(number) < 10 and int(number) > 0):
        raise RunFileError(path, f"schema is {schema[:40]!r}", f"{SCHEMA!r}")
    if int(number) > SCHEMA_VERSION:
        raise NewerSchemaError(path, schema, SCHEMA)
    for key, field in META_FIELDS.items():
        if key not in value:
            raise RunFileError(path, f"{key!r} is missing", "every field of docs/trace-format.md")
        if not _is(value[key], field.type):
            raise RunFileError(
                path, f"{key!r} is {_kind(value[key])}", f"{field.type.__name__}, and no negative count"
            )
    if value["cpus"] < 1:
        raise RunFileError(path, "'cpus' is 0", "at least one CPU")
    _check_entries(value["tasks"], "tasks", {"pid": int, "comm": str, "cpu": int}, path)
    _check_entries(value["patches"], "patches", {"name": str, "functions": dict}, path)
    if not value["patches"] or value["patches"][0]["functions"]:
        raise RunFileError(path, "patches[0] is not the original", "an entry without functions")
    for entry in value["patches"]:
        if not all(_is(name, str) for pair in entry["functions"].items() for name in pair):
            raise RunFileError(path, f"patches[{entry['index']}].functions is not text to text", "names")
    if not all(_is(version, str) for version in value["versions"].values()):
        raise RunFileError(path, "'versions' holds something that is not text", "text")
    return cast("Meta", value)


def check_symbols(value: object, path: Path) -> dict[str, Symbol]:
    """Return ``value``, read from ``path``, as symbols by name.

    Raises:
        RunFileError: it is not of the form ``{name: [address, size, kind]}``.
    """
    expected = "{name: [address, size, kind]}"
    if not isinstance(value, dict):
        raise RunFileError(path, f"holds {_kind(value)}", expected)
    symbols = {}
    for name, entry in value.items():
        if not (
            isinstance(entry, list)
            and len(entry) == 3
            and _is(entry[0], int)
            and _is(entry[1], int)
            and _is(entry[2], str)
        ):
            raise RunFileError(path, f"symbol {name[:60]!r} has a malformed entry", expected)
        symbols[name] = Symbol(*entry)
    return symbols


def _check_entries(entries: list[object], key: str, fields: Mapping[str, type], path: Path) -> None:
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict) or entry.get("index") != index:
            raise RunFileError(path, f"{key}[{index}] is not the entry of index {index}", "entries in order")
        for name, kind in fields.items():
            if not _is(entry.get(name), kind):
                raise RunFileError(path, f"{key}[{index}].{name} is {_kind(entry.get(name))}", kind.__name__)


def _is(value: object, kind: type) -> bool:
    if kind is int:
        # A bool is an int to Python, not to JSON; a seed or an address is at most 64 bits wide.
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST
    return isinstance(value, kind)


def _kind(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return "negative" if value < 0 else "too large" if value > _LARGEST else "a number"
    return "missing" if value is None else f"of type {type(value).__name__}"
