"""What runs show under each ordering: never what it forbids; what makes it weak within thousands of seeds."""

from __future__ import annotations

import pytest

from emu.arch import PORTS
from emu.machine.programs import Thread, run_program
from emu.machine.state import Ordering
from tests.machine.shapes import ARM, POINTERS, SHAPES, X86, Shape, X, Y, Z, code_of, is_asked_for, outcomes

_FORBIDDEN_SEEDS = range(1500)
_WITHIN = range(4000)


def _cases(what: str) -> list[pytest.param]:  # type: ignore[valid-type]  # a function, to pytest's annotations
    return [
        pytest.param(shape, ordering, id=f"{shape}-{ordering.name.lower()}")
        for shape in SHAPES
        for ordering in sorted(getattr(shape, what))
    ]


class TestSoundness:
    """No run shows an outcome that its ordering forbids."""

    @pytest.mark.parametrize(("shape", "ordering"), _cases("never"))
    def test_a_forbidden_outcome_never_appears(self, shape: Shape, ordering: Ordering) -> None:
        seeds = _FORBIDDEN_SEEDS if ordering is not Ordering.SC else range(200)
        assert not any(is_asked_for(shape, outcome) for outcome in outcomes(shape, ordering, seeds))


class TestWeakness:
    """Runs show what the ordering is known for."""

    @pytest.mark.parametrize(("shape", "ordering"), _cases("shows"))
    def test_an_allowed_outcome_appears(self, shape: Shape, ordering: Ordering) -> None:
        assert any(is_asked_for(shape, outcome) for outcome in outcomes(shape, ordering, _WITHIN))

    def test_load_buffering_is_allowed_on_arm64_but_not_shown(self) -> None:
        """It would take a store before a load that it does not wait for: promises, which runs do not make."""
        (shape,) = (shape for shape in ARM if shape.name == "LB")
        assert not any(is_asked_for(shape, o) for o in outcomes(shape, Ordering.ARM64, range(1000)))


class TestDeterminism:
    """Same seed, same outcome."""

    @pytest.mark.parametrize("shape", [ARM[0], X86[1]], ids=str)
    def test_a_seed_gives_one_outcome(self, shape: Shape) -> None:
        own = Ordering[PORTS[shape.port].memory_order.own.upper()]
        first = list(outcomes(shape, own, range(100)))
        assert first == list(outcomes(shape, own, range(100)))
        assert len({str(outcome) for outcome in first}) > 1

    def test_a_program_run_alone_ends_as_among_others(self) -> None:
        shape = ARM[0]
        threads = [Thread(code=code_of("arm64", text), registers=POINTERS["arm64"]) for text in shape.threads]
        alone = run_program(PORTS["arm64"], threads, Ordering.ARM64, 7, {X: 0, Y: 0, Z: 0})
        among = list(outcomes(shape, Ordering.ARM64, range(8)))[7]
        assert alone.memory == among.memory
        assert alone.registers[1]["x0"] == among.registers[1]["x0"]
