"""What does it cost to enable and to disable a patch, by number of functions and of CPUs?

Operations are what the patching CPU plays one by one (stores, pokes, waits). Instructions are those of
its driver task from the request to the end of the transition, cycles the time all CPUs see meanwhile.
Wall time includes the calls that every CPU goes on making. All but the wall time is the same on every
machine and every time.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.harness import PORTS, Result, Spread, Table, main, spread
from emu.lab.machine import Machine
from emu.lab.patching import PatchHandle
from emu.livepatch import Func, Object, Patch
from emu.machine import state as s
from emu.machine.operations import Operation

_FUNCTIONS = (
    "mini_leaf", "mini_nested", "mini_recursive", "mini_tail", "mini_many", "mini_loop", "mini_landing",
    "cmdline_proc_show", "meminfo_proc_show", "uptime_proc_show",
)  # fmt: skip
_WARM_CALLS = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of one enabling or disabling."""

    seconds: float
    operations: int
    instructions: int
    cycles: int


def measure(quick: bool) -> Result:
    """Enable and disable patches of 1 .. 10 functions, and one patch on 1 .. 64 CPUs."""
    repeats = 2 if quick else 5
    points = [(4, 1), (4, 10), (16, 1)] if quick else [(4, n) for n in (1, 2, 5, 10)]
    if not quick:
        points += [(cpus, 1) for cpus in (1, 2, 16, 64)]
    rows, data = [], []
    for arch in PORTS:
        for cpus, functions in points:
            pairs = [_cycle(arch, cpus, functions) for _ in range(repeats)]
            for at, action in enumerate(("enable", "disable")):
                costs = [pair[at] for pair in pairs]
                seconds, cost = spread(found.seconds for found in costs), costs[0]
                same = all(
                    (c.operations, c.instructions, c.cycles)
                    == (cost.operations, cost.instructions, cost.cycles)
                    for c in costs
                )
                assert same, "what is counted does not vary from run to run"
                rows.append(_row(f"{arch} {action}", cpus, functions, cost, seconds))
                data.append(
                    {
                        "arch": arch, "action": action, "cpus": cpus, "functions": functions,
                        "operations": cost.operations, "instructions": cost.instructions,
                        "cycles": cost.cycles, "seconds": seconds,
                    }
                )  # fmt: skip
    table = Table(
        title="One patch, fast mode, seed 1",
        columns=("action", "CPUs", "functions", "operations", "driver instructions", "cycles", "wall time"),
        rows=tuple(rows),
    )
    return Result(tables=(table,), data={"points": data})


def _row(name: str, cpus: int, functions: int, cost: Cost, seconds: Spread) -> tuple[str, ...]:
    return (
        name, str(cpus), str(functions), f"{cost.operations:,}", f"{cost.instructions:,}", f"{cost.cycles:,}",
        seconds.text(scale=1e-3, digits=1, unit=" ms"),
    )  # fmt: skip


def _cycle(arch: str, cpus: int, functions: int) -> tuple[Cost, Cost]:
    """Return the costs of enabling and disabling on a fresh machine."""
    machine = Machine(arch=arch, cpus=cpus)
    played = 0

    def count(_operation: Operation) -> None:
        nonlocal played
        played += 1

    machine.kernel.installer.on_operation = count
    machine.run(calls=_WARM_CALLS * max(1, cpus // 4))
    funcs = tuple(Func(name, f"lp_{name}") for name in _FUNCTIONS[:functions])
    patch = Patch("livepatch-bench", (Object(None, funcs),))
    costs, handle = [], None
    for _ in ("enable", "disable"):
        operations, driver, clock = played, _driver_instructions(machine), machine.furthest_clock()
        began = time.perf_counter()
        handle = machine.livepatch.enable(patch) if handle is None else handle.disable()
        _settle(machine, handle)
        seconds = time.perf_counter() - began
        costs.append(
            Cost(
                seconds=seconds, operations=played - operations,
                instructions=_driver_instructions(machine) - driver, cycles=machine.furthest_clock() - clock,
            )
        )  # fmt: skip
        machine.run(calls=_WARM_CALLS)
    return costs[0], costs[1]


def _settle(machine: Machine, handle: PatchHandle) -> None:
    report = machine.run(until=handle.settled)
    assert report.ok, report.lines()
    assert handle.result == 0, handle.patch.name


def _driver_instructions(machine: Machine) -> int:
    """Return how many instructions the patching CPU's driver task has executed."""
    driver = next(task for task in machine.kernel.tasks if task.comm == "klp_driver")
    engine = machine.kernel.engine
    block = engine.blocks[driver.cpu]
    if int(block[s.CPU_TASK]) == driver.index:
        return int(block[s.CPU_INSNS] + block[s.CPU_TASK_BIAS])
    return int(engine.tasks[driver.index, s.TASK_INSNS])


if __name__ == "__main__":
    main(__doc__, measure)
