"""How close the cycle model comes to the host's CPU, next to llvm-mca: every kernel, both halves.

    python benchmarks/bench_cycles.py [--half dev|unseen] [--samples N]

Prints one line per kernel and, per half and for dispatch kernels, the mean absolute percentage error
(MAPE), the median error and the share within 15 %. Needs a host that has a CPU model.
"""

from __future__ import annotations

import argparse
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))  # run as a script

from benchmarks.cycles import dev, unseen
from benchmarks.cycles.frame import Kernel, source
from emu.errors import EmuError
from emu.lab.cycles.host import cpu_name, host_model, measure
from emu.lab.cycles.piece import read_piece
from emu.lab.cycles.predict import Prediction, Predictor

HALVES = {"dev": dev.KERNELS, "unseen": unseen.KERNELS}
MCA_CPUS = ("znver4", "znver3")
_ITERATIONS = 100


@dataclass(frozen=True, slots=True)
class Row:
    """One kernel: cycles per iteration; ``mca`` is 0 where llvm-mca can't tell."""

    name: str
    group: str
    hardware: float
    low: float
    high: float
    model: float
    mca: float


def mca_cpu() -> str | None:
    """Return the newest Zen that the installed llvm-mca knows, or None."""
    tool = shutil.which("llvm-mca")
    if tool is None:
        return None
    known = subprocess.run([tool, "-mcpu=help"], input="", capture_output=True, text=True, check=False)
    return next((cpu for cpu in MCA_CPUS if cpu in known.stderr + known.stdout), None)


def mca(prediction: Prediction, cpu: str) -> float:
    """Return llvm-mca's cycles for the instructions of one iteration as straight-line code."""
    lines = [re.sub(r"^(j\w+|call|loop) 0x[0-9a-f]+$", r"\1 there", line.text) for line in prediction.lines]
    code = "\n".join([".intel_syntax noprefix", *lines, "there:"])
    done = subprocess.run(
        ["llvm-mca", f"-mcpu={cpu}", f"-iterations={_ITERATIONS}"],
        input=code, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    total = re.search(r"Total Cycles:\s+(\d+)", done.stdout)
    return int(total[1]) / _ITERATIONS if total else 0.0


def row(name: str, kernel: Kernel, model: str, mca_model: str | None) -> Row:
    """Measure and predict one kernel."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{name}.s")
        path.write_text(source(kernel), "utf-8")
        piece = read_piece(path, "x86_64", None)
        measured = measure(piece, once=False)
        predictor = Predictor(piece, model)
        whole = predictor.predict(None)
        loop = predictor.predict("loop_top")
    static = mca(loop, mca_model) if mca_model else 0.0
    return Row(name, kernel.group, measured.cycles, measured.low, measured.high, whole.cycles, static)


def summary(title: str, rows: Sequence[Row]) -> str:
    """Return the errors of some rows in one line each for the model and llvm-mca."""
    lines = []
    for who, values in (
        ("klpemu", [(r.model, r.hardware) for r in rows]),
        ("llvm-mca", [(r.mca, r.hardware) for r in rows if r.mca]),
    ):
        errors = sorted(abs(found / real - 1) * 100 for found, real in values)
        if errors:
            within = sum(error <= 15 for error in errors)
            lines.append(
                f"{title:<18} {who:<9} MAPE {statistics.fmean(errors):6.1f} %  "
                f"median {statistics.median(errors):6.1f} %  "
                f"within 15 %: {within}/{len(errors)}  largest {errors[-1]:.1f} %"
            )
    return "\n".join(lines)


def main() -> int:
    """Measure, predict, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--half", choices=sorted(HALVES), action="append")
    parser.add_argument("--only", default="", help="kernels whose names contain this")
    arguments = parser.parse_args()
    model = host_model()
    if model is None:
        print(f"no CPU model describes this host: {cpu_name()}", file=sys.stderr)
        return 4
    mca_model = mca_cpu()
    print(f"host {cpu_name()}, model {model}, llvm-mca -mcpu={mca_model}")
    print(
        f"{'kernel':<26} {'group':<9} {'hw':>8} {'from':>8} {'to':>8} {'klpemu':>8} {'error':>7} {'mca':>8}"
    )
    for half in arguments.half or sorted(HALVES):
        rows = []
        for name, kernel in HALVES[half].items():
            if arguments.only not in name:
                continue
            try:
                found = row(name, kernel, model, mca_model)
            except EmuError as error:
                print(f"{name:<26} left out: {error}")
                continue
            rows.append(found)
            print(
                f"{name:<26} {found.group:<9} {found.hardware:8.2f} {found.low:8.2f} {found.high:8.2f} "
                f"{found.model:8.2f} {100 * (found.model / found.hardware - 1):+6.1f}% {found.mca:8.2f}",
                flush=True,
            )
        print(summary(half, rows))
        print(summary(f"{half}, dispatch", [r for r in rows if r.group == "dispatch"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
