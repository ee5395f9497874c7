"""CPU models: data files with a source for every number."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emu.arch.registry import port_named
from emu.errors import EmuError, UnknownNameError
from emu.timing import layout

MODEL_FILE = ".toml"
"""What the name of a file with a CPU model ends in."""
_FOLDER = Path(__file__).parent / "models"
_PARAMETERS = {
    name[2:].lower(): value
    for name, value in vars(layout).items()
    if name.startswith("P_") and isinstance(value, int)
}
_PORT_LISTS = frozenset(
    [
        "branch_slots",
        "branch_ports",
        "fused_ports",
        "load_ports",
        "store_ports",
        "store_data_ports",
        "vector_loads",
    ]
)
_POWERS = frozenset(name for name in _PARAMETERS if name.endswith("_sets"))
_AT_LEAST_ONE = frozenset(
    [
        *(name for name in _PARAMETERS if name.endswith(("_sets", "_ways"))),
        *("width", "fetch_width", "retire_width", "first_window", "late_window", "next_window"),
        *("div_bits_per_cycle", "rep_bytes_per_cycle"),
    ]
)
"""What the pipeline divides by, or waits for in vain if it is 0."""
_OR_NEVER = frozenset(["forward_renamed"])  # -1: not at all
_MOST = 1 << 20
_MOST_TAGS = 1 << 22  # of one cache: 256 MiB in lines
_MOST_OF = {"uops": 64, "slots": 64, "busy": 512, "lock": 1 << 16, "microcoded": 1}
_COST_FIELDS = {
    "latency": 0, "uops": 1, "slots": 1, "busy": 1, "block": 0, "block_data": 0, "drain": 0, "lock": 0,
    "microcoded": 0,
}  # fmt: skip


class CpuModelError(EmuError):
    """A CPU model's data file is not as docs/cycle-model.md says."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path}: {what}; see docs/cycle-model.md, 'Adding a CPU model'")
        self.path, self.what = path, what


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What the instructions of one class cost.

    Args:
        ports: mask of ports that may execute it.
        latency: cycles from issue to result.
        uops: operations on those ports, 0 = none.
        slots: of dispatch.
        busy: cycles that its port is taken.
        block: cycles in which nothing is dispatched behind it.
        block_data: the same, from when its data is there.
        drain: cycles from when all before it is complete until dispatch goes on.
        lock: cycles of a locked operation.
        microcoded: 1 if it comes from microcode.
        source: where the numbers are from.
    """

    ports: int
    latency: int
    uops: int
    slots: int
    busy: int
    block: int
    block_data: int
    drain: int
    lock: int
    microcoded: int
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuModel:
    """One CPU's figures.

    Args:
        name: as on the command line.
        arch: port that it runs.
        description: one line for people.
        ports: execution ports, by bit.
        parameters: value by name, of the pipeline and the caches.
        sources: where each comes from.
        costs: by class of instruction.
    """

    name: str
    arch: str
    description: str
    ports: tuple[str, ...]
    parameters: Mapping[str, int]
    sources: Mapping[str, str]
    costs: Mapping[str, Cost]


def cpu_model_names() -> list[str]:
    """Return the names of the CPU models, sorted."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def load_cpu_model(name: str) -> CpuModel:
    """Return the CPU model called ``name``, or the one in the file ``name`` if that ends in ``.toml``.

    Raises:
        UnknownNameError: there is none.
        CpuModelError: its file lacks a number, a source, or has one too many.
    """
    if name.endswith(MODEL_FILE):
        return read_cpu_model(Path(name))
    if name not in cpu_model_names():
        raise UnknownNameError("CPU model", name, cpu_model_names())
    return read_cpu_model(_FOLDER / f"{name}.toml")


