"""Can a long run be recorded and read back in constant memory, and how fast?

A real run in fast mode with a patch enabled is written to disk by RunWriter, in a process of its own;
another loads it (memory maps) and summarises it. The same for a tenth of the length: if a trace were
held in memory, the peaks would differ by its size. The reader's peak counts pages of the file that
happen to be mapped; what it holds itself is given apart.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.harness import MIB, Result, Table, in_fresh_process, main, resident

_CALLS, _QUICK_CALLS = 10_000_000, 500_000


def measure(quick: bool) -> Result:
    """Write and read a short and a long run."""
    long = _QUICK_CALLS if quick else _CALLS
    rows, data = [], []
    for calls in (long // 10, long):
        folder = tempfile.mkdtemp(prefix="klpemu-bench-")
        try:
            for job in ("write", "read"):
                found = in_fresh_process(__file__, {"job": job, "out": f"{folder}/run", "calls": calls})
                data.append({"job": job, "asked": calls, **found})
                rows.append(
                    (
                        "run and write" if job == "write" else "load and summarise", f"{found['calls']:,}",
                        f"{found['bytes'] / MIB:,.0f}", f"{found['seconds']:.2f}",
                        f"{found['calls'] / found['seconds']:,.0f}", f"{found['before'] / MIB:,.0f}",
                        f"{found['peak'] / MIB:,.0f}", f"{found['anonymous'] / MIB:,.0f}",
                    )
                )  # fmt: skip
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    table = Table(
        title="4 CPUs, x86_64, fast mode, livepatch-sample enabled",
        columns=(
            "job", "calls", "run on disk, MiB", "seconds", "calls/s", "memory before, MiB", "peak, MiB",
            "of it own at the end, MiB",
        ),
        rows=tuple(rows),
    )  # fmt: skip
    return Result(tables=(table,), data={"jobs": data})


def one_job(part: dict[str, Any]) -> dict[str, object]:
    """Write or read one run."""
    out = Path(part["out"])
    return _write(out, part["calls"]) if part["job"] == "write" else _read(out)


def _write(out: Path, calls: int) -> dict[str, object]:
    from emu.lab.machine import Machine

    with Machine(cpus=4, out=out) as machine:
        handle = machine.livepatch.enable("livepatch-sample")
        machine.run(until=handle.settled)
        before = resident()["now"]
        began = time.perf_counter()
        report = machine.run(calls=calls)
        assert report.ok, report.lines()
        run = machine.finish()
        seconds = time.perf_counter() - began
        after = resident()
        assert run.meta["complete"]
    return {"calls": calls, "bytes": _size(out), "seconds": seconds, "before": before, **after}


def _read(out: Path) -> dict[str, object]:
    from emu.analysis.summary import summarize
    from emu.trace.reader import load_run

    before = resident()["now"]
    began = time.perf_counter()
    summary = summarize(load_run(out))
    seconds = time.perf_counter() - began
    return {"calls": summary.calls, "bytes": _size(out), "seconds": seconds, "before": before, **resident()}


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


if __name__ == "__main__":
    main(__doc__, measure, one_job)
