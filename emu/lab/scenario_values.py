"""What each key of a scenario can be, taken by itself."""

from __future__ import annotations

from collections.abc import Callable

from emu.arch import PORTS
from emu.build.memory_map import MAX_CPUS
from emu.lab.defects import DEFECTS
from emu.lab.scenario_error import ScenarioError
from emu.lab.task_source import cpu_numbers
from emu.livepatch import FLAVOURS
from emu.machine.state import Fetch, Ordering, Schedule
from emu.timing import MODEL_FILE, cpu_model_names

SCHEDULES = {
    "quantum": Schedule.QUANTUM,
    "random": Schedule.RANDOM,
    "round-robin": Schedule.ROUND_ROBIN,
    "least-clock": Schedule.LEAST_CLOCK,
}
"""Schedules by the name that scenarios and options use; ``SCRIPT`` is for the Python API alone."""

FETCHES = {policy.name.lower(): policy for policy in Fetch}

ORDERINGS = {ordering.name.lower(): ordering for ordering in Ordering}

OFF = "off"
"""``timing`` of a scenario without a cycle model."""


def _between(low: int, high: int) -> Callable[[object], str]:
    def check(value: object) -> str:
        good = type(value) is int and low <= value <= high
        return "" if good else f"must be a whole number from {low} to {high}, not {value!r}"

    return check


def _one_of(names: list[str]) -> Callable[[object], str]:
    def check(value: object) -> str:
        return "" if value in names else f"must be one of {', '.join(names)}, not {value!r}"

    return check


def _none_or_one_of(names: list[str]) -> Callable[[object], str]:
    check = _one_of(names)
    return lambda value: "" if value == "" else check(value)


def _some_of(names: list[str]) -> Callable[[object], str]:
    def check(value: object) -> str:
        good = isinstance(value, (list, tuple)) and all(name in names for name in value)
        return "" if good else f"must be an array of {', '.join(names)}, not {value!r}"

    return check


def _cpus(value: object) -> str:
    return f"must be an array of numbers of CPUs, not {value!r}" if cpu_numbers(value) is None else ""


def _kind(kind: type, article: str) -> Callable[[object], str]:
    return lambda value: "" if isinstance(value, kind) else f"must be {article}, not {value!r}"


def _timing(value: object) -> str:
    if isinstance(value, str) and value.endswith(MODEL_FILE):
        return ""
    return _one_of([OFF, *cpu_model_names(), f"a {MODEL_FILE} file"])(value)


CHECKS: dict[str, Callable[[object], str]] = {
    "name": _kind(str, "a string"),
    "description": _kind(str, "a string"),
    "commit": _kind(str, "a string"),
    "defect": _none_or_one_of(sorted(DEFECTS)),
    "ports": _some_of(sorted(PORTS)),
    "ports_why": _kind(str, "a string"),
    "image": _kind(str, "a string"),
    "arch": _one_of(sorted(PORTS)),
    "flavour": _one_of(sorted(FLAVOURS)),
    "cpus": _between(1, MAX_CPUS),
    "workers": _between(0, 32),
    "users": _between(0, 32),
    "calls": _between(1, 10**12),
    "seed": _between(0, 2**63 - 1),
    "mode": _one_of(["fast", "exact"]),
    "timing": _timing,
    "schedule": _one_of(sorted(SCHEDULES)),
    "fetch": _one_of(sorted(FETCHES)),
    "ordering": _one_of(list(ORDERINGS)),
    "quantum": _between(1, 10**6),
    "tick": _between(0, 10**9),
    "tickless": _cpus,
    "patience": _between(1, 10**6),
    "children": _between(0, 32),
    "call_ops": _kind(bool, "true or false"),
    "far_modules": _kind(bool, "true or false"),
}


def check_value(key: str, value: object, origin: str) -> None:
    """Raise `ScenarioError` if ``key`` can't have ``value``."""
    problem = CHECKS[key](value)
    if problem:
        raise ScenarioError(origin, key, problem)