def read_cpu_model(path: Path) -> CpuModel:
    """Return the CPU model in the file at ``path``; as `load_cpu_model`."""
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise CpuModelError(path, f"can't be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # not UTF-8, no TOML, a NUL in the name
        raise CpuModelError(path, f"can't be read: {error}") from error
    for key, kind, what in _KEYS:
        if key not in data:
            raise CpuModelError(path, f"has no {key!r}")
        if not isinstance(data[key], kind):
            raise CpuModelError(path, f"{key} = {data[key]!r}, expected {what}")
    port_named(data["arch"])
    ports = _ports(path, data["ports"])
    parameters, sources = {}, {}
    for name, entry in data["parameters"].items():
        if name not in _PARAMETERS:
            raise CpuModelError(path, f"parameter {name!r} is unknown")
        parameters[name] = _number(path, ports, name, entry)
        sources[name] = entry["source"]
    missing = sorted(set(_PARAMETERS) - set(parameters))
    if missing:
        raise CpuModelError(path, f"lacks {', '.join(missing)}")
    for name in _POWERS:
        if parameters[name] & (parameters[name] - 1) or parameters[name] < 1:
            raise CpuModelError(path, f"{name} = {parameters[name]} is no power of two")
    _check_sizes(path, parameters)
    costs = {name: _cost(path, ports, name, entry) for name, entry in data["class"].items()}
    return CpuModel(
        name=path.stem, arch=data["arch"], description=data["description"], ports=ports,
        parameters=parameters, sources=sources, costs=costs,
    )  # fmt: skip


_KEYS = (
    ("arch", str, "the name of a port"), ("description", str, "a string"), ("ports", list, "a list of names"),
    ("parameters", dict, "a table"), ("class", dict, "a table"),
)  # fmt: skip


def _ports(path: Path, names: list[object]) -> tuple[str, ...]:
    ports = tuple(name for name in names if isinstance(name, str))
    if len(ports) < len(names) or len(set(ports)) < len(ports):
        raise CpuModelError(path, f"ports = {names!r}, expected a list of different names")
    if len(ports) > layout.PORT_BITS:
        raise CpuModelError(path, f"has {len(ports)} ports, at most {layout.PORT_BITS} can be told apart")
    return ports


def _check_sizes(path: Path, parameters: Mapping[str, int]) -> None:
    """Refuse a queue longer than the model keeps, and a cache that would take all memory."""
    limits = {
        "rob": layout.ROB_WORDS - 64, "store_queue": layout.DRAINS_WORDS - 1,
        "load_queue": layout.LOADS_WORDS - 1,
        "return_stack": layout.RETURNS_WORDS,
    }  # fmt: skip
    if not 0 <= parameters["history"] < layout.HISTORY_WORDS:
        raise CpuModelError(
            path, f"history = {parameters['history']}, expected 0 to {layout.HISTORY_WORDS - 1}"
        )
    sooner, latency = parameters["load_to_address"], parameters["load_latency"]
    if sooner >= max(latency, 1):
        raise CpuModelError(path, f"load_to_address = {sooner}, expected less than load_latency = {latency}")
    for cache in (name.removesuffix("_sets") for name in sorted(_POWERS)):
        tags = parameters[f"{cache}_sets"] * parameters[f"{cache}_ways"]
        if tags > _MOST_TAGS:
            raise CpuModelError(path, f"{cache}_sets times {cache}_ways = {tags}, expected 1 to {_MOST_TAGS}")
    for name, limit in limits.items():
        if not 1 <= parameters[name] <= limit:
            raise CpuModelError(path, f"{name} = {parameters[name]}, expected 1 to {limit}")


def _sourced(path: Path, what: str, entry: object) -> Mapping[str, Any]:
    source = entry.get("source") if isinstance(entry, dict) else None
    if not isinstance(source, str) or not source.strip() or not isinstance(entry, dict):
        raise CpuModelError(path, f"{what} has no source")
    return entry


def _number(path: Path, ports: tuple[str, ...], name: str, entry: object) -> int:
    facts = _sourced(path, f"parameter {name!r}", entry)
    unknown = sorted(set(facts) - {"value", "source"})
    if unknown:
        raise CpuModelError(path, f"parameter {name!r}: unknown {', '.join(unknown)}")
    value = facts.get("value")
    if name in _PORT_LISTS:
        return _mask(path, ports, f"parameter {name!r}", value)
    least = 1 if name in _AT_LEAST_ONE else -1 if name in _OR_NEVER else 0
    if type(value) is not int or not least <= value <= _MOST:
        raise CpuModelError(
            path, f"parameter {name!r}: found {value!r}, expected a whole number from {least} to {_MOST}"
        )
    return value


def _mask(path: Path, ports: tuple[str, ...], what: str, names: object) -> int:
    if not isinstance(names, list) or any(name not in ports for name in names):
        raise CpuModelError(path, f"{what}: found {names!r}, expected a list of ports")
    return sum(1 << ports.index(name) for name in set(names))


def _cost(path: Path, ports: tuple[str, ...], name: str, entry: object) -> Cost:
    facts = _sourced(path, f"class {name!r}", entry)
    unknown = sorted(set(facts) - {"ports", "source", *_COST_FIELDS})
    if unknown:
        raise CpuModelError(path, f"class {name!r}: unknown {', '.join(unknown)}")
    numbers = {field: facts.get(field, default) for field, default in _COST_FIELDS.items()}
    mask = _mask(path, ports, f"class {name!r}", facts.get("ports", []))
    if not mask:
        numbers["uops"] = 0
    for field, value in numbers.items():
        most = _MOST_OF.get(field, _MOST)
        least = -_MOST if field == "block_data" else 0
        if type(value) is not int or not least <= value <= most:
            what = f"{field} = {value!r}, expected a whole number from {least} to {most}"
            raise CpuModelError(path, f"class {name!r}: {what}")
    return Cost(ports=mask, source=str(facts["source"]), **numbers)


def parameter_words() -> Mapping[str, int]:
    """Return where each parameter stands at the head of a CPU's array."""
    return _PARAMETERS
