"""What does a transition cost as tasks grow, and how fast is a run in which patches never rest?

Tasks are kernel threads and user tasks, half of each, that call the functions being patched. Operations are
what the patching CPU plays from the request to the end of the transition, cycles the time that passes.
The stress run enables, replaces, reverses, disables and unloads patches at random (emu/lab/stress.py).
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.harness import PORTS, Result, Table, main, spread
from emu.lab.machine import Machine
from emu.lab.stress import Stress
from emu.livepatch import Func, Object, Patch
from emu.machine.operations import Operation

_CPUS = 64
_PATCH = Patch("livepatch-bench", (Object(None, (Func("mini_leaf", "lp_mini_leaf"),)),))
_TICK = 500


def measure(quick: bool) -> Result:
    """Enable and disable one patch with 64 .. 4096 tasks; run the stress."""
    repeats, most = (1, 256) if quick else (3, 4096)
    rows, data = [], []
    for arch in PORTS:
        for tasks in (64, 256, 1024, 4096):
            if tasks <= most:
                found = [_transition(arch, tasks) for _ in range(repeats)]
                operations, cycles = found[0][1], found[0][2]
                seconds = spread(one[0] for one in found)
                data.append(
                    {
                        "arch": arch,
                        "tasks": tasks,
                        "operations": operations,
                        "cycles": cycles,
                        "seconds": seconds,
                    }
                )
                rows.append(
                    (
                        f"{arch} enable", str(tasks), f"{operations:,}", f"{operations / tasks:.1f}",
                        f"{cycles:,}", seconds.text(scale=1e-3, digits=0, unit=" ms"),
                    )
                )  # fmt: skip
    growing = Table(
        title=f"Enabling one patch of one function, {_CPUS} CPUs, fast mode",
        columns=("action", "tasks", "operations", "operations per task", "cycles", "wall time"),
        rows=tuple(rows),
    )
    stress_rows = []
    for arch in PORTS:
        calls = 100_000 if quick else 1_000_000
        runs = [_stress(arch, seed, calls) for seed in range(1, 1 + repeats)]
        rate = spread(calls / seconds for seconds, _ in runs)
        data.append({"arch": arch, "stress_calls": calls, "calls_per_second": rate})
        transitions = ", ".join(str(settled) for _, settled in runs)
        stress_rows.append((arch, f"{calls:,}", transitions, rate.text(scale=1e3, digits=1, unit="")))
    stress = Table(
        title="Stress: 8 CPUs, 64 tasks, one seed per run",
        columns=("port", "calls", "transitions", "thousand calls/s"),
        rows=tuple(stress_rows),
    )
    return Result(tables=(growing, stress), data={"points": data})


def _transition(arch: str, tasks: int) -> tuple[float, int, int]:
    """Return seconds, operations and cycles of one enabling."""
    each = tasks // _CPUS
    machine = Machine(arch=arch, cpus=_CPUS, workers=each // 2, users=each - each // 2, tick=_TICK)
    played = 0

    def count(_operation: Operation) -> None:
        nonlocal played
        played += 1

    machine.run(calls=4 * tasks)
    machine.kernel.installer.on_operation = count
    clock, began = machine.furthest_clock(), time.perf_counter()
    handle = machine.livepatch.enable(_PATCH)
    report = machine.run(until=handle.settled)
    assert report.ok, report.lines()
    return time.perf_counter() - began, played, machine.furthest_clock() - clock


def _stress(arch: str, seed: int, calls: int) -> tuple[float, int]:
    machine = Machine(arch=arch, cpus=8, workers=4, users=4, seed=seed, tick=_TICK)
    began = time.perf_counter()
    done = Stress(machine, seed=seed).run(calls)
    return time.perf_counter() - began, done.settled


if __name__ == "__main__":
    main(__doc__, measure)
