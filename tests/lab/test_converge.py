"""How long transitions take, as a distribution over seeds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from emu.lab.converge import converge
from emu.lab.incidents import load_incident
from emu.lab.scenario import Scenario, ScenarioError, Step

STEPS = (
    Step(after_calls=100, action="enable", subject="livepatch-sample"),
    Step(after_calls=200, action="disable", subject="livepatch-sample"),
)
SCENARIO = Scenario(name="x", cpus=2, workers=1, tick=500, steps=STEPS)


def test_one_number_per_seed_and_the_same_every_time() -> None:
    first, second = (converge(SCENARIO, range(1, 6)) for _ in range(2))

    assert first.patch == "livepatch-sample"
    assert first.cycles.dtype == np.uint64
    assert len(first.cycles) == 5
    assert not first.never
    assert np.array_equal(first.cycles, second.cycles)
    assert len(set(first.cycles.tolist())) > 1
    spread = first.percentiles(50, 100)
    assert spread == {50: int(np.sort(first.cycles)[2]), 100: int(first.cycles.max())}


def test_one_that_never_settles_is_counted_apart() -> None:
    found = converge(replace(load_incident("idle-cpu"), patience=2), [4, 5])

    assert found.never == (4, 5)
    assert len(found.cycles) == 0
    assert found.percentiles(50) == {}


def test_a_patch_that_is_not_enabled_is_told() -> None:
    with pytest.raises(ScenarioError, match=r"^scenario: steps: nothing enables nosuch$"):
        converge(SCENARIO, [1], patch="nosuch")
