"""How far back the direction of a branch is predicted from."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from emu.timing import load_cpu_model, new_cpu
from emu.timing.directions import predict_direction
from emu.timing.layout import P_HISTORY

INNER, END = 0x401000, 0x401010


def loop(rounds: int) -> Iterator[tuple[int, bool]]:
    """Yield one lap of a loop: a branch that is never taken and one back, taken but for the last round."""
    for left in reversed(range(rounds)):
        yield INNER, False
        yield END, left > 0


def wrong_in_a_lap(rounds: int, history: int) -> int:
    """Return how many predictions fail in a lap once all has been seen often."""
    cpu = new_cpu(load_cpu_model("zen4"), 0, 1)
    cpu[P_HISTORY] = history
    for _ in range(60):
        wrong = sum(not predict_direction(cpu, pc, taken) for pc, taken in loop(rounds))
    return wrong


@pytest.mark.parametrize("rounds", [2, 7, 20, 100, 300])
def test_the_end_of_a_loop_is_seen_as_far_as_history_goes(rounds: int) -> None:
    assert wrong_in_a_lap(rounds, 768) == 0


@pytest.mark.parametrize(("rounds", "history"), [(100, 0), (100, 96), (500, 768)])
def test_and_no_farther(rounds: int, history: int) -> None:
    assert wrong_in_a_lap(rounds, history) == 1


def test_chance_stays_chance() -> None:
    cpu = new_cpu(load_cpu_model("zen4"), 0, 1)
    outcomes = np.random.default_rng(1).integers(0, 2, 20_000)
    wrong = [not predict_direction(cpu, END, bool(taken)) for taken in outcomes]
    assert 0.45 < np.mean(wrong) < 0.55


def test_what_is_nearly_always_so_is_predicted_so() -> None:
    cpu = new_cpu(load_cpu_model("zen4"), 0, 1)
    outcomes = np.random.default_rng(1).random(20_000) < 0.02
    wrong = [not predict_direction(cpu, END, bool(taken)) for taken in outcomes]
    assert np.mean(wrong) < 0.05
