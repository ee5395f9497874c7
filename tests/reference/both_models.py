"""A piece of code through the compiled cycle model and through its plain twin."""

from __future__ import annotations

from emu.lab.cycles.predict import Predictor
from emu.machine.stream import END
from emu.timing import ROW_WORDS, new_cpu, new_shared, step
from tests.reference.cycle_model import PlainCpu


def assert_equal_clocks(predictor: Predictor, iterations: int) -> None:
    """Run so many iterations through both, and compare the clock behind each instruction."""
    stream = predictor.record(iterations)
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
