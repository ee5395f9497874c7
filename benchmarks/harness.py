"""What all benchmarks share: machine facts, spreads, tables, fresh processes, the command line."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PORTS = ("x86_64", "arm64")
MIB = 1 << 20

_LIBRARIES = ("unicorn", "numba", "llvmlite", "numpy", "greenlet")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Median, least and greatest of repeated measurements, and all of them."""

    median: float
    low: float
    high: float
    values: tuple[float, ...]

    def text(self, scale: float = 1, digits: int = 2, unit: str = "") -> str:
        """Return ``median (low .. high)``, each divided by ``scale``.

        >>> spread([1.0, 2.0, 4.0]).text(digits=1, unit=" s")
        '2.0 (1.0 .. 4.0) s'
        """
        low, middle, high = (f"{value / scale:,.{digits}f}" for value in (self.low, self.median, self.high))
        if len(self.values) == 1:
            return f"{middle}{unit}"
        return f"{middle} ({low} .. {high}){unit}"


def spread(values: Iterable[float]) -> Spread:
    """Return the spread of ``values``."""
    row = tuple(values)
    return Spread(median=statistics.median(row), low=min(row), high=max(row), values=row)


def ratios(tops: Sequence[float], bottoms: Sequence[float]) -> Spread:
    """Return the spread of quotients of measurements that were taken in the same round."""
    return spread(top / bottom for top, bottom in zip(tops, bottoms, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table as it is printed: first column to the left, the others to the right."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def text(self) -> str:
        """Return it for a terminal."""
        widths = [max(len(row[i]) for row in (self.columns, *self.rows)) for i in range(len(self.columns))]
        lines = [self.title]
        for row in (self.columns, *self.rows):
            cells = [
                cell.rjust(width) if i else cell.ljust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            lines.append("  " + "  ".join(cells).rstrip())
        return "\n".join(lines)

    def markdown(self) -> str:
        """Return it for docs."""
        lines = [f"**{self.title}**", "", _markdown_row(self.columns)]
        lines.append(_markdown_row(["---"] + ["---:"] * (len(self.columns) - 1)))
        lines += [_markdown_row(row) for row in self.rows]
        return "\n".join(lines)


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What was hoped for, and what was found."""

    wanted: str
    found: str
    met: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The answer of one benchmark.

    Args:
        tables: for people.
        data: the same, every single measurement included, for programs.
        targets: as they came out.
    """

    tables: tuple[Table, ...]
    data: Mapping[str, object]
    targets: tuple[Target, ...] = ()
    notes: tuple[str, ...] = field(default=())


def machine_facts() -> dict[str, object]:
    """Return what the numbers depend on: processor, cores, load, Python and library versions."""
    versions = {name: _version(name) for name in _LIBRARIES}
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // MIB,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "load_average": round(os.getloadavg()[0], 2),
        "date": time.strftime("%Y-%m-%d"),
        **versions,
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    names = []
    if info.exists():
        lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def resident() -> dict[str, int]:
    """Return this process's memory in bytes: ``now``, ``anonymous`` (without mapped files) and ``peak``."""
    fields = {"VmRSS": "now", "RssAnon": "anonymous", "VmHWM": "peak"}
    found = {}
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        name, _, rest = line.partition(":")
        if name in fields:
            found[fields[name]] = int(rest.split()[0]) << 10
    return found


def in_fresh_process(script: str, part: Mapping[str, object]) -> dict[str, Any]:
    """Run ``part`` of ``script`` in a Python of its own and return its answer; see `main`."""
    command = [sys.executable, script, "--part", json.dumps(part)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    if done.returncode:
        raise SystemExit(f"{Path(script).name} {json.dumps(part)} failed:\n{done.stderr}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def environment(**changes: str) -> dict[str, str]:
    """Return this process's environment, with this checkout in front of what is installed."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
    return {**os.environ, "PYTHONPATH": path, **changes}


def main(
    question: str | None,
    measure: Callable[[bool], Result],
    parts: Callable[[dict[str, Any]], dict[str, object]] | None = None,
) -> None:
    """Answer the command line of a benchmark.

    Args:
        question: the script's docstring.
        measure: takes whether to be quick.
        parts: what the script does in a fresh process, for those that need one.
    """
    text = (question or "").strip()
    parser = argparse.ArgumentParser(description=text.splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every measurement to FILE")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter measurements: a smoke test")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part is not None:
        assert parts is not None, "only scripts with parts are asked for one"
        print(json.dumps(parts(json.loads(options.part))))
        return
    facts, began = machine_facts(), time.perf_counter()
    result = measure(options.quick)
    document = {
        "question": text.splitlines()[0],
        "quick": options.quick,
        "machine": facts,
        "seconds": round(time.perf_counter() - began, 1),
        "targets": [asdict(target) for target in result.targets],
        "tables": [asdict(table) for table in result.tables],
        "notes": list(result.notes),
        "data": result.data,
    }
    print(document["question"])
    print(facts_line(facts))
    for table in result.tables:
        print(f"\n{table.text()}")
    print()
    for target in result.targets:
        print(f"target: {target.wanted}; found {target.found}: {'met' if target.met else 'MISSED'}")
    for note in result.notes:
        print(f"note: {note}")
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(document, indent=1, default=_plain) + "\n", encoding="utf-8")


def facts_line(facts: Mapping[str, object]) -> str:
    """Return machine facts in one line."""
    libraries = ", ".join(f"{name} {facts[name]}" for name in _LIBRARIES)
    return (
        f"{facts['cpu']}, {facts['cores']} cores, {facts['memory_mib']} MiB; {facts['system']}; "
        f"Python {facts['python']}; {libraries}; load average at the start {facts['load_average']}; "
        f"{facts['date']}"
    )


def _plain(value: object) -> object:
    if isinstance(value, Spread):
        return asdict(value)
    raise TypeError(f"{type(value).__name__} is not for JSON")
