"""Same arguments, same trace, in any process, whatever Python's hashes; another seed, another trace."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from emu.lab.machine import Machine

pytestmark = pytest.mark.slow

ARGUMENTS = [
    (arch, mode, call_ops)
    for arch, call_ops in (("x86_64", False), ("arm64", False), ("arm64", True))
    for mode in ("exact", "fast")
]


def digest(arch: str, mode: str, call_ops: bool, seed: int) -> str:
    """Return the digest of a run in which patches and tracers come and go."""
    machine = Machine(arch=arch, mode=mode, call_ops=call_ops, seed=seed, cpus=2, tick=2_000)
    assert machine.run(calls=100).ok
    patch = machine.livepatch.enable("livepatch-show")
    assert machine.run(until=patch.settled).ok
    assert machine.wait(machine.load("target")) == 0
    assert machine.wait(machine.tracing.add("mini_leaf")) == 0
    both = machine.livepatch.enable("livepatch-target")
    assert machine.run(until=both.settled).ok
    patch.disable()
    assert machine.run(until=patch.settled).ok
    assert machine.run(calls=200).ok
    return machine.finish().meta["digest"]


def digests(seed: int) -> tuple[str, ...]:
    """Return the digests of every kind of machine."""
    return tuple(digest(*arguments, seed) for arguments in ARGUMENTS)


@pytest.fixture(scope="module")
def first() -> tuple[str, ...]:
    """The digests of seed 1 in this process."""
    return digests(seed=1)


class TestDigest:
    """One per set of arguments."""

    def test_is_the_same_again_in_this_process(self, first: tuple[str, ...]) -> None:
        assert digests(seed=1) == first
        assert len(set(first)) == len(first)

    def test_differs_for_another_seed(self, first: tuple[str, ...]) -> None:
        assert not set(first) & set(digests(seed=2))

    @pytest.mark.parametrize("hash_seed", ["0", "4242"])
    def test_is_the_same_in_another_process_whatever_its_hashes(
        self, first: tuple[str, ...], hash_seed: str
    ) -> None:
        program = "from tests.exhaustive.test_determinism import digests; print(*digests(1))"
        printed = subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert tuple(printed.stdout.split()) == first
