"""What does memory ordering cost: runs under the port's own ordering next to sc?

The same machine making calls, nothing patched, in both modes, on 1, 4 and 16 CPUs; exact mode with schedule
"random". Every round gives each contender a slice of calls in turn, in one process, and quotients are taken
within a round.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.harness import PORTS, Result, Table, main, ratios, spread
from emu.arch import port_named
from emu.lab.machine import Machine

_SLICE = {"fast": 40_000, "exact": 2_000}
"""Traced calls of a slice."""


def measure(quick: bool) -> Result:
    """Compare instructions per second."""
    rounds, counts = (2, (1, 4)) if quick else (5, (1, 4, 16))
    rows, data = [], []
    for arch in PORTS:
        for mode in ("exact", "fast"):
            for cpus in counts:
                orderings = ("sc", port_named(arch).memory_order.own)
                machines = [_machine(arch, mode, cpus, ordering) for ordering in orderings]
                rates: list[list[float]] = [[], []]
                for _ in range(rounds):
                    for machine, found in zip(machines, rates, strict=True):
                        found.append(_rate(machine, _SLICE[mode] // (4 if quick else 1)))
                in_order, own = (spread(found) for found in rates)
                quotient = ratios(rates[1], rates[0])
                data.append(
                    {
                        "arch": arch,
                        "mode": mode,
                        "cpus": cpus,
                        "sc": in_order,
                        "own": own,
                        "quotient": quotient,
                    }
                )
                rows.append(
                    (
                        f"{arch} {mode}", str(cpus), in_order.text(scale=1e6), orderings[1],
                        own.text(scale=1e6), quotient.text(scale=0.01, digits=0, unit=" %"),
                    )
                )  # fmt: skip
    table = Table(
        title="Million instructions per second, all CPUs together",
        columns=("machine", "CPUs", "sc", "own ordering", "under it", "of sc"),
        rows=tuple(rows),
    )
    return Result(tables=(table,), data={"points": data})


def _machine(arch: str, mode: str, cpus: int, ordering: str) -> Machine:
    machine = Machine(arch=arch, mode=mode, cpus=cpus, ordering=ordering)
    _rate(machine, 100 * cpus)
    return machine


def _rate(machine: Machine, calls: int) -> float:
    before, began = machine.kernel.engine.instructions(), time.perf_counter()
    report = machine.run(calls=calls)
    assert report.ok, report.lines()
    return (machine.kernel.engine.instructions() - before) / (time.perf_counter() - began)


if __name__ == "__main__":
    main(__doc__, measure)
