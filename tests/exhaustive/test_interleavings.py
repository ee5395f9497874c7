"""A switch to the caller at every point of an installation: each call runs the old version or the new one."""

from __future__ import annotations

import pytest

from tests.exhaustive.lockstep import Lockstep
from tests.exhaustive.plays import dense, sparse
from tests.exhaustive.promises import Promises
from tests.exhaustive.schemes import FETCHES, SCHEMES, Scheme

pytestmark = pytest.mark.slow

CASES = [(scheme, fetch) for scheme in SCHEMES for fetch in FETCHES[scheme.arch]]
SITUATIONS = {
    "two functions": {"functions": ("mini_leaf", "mini_landing")},
    "one calls the other": {"functions": ("mini_nested",), "patched": ("mini_nested", "mini_leaf")},
    "traced already": {"functions": ("mini_leaf", "mini_landing"), "traced": True},
    "a neighbour stays as it is": {"functions": ("mini_leaf", "mini_landing"), "patched": ("mini_landing",)},
}


@pytest.mark.parametrize(("scheme", "fetch"), CASES, ids=str)
class TestWholeCalls:
    """CPU0 installs, CPU1 calls in between: no fault, no WARN, right results, one change of version."""

    @pytest.mark.parametrize("situation", SITUATIONS)
    def test_at_every_instruction_boundary(self, scheme: Scheme, fetch: str, situation: str) -> None:
        machine = Lockstep(scheme, fetch=fetch, **SITUATIONS[situation])  # type: ignore[arg-type]  # by name
        promises, text = Promises(machine), machine.text_held()
        for enabled in (True, False):
            boundaries = dense(machine, machine.submit_enable() if enabled else machine.submit_disable())
            machine.call()
            assert promises.check(enabled=enabled) >= boundaries > 500
            assert machine.text_seen() == machine.text_held()
        assert machine.text_held() == text

    def test_at_each_operation_boundary_with_nothing_fetched_since(self, scheme: Scheme, fetch: str) -> None:
        machine = Lockstep(scheme, fetch=fetch, functions=("mini_leaf",))
        promises, at, more = Promises(machine), 0, True
        while more:
            more = sparse(machine, machine.submit_enable(), at)
            machine.call()
            promises.check(enabled=True)
            more |= sparse(machine, machine.submit_disable(), at)
            machine.call()
            promises.check(enabled=False)
            at += 1
        assert at > 100
