"""How much memory does a machine take, in all and per CPU?

Each machine lives in a process of its own. Resident memory is read after the imports, after boot and
after a run that has every CPU translate the code it calls; the run's trace stays in memory and counts.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.harness import MIB, PORTS, Result, Table, Target, in_fresh_process, main, resident

_LIMIT = 1.5 * 1024 * MIB
_CALLS_PER_CPU = 500


def measure(quick: bool) -> Result:
    """Measure each port, mode and number of CPUs."""
    counts = (1, 16) if quick else (1, 2, 4, 16, 64)
    rows, data = [], []
    worst: dict[str, float] = {}
    for arch in PORTS:
        for mode in ("fast", "exact"):
            least = 0
            for cpus in counts:
                part = {"arch": arch, "mode": mode, "cpus": cpus}
                found = in_fresh_process(__file__, part)
                data.append({**part, **found})
                least = least or found["run"]
                further = f"{(found['run'] - least) / (cpus - 1) / MIB:,.1f}" if cpus > 1 else ""
                rows.append(
                    (
                        f"{arch} {mode}", str(cpus), *(f"{found[at] / MIB:,.0f}" for at in _POINTS),
                        further,
                    )
                )  # fmt: skip
                if cpus == max(counts):
                    worst[f"{arch} {mode}"] = found["peak"]
    table = Table(
        title="Resident memory, MiB",
        columns=("machine", "CPUs", "imports", "after boot", "after a run", "peak", "each further CPU"),
        rows=tuple(rows),
    )
    cpus = max(counts)
    targets = tuple(
        Target(
            wanted=f"{name}: {cpus} CPUs under {_LIMIT / MIB:,.0f} MiB", found=f"{peak / MIB:,.0f} MiB",
            met=peak < _LIMIT,
        )
        for name, peak in worst.items()
    )  # fmt: skip
    return Result(tables=(table,), data={"machines": data}, targets=targets)


_POINTS = ("imports", "boot", "run", "peak")


def one_machine(part: dict[str, Any]) -> dict[str, object]:
    """Boot and run one machine and return the memory of this process meanwhile."""
    from emu.lab.machine import Machine

    imports = resident()["now"]
    schedule = "least-clock" if part["mode"] == "exact" else None
    machine = Machine(arch=part["arch"], cpus=part["cpus"], mode=part["mode"], schedule=schedule)
    boot = resident()["now"]
    calls = _CALLS_PER_CPU * part["cpus"]
    report = machine.run(calls=calls)
    assert report.ok, report.lines()
    after = resident()
    return {"imports": imports, "boot": boot, "run": after["now"], "peak": after["peak"], "calls": calls}


if __name__ == "__main__":
    main(__doc__, measure, one_machine)
