"""Scenarios: what runs on which machine, and what is done to it meanwhile, as TOML."""

from __future__ import annotations

import errno
import os
import stat
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

from emu.arch import PORTS
from emu.build.code_source import ARCH, CodeSource, ObjectFile, SourceFile, UnreadableFileError
from emu.build.contents import ModuleSource, PatchSource
from emu.build.manifest import image_names, parse_modules, parse_patches
from emu.build.memory_map import MAX_CPUS
from emu.errors import EmuError, UnknownNameError, suggestion
from emu.machine.state import Fetch, Schedule

SCHEDULES = {
    "quantum": Schedule.QUANTUM,
    "random": Schedule.RANDOM,
    "round-robin": Schedule.ROUND_ROBIN,
    "least-clock": Schedule.LEAST_CLOCK,
}
"""Schedules by the name that scenarios and options use; ``SCRIPT`` is for the Python API alone."""

FETCHES = {policy.name.lower(): policy for policy in Fetch}

ACTIONS = {
    "enable": "patch to enable",
    "disable": "patch to disable",
    "load": "module to load",
    "unload": "module to unload",
    "trace": "function to put a counting ftrace_ops on",
    "untrace": "function to take it off again",
}
"""What a step can do, and what its value names."""


class ScenarioError(EmuError):
    """A scenario says something that can't be."""

    def __init__(self, origin: str, key: str, problem: str) -> None:
        super().__init__(f"{origin}: {key}: {problem}")
        self.origin, self.key, self.problem = origin, key, problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that is done to the running machine.

    Args:
        after_calls: when so many traced calls have completed.
        action: a key of `ACTIONS`.
        subject: the patch, module or function.
    """

    after_calls: int
    action: str
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A machine, its work and what happens to it; the fields are the TOML keys.

    Args:
        name, description: for people.
        image: name of a shipped image.
        arch: port.
        cpus: 1 to 64.
        workers, users: kernel threads and user tasks per CPU that make calls.
        calls: traced calls to complete.
        seed: of everything that is drawn.
        mode: "fast" or "exact".
        schedule: a key of `SCHEDULES`; fast mode needs "quantum".
        fetch: a key of `FETCHES`.
        quantum: mean instructions of a turn.
        tick: cycles between timer interrupts of a CPU, 0 = none.
        call_ops: arm64: sites call through the ops pointer before the function.
        far_modules: arm64: modules go where a direct BL does not reach.
        steps: in order of ``after_calls``.
        modules, patches: more of them than the image has.
        origin: how messages name it; no TOML key.
    """

    name: str
    description: str = ""
    image: str = "mini"
    arch: str = "x86_64"
    cpus: int = 4
    workers: int = 2
    users: int = 1
    calls: int = 20_000
    seed: int = 1
    mode: str = "fast"
    schedule: str = "quantum"
    fetch: str = "random"
    quantum: int = 500
    tick: int = 5_000
    call_ops: bool = False
    far_modules: bool = False
    steps: tuple[Step, ...] = ()
    modules: Mapping[str, ModuleSource] = field(default_factory=dict)
    patches: Mapping[str, PatchSource] = field(default_factory=dict)
    origin: str = "scenario"

    def with_options(self, options: Mapping[str, object]) -> Scenario:
        """Return this scenario with some fields replaced; ``None`` values are left out.

        Raises:
            ScenarioError: a value is not possible; names the option.
        """
        given = {key: value for key, value in options.items() if value is not None}
        if given.get("mode") == "exact" and "schedule" not in given and self.schedule == "quantum":
            given["schedule"] = "random"
        for key, value in given.items():
            _check(key, value, "option")
        return _consistent(replace(self, **given), "option")  # type: ignore[arg-type]  # checked above


def _between(low: int, high: int) -> Callable[[object], str]:
    def check(value: object) -> str:
        good = type(value) is int and low <= value <= high
        return "" if good else f"must be a whole number from {low} to {high}, not {value!r}"

    return check


def _one_of(names: list[str]) -> Callable[[object], str]:
    def check(value: object) -> str:
        return "" if value in names else f"must be one of {', '.join(names)}, not {value!r}"

    return check


def _kind(kind: type, article: str) -> Callable[[object], str]:
    return lambda value: "" if isinstance(value, kind) else f"must be {article}, not {value!r}"


_CHECKS: dict[str, Callable[[object], str]] = {
    "name": _kind(str, "a string"),
    "description": _kind(str, "a string"),
    "image": _kind(str, "a string"),
    "arch": _one_of(sorted(PORTS)),
    "cpus": _between(1, MAX_CPUS),
    "workers": _between(0, 32),
    "users": _between(0, 32),
    "calls": _between(1, 10**12),
    "seed": _between(0, 2**63 - 1),
    "mode": _one_of(["fast", "exact"]),
    "schedule": _one_of(sorted(SCHEDULES)),
    "fetch": _one_of(sorted(FETCHES)),
    "quantum": _between(1, 10**6),
    "tick": _between(0, 10**9),
    "call_ops": _kind(bool, "true or false"),
    "far_modules": _kind(bool, "true or false"),
}


def _check(key: str, value: object, origin: str) -> None:
    problem = _CHECKS[key](value)
    if problem:
        raise ScenarioError(origin, key, problem)


