"""What a recording says of its machine from the start."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from emu.kernel.tasks import Task
from emu.lab.scenario import Scenario
from emu.trace.meta import Meta, PatchEntry, TaskEntry
from emu.trace.schema import SCHEMA_VERSION


def starting_meta(scenario: Scenario, tasks: Sequence[Task], patches: list[PatchEntry]) -> Meta:
    """Return the contents of ``meta.json`` before anything has run."""
    return {
        "schema": f"klpemu.run/{SCHEMA_VERSION}",
        "arch": scenario.arch,
        "image": scenario.image,
        "cpus": scenario.cpus,
        "seed": scenario.seed,
        "mode": scenario.mode,
        "timing": scenario.timing,
        "ordering": scenario.memory_ordering,
        "schedule": scenario.schedule,
        "fetch": scenario.fetch,
        "calls": 0,
        "instructions": 0,
        "cycles": 0,
        "tasks": task_entries(tasks),
        "patches": patches,
        "versions": {
            "klpemu": _version("klpemu"),
            "python": platform.python_version(),
            "unicorn": _version("unicorn"),
            "numpy": _version("numpy"),
            "numba": _version("numba"),
        },
        "warnings": 0,
        "digest": "",
        "complete": False,
    }


def task_entries(tasks: Sequence[Task]) -> list[TaskEntry]:
    """Return the tasks as they are now; a slot that is used again has its last task."""
    return [{"index": task.index, "pid": task.pid, "comm": task.comm, "cpu": task.cpu} for task in tasks]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "unknown"
