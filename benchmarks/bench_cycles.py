"""How close does the cycle model come to the host's CPU, next to llvm-mca?

Every kernel of four sets; per set and for dispatch kernels the mean absolute percentage error (MAPE).
docs/cycle-model.md says what the sets are. Needs a host that has a CPU model, and quiet.
"""

from __future__ import annotations

import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.cycles import dev, fourth, third, unseen
from benchmarks.cycles.frame import Kernel, source
from benchmarks.harness import Result, Table, main
from emu.errors import EmuError
from emu.lab.cycles.host import cpu_name, host_model, measure
from emu.lab.cycles.piece import read_piece
from emu.lab.cycles.predict import Prediction, Predictor

SETS = {"dev": dev.KERNELS, "unseen": unseen.KERNELS, "third": third.KERNELS, "fourth": fourth.KERNELS}
MCA_CPUS = ("znver4", "znver3")
_ITERATIONS = 100
_UNSTEADY = 1.5
"""A kernel whose samples differ by more than this factor is not compared."""


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


def errors(title: str, rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Return the errors of some rows, one row of a table each for the model and llvm-mca."""
    found = []
    for who, values in (
        ("klpemu", [(r.model, r.hardware) for r in rows]),
        ("llvm-mca", [(r.mca, r.hardware) for r in rows if r.mca]),
    ):
        off = sorted(abs(predicted / real - 1) * 100 for predicted, real in values)
        if off:
            within = sum(error <= 15 for error in off)
            found.append(
                (
                    f"{title} ({len(off)}), {who}",
                    *(f"{value:.1f} %" for value in (statistics.fmean(off), statistics.median(off))),
                    *(f"{within}/{len(off)}", f"{off[-1]:.1f} %"),
                )
            )
    return found


def measure_all(quick: bool) -> Result:
    """Measure and predict every kernel of each set."""
    model = host_model()
    if model is None:
        print(f"no CPU model describes this host: {cpu_name()}", file=sys.stderr)
        raise SystemExit(4)
    mca_model = mca_cpu()
    notes = [
        f"model {model}; llvm-mca -mcpu={mca_model}" if mca_model else f"model {model}; no llvm-mca here"
    ]
    found: dict[str, list[Row]] = {}
    for kernel_set, kernels in SETS.items():
        found[kernel_set] = []
        for name, kernel in list(kernels.items())[: 3 if quick else None]:
            try:
                one = row(name, kernel, model, mca_model)
            except EmuError as error:
                notes.append(f"{name} left out: {str(error).rpartition(': ')[2]}")
                continue
            if one.low <= 0 or one.high > _UNSTEADY * one.low:
                notes.append(f"{name} left out: measured {one.low:.2f} to {one.high:.2f} cycles")
            else:
                found[kernel_set].append(one)
    rows = [
        line
        for kernel_set, measured in found.items()
        for title, chosen in (
            (kernel_set, measured),
            (f"{kernel_set}, dispatch only", [r for r in measured if r.group == "dispatch"]),
        )
        for line in errors(title, chosen)
    ]
    tables = (
        Table(
            title="Errors of predicted cycles",
            columns=("kernels", "MAPE", "median", "within 15 %", "largest"),
            rows=tuple(rows),
        ),
        Table(
            title="Cycles per iteration of kernels that are off by more than 15 %",
            columns=("kernel", "this CPU", "klpemu", "off by", "llvm-mca"),
            rows=tuple(
                (
                    f"{kernel_set}, {r.name}",
                    f"{r.hardware:,.2f} ({r.low:,.2f} .. {r.high:,.2f})",
                    f"{r.model:,.2f}",
                    f"{100 * (r.model / r.hardware - 1):+.1f} %",
                    f"{r.mca:,.2f}" if r.mca else "",
                )
                for kernel_set, measured in found.items()
                for r in measured
                if abs(r.model / r.hardware - 1) > 0.15
            ),
        ),
    )
    data = {kernel_set: [asdict(r) for r in measured] for kernel_set, measured in found.items()}
    return Result(tables=tables, data=data, notes=tuple(notes))


if __name__ == "__main__":
    main(__doc__, measure_all)
