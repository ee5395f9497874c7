"""Scenarios: what runs on which machine, and what is done to it meanwhile, as TOML."""

from __future__ import annotations

import errno
import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from emu.arch import PORTS
from emu.build.code_source import ARCH, CodeSource, ObjectFile, SourceFile, UnreadableFileError
from emu.build.contents import ModuleSource, PatchSource
from emu.build.manifest import image_names, parse_modules, parse_patches
from emu.errors import UnknownNameError, suggestion
from emu.kernel.installer import PATCHING_CPU
from emu.lab.scenario_error import ScenarioError
from emu.lab.scenario_values import CHECKS, OFF, check_value
from emu.lab.shipped import shipped_names, shipped_text
from emu.lab.step import Step, parse_step
from emu.lab.task_source import TaskSource, parse_tasks, spare_slots
from emu.livepatch import LINUX_6_1
from emu.timing import MODEL_FILE, cpu_model_names, load_cpu_model

__all__ = [
    "Scenario",
    "ScenarioError",
    "Step",
    "load_scenario",
    "parse_scenario",
    "scenario_names",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A machine, its work and what happens to it; the fields are the TOML keys.

    Args:
        name, description, commit: for people; a commit is the one of Linux that mended the defect.
        defect: what is wrong with the machine, a key of `DEFECTS`; "" = nothing.
        ports: the only ones that it makes sense on; none = all.
        ports_why: for people: why only those.
        image: name of a shipped image.
        arch: port.
        flavour: which Linux livepatch behaves like, a key of `FLAVOURS`.
        cpus: 1 to 64.
        workers, users: kernel threads and user tasks per CPU that make calls.
        calls: traced calls to complete.
        seed: of everything that is drawn.
        mode: "fast" or "exact".
        timing: name of a CPU model or a .toml file with one, which needs mode "exact"; "off" = every
            instruction takes one cycle.
        schedule: a key of `SCHEDULES`; fast mode needs "quantum".
        fetch: a key of `FETCHES`.
        ordering: a key of `ORDERINGS`; "" = the port's own in mode "exact", "sc" in mode "fast".
        quantum: mean instructions of a turn.
        tick: cycles between timer interrupts of a CPU, 0 = none.
        tickless: CPUs that have none.
        patience: seconds of the guest that a transition may take.
        children: room for tasks that other tasks fork, on each CPU.
        call_ops: arm64: sites call through the ops pointer before the function.
        far_modules: arm64: modules go where a direct BL does not reach.
        steps: in order of ``after_calls``.
        tasks: what steps can start.
        modules, patches: more of them than the image has.
        on: keys that have another value on a port, by its name.
        spare_tasks: room for tasks that somebody starts later, who may then be the only ones; no TOML key.
        origin: how messages name it; no TOML key.
    """

    name: str
    description: str = ""
    commit: str = ""
    defect: str = ""
    ports: tuple[str, ...] = ()
    ports_why: str = ""
    image: str = "mini"
    arch: str = "x86_64"
    flavour: str = LINUX_6_1.name
    cpus: int = 4
    workers: int = 2
    users: int = 1
    calls: int = 20_000
    seed: int = 1
    mode: str = "fast"
    timing: str = OFF
    schedule: str = "quantum"
    fetch: str = "random"
    ordering: str = ""
    quantum: int = 500
    tick: int = 5_000
    tickless: tuple[int, ...] = ()
    patience: int = 20
    children: int = 0
    call_ops: bool = False
    far_modules: bool = False
    steps: tuple[Step, ...] = ()
    tasks: Mapping[str, TaskSource] = field(default_factory=dict)
    modules: Mapping[str, ModuleSource] = field(default_factory=dict)
    patches: Mapping[str, PatchSource] = field(default_factory=dict)
    on: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    spare_tasks: int = 0
    origin: str = "scenario"

    def on_its_port(self) -> Scenario:
        """Return this scenario with the values that its keys have on its port."""
        return replace(self, **self.on.get(self.arch, {}), on={})  # type: ignore[arg-type]  # checked when read

    @property
    def memory_ordering(self) -> str:
        """The key of `ORDERINGS` that it runs under."""
        own = PORTS[self.arch].memory_order.own if self.mode == "exact" else "sc"
        return self.ordering or own

    @property
    def slots(self) -> int:
        """How many spare tasks its machine has."""
        return self.spare_tasks + spare_slots(self.tasks, self.cpus) + self.cpus * self.children

    def with_options(self, options: Mapping[str, object]) -> Scenario:
        """Return this scenario with some fields replaced; ``None`` values are left out.

        Raises:
            ScenarioError: a value is not possible; names the option.
        """
        given = {key: value for key, value in options.items() if value is not None}
        for key, value in given.items():
            check_value(key, value, "option")
        given |= _implied(given, self)
        on = {port: {key: row[key] for key in row if key not in given} for port, row in self.on.items()}
        return _consistent(replace(self, **given, on=on), "option")  # type: ignore[arg-type]  # checked above


def _implied(given: Mapping[str, object], before: Scenario) -> dict[str, object]:
    """Return what follows for the mode and the schedule from what was ``given`` besides."""
    implied: dict[str, object] = {}
    timed = given.get("timing", before.timing) != OFF
    if timed and "mode" not in given and before.mode == "fast":
        implied["mode"] = "exact"
    turned_exact = "exact" in (given.get("mode"), implied.get("mode"))
    if turned_exact and "schedule" not in given and before.schedule == "quantum":
        implied["schedule"] = "least-clock" if timed else "random"
    return implied


def _consistent(scenario: Scenario, origin: str) -> Scenario:
    """Return ``scenario``, or raise if its keys contradict each other on its port."""
    _check_together(scenario.on_its_port(), origin)
    return scenario


def _check_together(scenario: Scenario, origin: str) -> None:
    tasks = scenario.tasks.values()
    if scenario.mode == "fast" and scenario.schedule != "quantum":
        problem = f"{scenario.schedule!r} needs mode exact: fast mode runs turns (schedule quantum)"
        raise ScenarioError(origin, "schedule", problem)
    _check_timing(scenario, origin)
    allowed = PORTS[scenario.arch].memory_order.allowed
    if scenario.ordering and scenario.ordering not in allowed:
        problem = (
            f"{scenario.arch} is never as weak as {scenario.ordering!r}; it can have {', '.join(allowed)}"
        )
        raise ScenarioError(origin, "ordering", problem)
    if scenario.workers + scenario.users + scenario.slots == 0:
        raise ScenarioError(origin, "workers", "no workers and no users: nobody would make a call")
    if scenario.steps and scenario.tick == 0:
        problem = "0 lets nobody interrupt a busy CPU, so the steps might never be done; use at least 1"
        raise ScenarioError(origin, "tick", problem)
    if scenario.ports and scenario.arch not in scenario.ports:
        why = f": {scenario.ports_why}" if scenario.ports_why else ""
        problem = f"{scenario.arch} can't have this{why}; it is for {', '.join(scenario.ports)}"
        raise ScenarioError(scenario.origin, "arch", problem)
    for key, cpus in (("tickless", scenario.tickless), *((f"tasks.{t.name}.cpus", t.cpus) for t in tasks)):
        if any(cpu >= scenario.cpus for cpu in cpus):
            raise ScenarioError(origin, key, f"CPU{max(cpus)} is not there: cpus is {scenario.cpus}")
    if PATCHING_CPU in scenario.tickless:
        raise ScenarioError(origin, "tickless", f"CPU{PATCHING_CPU} patches, and needs its tick for that")
    if scenario.call_ops and PORTS[scenario.arch].tracing.ops_literal is None:
        raise ScenarioError(origin, "call_ops", f"{scenario.arch} sites carry no ops pointer")
    if scenario.far_modules and PORTS[scenario.arch].tracing.plt_entry is None:
        problem = (
            f"{scenario.arch} calls reach all text, so no module is far; choose another arch or leave it out"
        )
        raise ScenarioError(origin, "far_modules", problem)


def _check_timing(scenario: Scenario, origin: str) -> None:
    if scenario.timing == OFF:
        return
    if load_cpu_model(scenario.timing).arch != scenario.arch:
        own = [name for name in cpu_model_names() if load_cpu_model(name).arch == scenario.arch]
        problem = f"{scenario.timing!r} is no {scenario.arch} CPU; it can be {', '.join([OFF, *own])}"
        raise ScenarioError(origin, "timing", problem)
    if scenario.mode == "fast":
        problem = (
            f"{scenario.timing!r} needs every instruction, so mode exact; leave mode out, or timing {OFF!r}"
        )
        raise ScenarioError(origin, "timing", problem)


def parse_scenario(text: str, *, origin: str, folder: Path = Path()) -> Scenario:
    """Return the scenario that ``text`` (TOML) describes.

    Args:
        text: the scenario.
        origin: how messages name it.
        folder: what the paths of its modules, patches and CPU models are relative to.

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
    tasks = parse_tasks(table.pop("tasks", {}), origin=origin)
    on = {port: _on_port(table.pop(port), origin, port) for port in PORTS if port in table}
    if "name" not in table:
        raise ScenarioError(origin, "name", "is missing; give the scenario a name")
    for key, value in table.items():
        if key not in CHECKS:
            hint = suggestion(key, [*CHECKS, "steps", "modules", "patches", "tasks", *PORTS])
            raise ScenarioError(origin, key, f"unknown key; {hint}")
        check_value(key, value, origin)
    table |= {key: tuple(value) for key, value in table.items() if isinstance(value, list)}
    if "image" in table and table["image"] not in image_names():
        raise ScenarioError(origin, "image", str(UnknownNameError("image", table["image"], image_names())))
    if not isinstance(rows, list):
        raise ScenarioError(origin, "steps", "must be an array of tables ([[steps]])")
    steps = tuple(parse_step(row, f"steps[{at}]", origin) for at, row in enumerate(rows))
    for at, (before, after) in enumerate(pairwise(steps)):
        if after.after_calls < before.after_calls:
            problem = "must not be less than the step before's"
            raise ScenarioError(origin, f"steps[{at + 1}].after_calls", problem)
    for kind, sources in (("modules", modules), ("patches", patches)):
        for name, source in sources.items():
            _check_file(source.code, f"{kind}.{name}", origin)
    for keys in (table, *on.values()):
        if str(keys.get("timing")).endswith(MODEL_FILE):
            keys["timing"] = str(folder / str(keys["timing"]))
        if keys.get("timing", OFF) != OFF:
            keys |= _implied(keys, Scenario(name="", mode=table.get("mode", "fast")))
    scenario = Scenario(
        **table, steps=steps, tasks=tasks, modules=modules, patches=patches, on=on, origin=origin
    )  # fmt: skip
    return _consistent(scenario, origin)


def _on_port(row: object, origin: str, port: str) -> dict[str, object]:
    if not isinstance(row, dict):
        raise ScenarioError(origin, port, f"must be a table ([{port}])")
    for key, value in row.items():
        if key not in CHECKS or key in ("name", "arch", "image", "ports"):
            known = sorted(CHECKS.keys() - {"name", "arch", "image", "ports"})
            raise ScenarioError(origin, f"{port}.{key}", f"unknown key; {suggestion(key, known)}")
        problem = CHECKS[key](value)
        if problem:
            raise ScenarioError(origin, f"{port}.{key}", problem)
    return {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}


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


def scenario_names() -> list[str]:
    """Return the names of the scenarios that ship with klpemu, sorted."""
    return shipped_names("scenarios")


def load_scenario(name: str) -> Scenario:
    """Return a shipped scenario by name, or the one in the TOML file of that path.

    Raises:
        ScenarioError: the file can't be read, or what it says can't be.
        UnknownNameError: there is neither a scenario nor a file of that name.
    """
    if name in scenario_names():
        return parse_scenario(shipped_text("scenarios", name), origin=f"scenario {name}")
    path = Path(name)
    if path.suffix != ".toml" and not path.exists():
        raise UnknownNameError("scenario", name, [*scenario_names(), "or a .toml file"])
    try:
        return parse_scenario(path.read_text(encoding="utf-8"), origin=name, folder=path.parent)
    except OSError as error:
        raise ScenarioError(name, "file", f"can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ScenarioError(name, "file", f"is not UTF-8 text (byte {error.start})") from error
