"""How many executions does each patching scenario have, how many decisions do they take, and how long?

Each is explored to its end, or for at most five minutes. Time to boot the machine is not counted.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.harness import MIB, PORTS, Result, Table, main, resident

_LIMIT = 300.0
_QUICK = ("enable", "poke-on")


def measure(quick: bool) -> Result:
    """Explore every scenario on each port under sequential consistency and the port's own model."""
    from emu.lab.explorer.catalogue import GROUPS, Shelf, model_for, named
    from emu.lab.explorer.run import explore_scenario
    from emu.ordering.budget import Budget
    from emu.ordering.memory_use import MemoryLimit

    rows, data = [], []
    for cpus in (1,) if quick else (1, 2):
        for arch in PORTS:
            shelf = Shelf(cpus)
            for name in _QUICK if quick else GROUPS["all"]:
                for model in ("sc", "auto"):
                    report = explore_scenario(
                        shelf.laboratory(named(name), arch),
                        model_for(arch, model),
                        cpus=cpus,
                        budget=Budget(seconds=_LIMIT, memory=MemoryLimit(4096)),
                    )
                    told = report.to_json()
                    data.append({key: told[key] for key in told if key not in ("outcomes", "violations")})
                    rows.append((
                        name, arch, report.model, str(cpus), f"{report.executions:_}", f"{report.steps:_}",
                        f"{len(report.outcomes)}", f"{report.seconds:.1f} s",
                        "holds" if report.holds else "violated" if report.violations else "not decided",
                    ))  # fmt: skip
                    print(*rows[-1], file=sys.stderr, flush=True)
    columns = ("scenario", "port", "model", "CPUs", "executions", "decisions", "outcomes", "time", "verdict")
    return Result(
        tables=(Table(title="Scenarios explored", columns=columns, rows=tuple(rows)),),
        data={"runs": data},
        notes=(f"never more than {resident()['peak'] // MIB} MiB of memory were in use",),
    )


if __name__ == "__main__":
    main(__doc__, measure)
