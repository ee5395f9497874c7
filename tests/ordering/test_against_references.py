"""The compiled search gives what slow, plain twins give: whole sets of outcomes, on random programs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emu.ordering.code.thread import settled
from emu.ordering.columns import ARM_ATOMIC
from emu.ordering.explore import Exploration, explore
from emu.ordering.generate import random_test
from emu.ordering.litmus.program import LitmusTest
from emu.ordering.local_arm64 import ArmOrder
from emu.ordering.local_x86 import TsoOrder
from emu.ordering.tree import Forest
from tests.ordering.support import initial, observed, programs, read
from tests.reference.machines import Recorder, run
from tests.reference.memory_models import candidates, outcomes

SEEDS = st.integers(0, 10**6)
RELAXED = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
MOST = 3000
"""Candidates that the plain twin is asked to judge."""


def explored(test: LitmusTest, order: Any, rules: int = 0) -> dict[Any, int]:
    def attempt() -> Exploration:
        return explore(programs(test, order), initial(test), rules=rules, observed=observed(test))

    found = settled(test.code, attempt)
    places = observed(test)
    assert found.complete
    result: dict[Any, int] = {}
    for one in found.outcomes:
        key = one.finals, tuple(one.memory[place] for place in places)
        result[key] = result.get(key, 0) + one.executions
    return result


def plain(test: LitmusTest, order: Any, *, arm: bool) -> dict[Any, int] | None:
    forest = settled(test.code, lambda: Forest(programs(test, order), initial(test)))
    memory = initial(test)
    if sum(1 for _ in zip(candidates(forest, memory), range(MOST), strict=False)) == MOST:
        return None
    return outcomes(forest, memory, observed(test), arm=arm)


class TestAxioms:
    """All executions that the axioms allow, and as many: the plain twin judges each candidate whole."""

    @pytest.mark.parametrize("features", ["plain", "deps", "atomics", "exclusives", "all", "mixed"])
    @RELAXED
    @given(seed=SEEDS)
    def test_arm(self, features: str, seed: int) -> None:
        test = read(random_test(seed, features, cpus=2, length=3 if features == "mixed" else 2))
        expected = plain(test, ArmOrder, arm=True)
        if expected is not None:
            assert explored(test, ArmOrder, ARM_ATOMIC) == expected

    @pytest.mark.parametrize("features", ["x86", "mixed-x86"])
    @RELAXED
    @given(seed=SEEDS, total=st.booleans())
    def test_x86(self, features: str, seed: int, total: bool) -> None:
        def order() -> TsoOrder:
            return TsoOrder(total=total)

        test = read(random_test(seed, features, cpus=2, length=3 if features == "mixed-x86" else 2))
        expected = plain(test, order, arm=False)
        if expected is not None:
            assert explored(test, order) == expected

    @settings(RELAXED, max_examples=10)
    @given(seed=SEEDS)
    def test_three_cpus(self, seed: int) -> None:
        test = read(random_test(seed, "plain", cpus=3, length=1))
        expected = plain(test, ArmOrder, arm=True)
        if expected is not None:
            assert explored(test, ArmOrder, ARM_ATOMIC) == expected


class TestMachines:
    """The axioms of SC and x86-TSO allow just what machines do that run all interleavings."""

    @RELAXED
    @given(seed=SEEDS, cpus=st.integers(2, 3), length=st.integers(1, 3))
    def test_tso_is_the_store_buffer_machine(self, seed: int, cpus: int, length: int) -> None:
        test = read(random_test(seed, "x86", cpus=cpus, length=length))
        machine = run(programs(test, Recorder), test.memory, observed(test), buffered=True)  # type: ignore[arg-type]

        assert set(explored(test, TsoOrder)) == machine

    @RELAXED
    @given(seed=SEEDS, cpus=st.integers(2, 3), length=st.integers(1, 3))
    def test_sc_is_interleaving(self, seed: int, cpus: int, length: int) -> None:
        test = read(random_test(seed, "x86", cpus=cpus, length=length))
        machine = run(programs(test, Recorder), test.memory, observed(test), buffered=False)  # type: ignore[arg-type]

        assert set(explored(test, lambda: TsoOrder(total=True))) == machine


def test_exploring_twice_gives_the_same_in_the_same_order() -> None:
    test = read(random_test(7, "all", cpus=2, length=3))
    first: Sequence[Any] = explore(programs(test, ArmOrder), test.memory, rules=ARM_ATOMIC).outcomes
    again: Sequence[Any] = explore(programs(test, ArmOrder), test.memory, rules=ARM_ATOMIC).outcomes

    assert first == again
    assert len(first) > 1


def test_hundreds_of_outcomes_are_told_apart() -> None:
    stores = "".join(f"STR W1,[X20] | LDR W{n},[X20] ;\nADD W1,W1,#1 | ;\n" for n in range(2, 7))
    text = (
        "AArch64 many\n{ 0:X20=x; 0:X1=1; 1:X20=x; }\nP0 | P1 ;\n" + stores
        + "locations [1:X2; 1:X3; 1:X4; 1:X5; 1:X6;]\nforall true\n"
    )  # fmt: skip
    test = read(text)
    found = explore(programs(test, ArmOrder), test.memory, rules=ARM_ATOMIC)

    # Five reads of a value that only grows from 0 to 5: any five of six, in order, with repetition.
    assert {one.finals[1] for one in found.outcomes} == set(
        itertools.combinations_with_replacement(range(6), 5)
    )
    assert len(found.outcomes) == found.executions == 252


class TestLazily:
    """Asking programs only for what a partial execution has reached loses nothing."""

    @RELAXED
    @given(seed=SEEDS, features=st.sampled_from(["plain", "deps", "atomics", "exclusives", "all", "mixed"]))
    def test_outcomes_are_the_same(self, seed: int, features: str) -> None:
        test = read(random_test(seed, features, cpus=2, length=3))

        def attempt(lazily: bool) -> Exploration:
            return explore(
                programs(test, ArmOrder),
                initial(test),
                rules=ARM_ATOMIC,
                observed=observed(test),
                lazily=lazily,
            )

        whole = settled(test.code, lambda: attempt(False))
        lazy = settled(test.code, lambda: attempt(True))

        def told(found: Any) -> set[Any]:
            return {(one.finals, tuple(sorted(one.memory.items())), one.executions) for one in found.outcomes}

        assert lazy.complete
        assert lazy.executions == whole.executions
        assert sorted(map(repr, told(lazy))) == sorted(map(repr, told(whole)))
