"""How long until klpemu answers: help, a run with compiled code in the cache, the very first run?

Each measurement is one process from its start to its end. The first run has an empty folder for
compiled code (XDG_CACHE_HOME); Python's own byte code is there.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.harness import Result, Table, Target, environment, main, spread

_CASES = {
    "klpemu --help": (["--help"], 0.3),
    "klpemu run, compiled code cached": (["run"], 2.0),
    "klpemu run, nothing compiled yet": (["run"], 15.0),
}
_PROGRAM = "from emu.cli.main import main; main()"


def _seconds(arguments: list[str], cache: str, bytecode: str) -> float:
    command = [sys.executable, "-c", _PROGRAM, *arguments]
    began = time.perf_counter()
    done = subprocess.run(
        command, capture_output=True, text=True, check=False,
        env=environment(XDG_CACHE_HOME=cache, PYTHONPYCACHEPREFIX=bytecode, PYTHONDONTWRITEBYTECODE=""),
    )  # fmt: skip
    seconds = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"klpemu {' '.join(arguments)} failed:\n{done.stderr}")
    return seconds


def measure(quick: bool) -> Result:
    """Time each case."""
    found: dict[str, list[float]] = {name: [] for name in _CASES}
    help_name, cached_name, first_name = _CASES
    with tempfile.TemporaryDirectory() as bytecode:
        with tempfile.TemporaryDirectory() as cache:
            _seconds(["run"], cache, bytecode)
            for _ in range(3 if quick else 7):
                for name in (help_name, cached_name):
                    found[name].append(_seconds(_CASES[name][0], cache, bytecode))
        for _ in range(1 if quick else 3):
            with tempfile.TemporaryDirectory() as empty:
                found[first_name].append(_seconds(_CASES[first_name][0], empty, bytecode))
    rows, targets = [], []
    for name, (_, limit) in _CASES.items():
        times = spread(found[name])
        rows.append((name, str(len(times.values)), times.text(unit=" s"), f"{limit:g} s"))
        targets.append(
            Target(wanted=f"{name}: {limit:g} s", found=times.text(unit=" s"), met=times.median <= limit)
        )
    table = Table(
        title="Seconds from start to end of the process", columns=("command", "runs", "time", "target"),
        rows=tuple(rows),
    )  # fmt: skip
    return Result(tables=(table,), data={"seconds": found}, targets=tuple(targets))


if __name__ == "__main__":
    main(__doc__, measure)
