"""What does a cycle model cost, and how does that grow with CPUs?

Exact mode with a CPU model next to exact mode without, same image and calls: untimed with a switch at
every instruction ("least-clock") and in turns ("quantum"). Processor time, all CPUs of the guest together.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.harness import Result, Spread, Table, Target, main, spread
from emu.lab.machine import Machine

_MODELS = {"x86_64": "zen4", "arm64": "neoverse-n1"}
_CPUS = (1, 4, 16, 64)


def measure(quick: bool) -> Result:
    """Run each port timed on 1 to 64 CPUs, and untimed on one."""
    rounds, slice_ = (2, 100_000) if quick else (5, 1_000_000)
    rows: list[tuple[str, ...]] = []
    data, targets = [], []
    for arch, model in _MODELS.items():
        ways = [("off", "least-clock", 1), ("off", "quantum", 1), *((model, "least-clock", n) for n in _CPUS)]
        for timing, schedule, cpus in ways:
            speed = _speed(arch, timing, schedule, cpus, rounds=rounds, instructions=slice_)
            rows.append((f"{arch}, timing {timing}, {schedule}", str(cpus), speed.text(scale=1e6)))
            data.append({"arch": arch, "timing": timing, "schedule": schedule, "cpus": cpus, "speed": speed})
            if timing != "off":
                least = 8e6 if cpus == 1 else 2e6
                targets.append(
                    Target(
                        wanted=f"{arch}, {cpus} CPUs: at least {least / 1e6:.0f} million instructions/s",
                        found=speed.text(scale=1e6),
                        met=speed.median >= least,
                    )
                )
    table = Table(
        title="Million instructions per second of processor time, all CPUs together",
        columns=("way", "CPUs", "million instructions/s"),
        rows=tuple(rows),
    )
    return Result(tables=(table,), data={"runs": data}, targets=tuple(targets))


def _speed(arch: str, timing: str, schedule: str, cpus: int, *, rounds: int, instructions: int) -> Spread:
    machine = Machine(arch=arch, cpus=cpus, timing=timing, mode="exact", schedule=schedule, ordering="sc")
    machine.run(instructions=20_000 * cpus)  # until what runs has been decoded
    speeds = []
    for _ in range(rounds):
        before, began = machine.kernel.engine.instructions(), time.process_time()
        machine.run(instructions=instructions)
        speeds.append((machine.kernel.engine.instructions() - before) / (time.process_time() - began))
    return spread(speeds)


if __name__ == "__main__":
    main(__doc__, measure)