def _consistent(scenario: Scenario, origin: str) -> Scenario:
    if scenario.mode == "fast" and scenario.schedule != "quantum":
        problem = f"{scenario.schedule!r} needs mode exact: fast mode runs turns (schedule quantum)"
        raise ScenarioError(origin, "schedule", problem)
    if scenario.workers + scenario.users == 0:
        raise ScenarioError(origin, "workers", "no workers and no users: nobody would make a call")
    if scenario.steps and scenario.tick == 0:
        problem = "0 lets nobody interrupt a busy CPU, so the steps might never be done; use at least 1"
        raise ScenarioError(origin, "tick", problem)
    if scenario.call_ops and PORTS[scenario.arch].tracing.ops_literal is None:
        raise ScenarioError(origin, "call_ops", f"{scenario.arch} sites carry no ops pointer")
    if scenario.far_modules and PORTS[scenario.arch].tracing.plt_entry is None:
        problem = (
            f"{scenario.arch} calls reach all text, so no module is far; choose another arch or leave it out"
        )
        raise ScenarioError(origin, "far_modules", problem)
    return scenario


def parse_scenario(text: str, *, origin: str, folder: Path = Path()) -> Scenario:
    """Return the scenario that ``text`` (TOML) describes.

    Args:
        text: the scenario.
        origin: how messages name it.
        folder: what the paths of its modules and patches are relative to.

    Raises:
        ScenarioError: it is no TOML, or a key is unknown, missing, or has an impossible value.
        ManifestError: the same, in its modules and patches.
    """
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # TOMLDecodeError, huge numbers, nesting without end
        raise ScenarioError(origin, "TOML", str(error)) from error
    rows = table.pop("steps", [])
    modules = parse_modules(table.pop("modules", {}), origin=origin, folder=folder)
    patches = parse_patches(table.pop("patches", {}), origin=origin, folder=folder)
    if "name" not in table:
        raise ScenarioError(origin, "name", "is missing; give the scenario a name")
    for key, value in table.items():
        if key not in _CHECKS:
            hint = suggestion(key, [*_CHECKS, "steps", "modules", "patches"])
            raise ScenarioError(origin, key, f"unknown key; {hint}")
        _check(key, value, origin)
    if "image" in table and table["image"] not in image_names():
        raise ScenarioError(origin, "image", str(UnknownNameError("image", table["image"], image_names())))
    if not isinstance(rows, list):
        raise ScenarioError(origin, "steps", "must be an array of tables ([[steps]])")
    steps = tuple(_step(row, f"steps[{at}]", origin) for at, row in enumerate(rows))
    for at, (before, after) in enumerate(pairwise(steps)):
        if after.after_calls < before.after_calls:
            problem = "must not be less than the step before's"
            raise ScenarioError(origin, f"steps[{at + 1}].after_calls", problem)
    for kind, sources in (("modules", modules), ("patches", patches)):
        for name, source in sources.items():
            _check_file(source.code, f"{kind}.{name}", origin)
    scenario = Scenario(**table, steps=steps, modules=modules, patches=patches, origin=origin)
    return _consistent(scenario, origin)


def _check_file(code: CodeSource | None, where: str, origin: str) -> None:
    """Raise if there is no file to take the code from, for whatever port."""
    if not isinstance(code, (ObjectFile, SourceFile)):
        return
    problems = [_missing(Path(str(code.path).replace(ARCH, arch))) for arch in PORTS]
    if all(problems):
        key = "object" if isinstance(code, ObjectFile) else "source"
        raise ScenarioError(origin, f"{where}.{key}", str(UnreadableFileError(code.path, problems[0])))


def _missing(path: Path) -> str:
    """Return why ``path`` is no file, "" if it is one."""
    try:
        return os.strerror(errno.EISDIR) if stat.S_ISDIR(path.stat().st_mode) else ""
    except OSError as error:
        return error.strerror or str(error)
    except ValueError as error:  # a NUL in the name
        return str(error)


def _step(row: object, where: str, origin: str) -> Step:
    if not isinstance(row, dict):
        raise ScenarioError(origin, where, "must be a table")
    actions = row.keys() & ACTIONS.keys()
    for key in row.keys() - ACTIONS.keys() - {"after_calls"}:
        hint = suggestion(key, ["after_calls", *ACTIONS])
        raise ScenarioError(origin, f"{where}.{key}", f"unknown key; {hint}")
    if len(actions) != 1:
        raise ScenarioError(origin, where, f"needs exactly one of {', '.join(ACTIONS)}")
    (action,) = actions
    problem = _between(0, 10**12)(row.get("after_calls", 0))
    if problem:
        raise ScenarioError(origin, f"{where}.after_calls", problem)
    if not isinstance(row[action], str):
        raise ScenarioError(origin, f"{where}.{action}", f"must name the {ACTIONS[action]}")
    return Step(after_calls=int(row.get("after_calls", 0)), action=action, subject=row[action])


def scenario_names() -> list[str]:
    """Return the names of the scenarios that ship with klpemu, sorted."""
    root = files("emu") / "images" / "scenarios"
    names = (entry.name for entry in root.iterdir())
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


def load_scenario(name: str) -> Scenario:
    """Return a shipped scenario by name, or the one in the TOML file of that path.

    Raises:
        ScenarioError: the file can't be read, or what it says can't be.
        UnknownNameError: there is neither a scenario nor a file of that name.
    """
    if name in scenario_names():
        path = files("emu") / "images" / "scenarios" / f"{name}.toml"
        return parse_scenario(path.read_text(encoding="utf-8"), origin=f"scenario {name}")
    path = Path(name)
    if path.suffix != ".toml" and not path.exists():
        raise UnknownNameError("scenario", name, [*scenario_names(), "or a .toml file"])
    try:
        return parse_scenario(path.read_text(encoding="utf-8"), origin=name, folder=path.parent)
    except OSError as error:
        raise ScenarioError(name, "file", f"can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ScenarioError(name, "file", f"is not UTF-8 text (byte {error.start})") from error
