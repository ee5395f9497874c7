"""Real loops through the compiled kernel and its plain twin: what random streams seldom make."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.cycles import dev
from benchmarks.cycles.frame import source
from emu.lab.cycles.piece import read_piece
from emu.lab.cycles.predict import Predictor
from emu.machine.stream import END
from emu.timing import ROW_WORDS, new_cpu, new_shared, step
from tests.reference.cycle_model import PlainCpu

NAMES = (
    "call_tail", "push_pop_8", "light_redirect", "full_plain",
    "list_walk_call", "save_restore_9", "copy_words",
    "lock_then_work", "branches", "shift_mix",
)  # fmt: skip


@pytest.mark.toolchain
@pytest.mark.parametrize("name", NAMES)
def test_a_kernel_takes_the_same_cycles_in_both(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.s"
    path.write_text(source(dev.KERNELS[name]), "utf-8")
    predictor = Predictor(read_piece(path, "x86_64", None), "zen4")
    stream = predictor.record(40)
    numbers = predictor.row_numbers(stream)
    base, _ = predictor.piece.text
    cpu, shared = new_cpu(predictor.model), new_shared(predictor.model)
    rows = predictor.rows.array
    plain = PlainCpu(dict(predictor.model.parameters))
    table = rows.reshape(-1, ROW_WORDS).tolist()
    steps = stream.tolist()
    for at, (pc, load, store, detail) in enumerate(steps):
        target = steps[at + 1][0] if at + 1 < len(steps) else END
        row = int(numbers[pc - base])
        assert step(cpu, shared, rows, row, pc, target, load, store, detail) == plain.step(
            table[row], pc, target, load, store, detail
        ), f"instruction {at} at {pc:#x}"
