"""Tasks that a scenario starts besides its workers and users, as TOML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from emu.build.contents import BUFFER, MOST_ARGUMENTS
from emu.build.manifest import ManifestError
from emu.build.memory_map import MAX_CPUS
from emu.kernel.call_tables import SPARE_CALLS

ENTRIES = ("worker", "user_loop", "user_spin")
"""What a task can run: a kernel thread's loop, or user text. Source: docs/guest-kernel.md."""

MOST_OF_A_KIND = 32
"""Tasks of one kind on a CPU."""

_KEYS = ("cpus", "count", "entry", "calls", "forever")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCall:
    """A call that a task makes, whatever it returns.

    Args:
        fn: symbol to call.
        args: numbers, or names of symbols; ``"buffer"`` stands for ``call_buffer``.
    """

    fn: str
    args: tuple[int | str, ...] = ()

    def names(self) -> list[str]:
        """Return the symbols that it mentions."""
        return [self.fn, *(symbol(value) for value in self.args if isinstance(value, str))]


def symbol(argument: str) -> str:
    """Return the symbol that stands for an argument."""
    return "call_buffer" if argument == BUFFER else argument


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSource:
    """Tasks of one kind.

    Args:
        name: of the kind.
        cpus: where they run.
        count: how many on each of them.
        entry: one of `ENTRIES`.
        calls: what it calls, in turn.
        forever: again and again; else it is over after the last.
    """

    name: str
    cpus: tuple[int, ...]
    count: int
    entry: str
    calls: tuple[TaskCall, ...]
    forever: bool

    def comms(self) -> list[tuple[str, int]]:
        """Return name and CPU of each task: of several on a CPU ``name/CPU.number``, else ``name/CPU``."""
        if self.count > 1:
            return [(f"{self.name}/{cpu}.{at}", cpu) for cpu in self.cpus for at in range(self.count)]
        return [(f"{self.name}/{cpu}" if len(self.cpus) > 1 else self.name, cpu) for cpu in self.cpus]


def spare_slots(tasks: Mapping[str, TaskSource], cpus: int) -> int:
    """Return how many spare tasks a machine of so many CPUs needs: as many on each CPU as on the fullest."""
    used = [sum(task.count for task in tasks.values() if cpu in task.cpus) for cpu in range(cpus)]
    return cpus * max(used, default=0)


def parse_tasks(rows: object, *, origin: str) -> dict[str, TaskSource]:
    """Return the tasks of a table ``tasks``, by name.

    Raises:
        ManifestError: a key is unknown, missing, or has an impossible value.
    """
    if not isinstance(rows, dict) or not all(isinstance(row, dict) for row in rows.values()):
        raise ManifestError(origin, "tasks", "must be tables ([tasks.NAME])")
    return {name: _task(name, row, origin, f"tasks.{name}") for name, row in rows.items()}


def _task(name: str, row: Mapping[str, object], origin: str, where: str) -> TaskSource:
    for key in row:
        if key not in _KEYS:
            raise ManifestError(origin, f"{where}.{key}", f"unknown key; known: {', '.join(sorted(_KEYS))}")
    entry, forever, count = row.get("entry", ENTRIES[0]), row.get("forever", True), row.get("count", 1)
    if type(count) is not int or not 0 < count <= MOST_OF_A_KIND:
        problem = f"must be a whole number from 1 to {MOST_OF_A_KIND}, not {count!r}"
        raise ManifestError(origin, f"{where}.count", problem)
    if entry not in ENTRIES:
        raise ManifestError(origin, f"{where}.entry", f"must be one of {', '.join(ENTRIES)}, not {entry!r}")
    if not isinstance(forever, bool):
        raise ManifestError(origin, f"{where}.forever", f"must be true or false, not {forever!r}")
    calls = row.get("calls")
    if not isinstance(calls, list) or not 0 < len(calls) <= SPARE_CALLS:
        raise ManifestError(origin, f"{where}.calls", f"must be an array of 1 to {SPARE_CALLS} calls")
    return TaskSource(
        name=name, cpus=_cpus(row.get("cpus"), origin, f"{where}.cpus"), count=count, entry=str(entry),
        forever=forever,
        calls=tuple(_call(call, origin, f"{where}.calls[{at}]") for at, call in enumerate(calls)),
    )  # fmt: skip


def cpu_numbers(value: object) -> Sequence[int] | None:
    """Return ``value`` if it is an array of numbers of CPUs, each one once; else None."""
    if not isinstance(value, (list, tuple)) or not all(type(cpu) is int for cpu in value):
        return None
    good = all(0 <= cpu < MAX_CPUS for cpu in value) and len(set(value)) == len(value)
    return value if good else None


def _cpus(value: object, origin: str, key: str) -> tuple[int, ...]:
    if value is None:
        raise ManifestError(origin, key, "is missing; give the CPUs that it runs on, as in [0, 1]")
    cpus = cpu_numbers(value)
    if not cpus:
        raise ManifestError(origin, key, f"must be an array of numbers of CPUs, not {value!r}")
    return tuple(cpus)


def _call(row: object, origin: str, where: str) -> TaskCall:
    if not isinstance(row, dict) or not {"fn"} <= row.keys() <= {"fn", "args"}:
        raise ManifestError(origin, where, "needs fn, and may have args")
    fn, args = row["fn"], row.get("args", [])
    if not isinstance(fn, str):
        raise ManifestError(origin, f"{where}.fn", f"must name a function, not {fn!r}")
    if not isinstance(args, list) or len(args) > MOST_ARGUMENTS:
        raise ManifestError(origin, f"{where}.args", "must be an array of at most ten")
    for value in args:
        if not isinstance(value, str) and (type(value) is not int or not 0 <= value < 1 << 64):
            raise ManifestError(origin, f"{where}.args", f"must hold u64 or names of symbols, not {value!r}")
    return TaskCall(fn=fn, args=tuple(args))
