"""Real loops through the compiled kernel and its plain twin: what random streams seldom make."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.cycles import dev, fourth, third
from benchmarks.cycles.frame import source
from emu.lab.cycles.piece import read_piece
from emu.lab.cycles.predict import Predictor
from tests.reference.both_models import assert_equal_clocks

NAMES = (
    "call_tail", "push_pop_8", "light_redirect", "full_plain",
    "list_walk_call", "save_restore_9", "copy_words",
    "lock_then_work", "branches", "shift_mix",
    "copy_four_words", "lock_add_two_lines", "loop_inside",
    "indirect_three_in_turn", "switch_three_in_turn", "state_patched_jump", "sfence_between", "mix_divide",
)  # fmt: skip
KERNELS = third.KERNELS | fourth.KERNELS | dev.KERNELS


@pytest.mark.toolchain
@pytest.mark.parametrize("name", NAMES)
def test_a_kernel_takes_the_same_cycles_in_both(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.s"
    path.write_text(source(KERNELS[name]), "utf-8")
    assert_equal_clocks(Predictor(read_piece(path, "x86_64", None), "zen4"), 40)
