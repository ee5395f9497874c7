"""A kernel whose CPUs have cycle models does what it does without them."""

from __future__ import annotations

import numpy as np
import pytest

from emu.trace.schema import PARTS, CallFlag
from tests.conformance.bench import PATCHES, Bench
from tests.conformance.setups import Setup


@pytest.mark.slow
class TestTimed:
    """Patches and tracers come and go; nothing goes wrong, and every call's cycles are told by part."""

    def test_patching_and_tracing_leave_everything_as_it_was(self, timed_setup: Setup) -> None:
        bench = Bench(timed_setup)
        before = bench.run(150)
        assert bench.trace("mini_leaf") == 0
        handles = [bench.enable(name) for name in PATCHES]
        during = bench.run(300)
        for handle in reversed(handles):
            bench.disable(handle)
        assert bench.untrace("mini_leaf") == 0
        bench.run(100)

        hooked = (during["flags"] & np.uint16(CallFlag.HOOKED)) != 0
        redirected = (during["flags"] & np.uint16(CallFlag.REDIRECTED)) != 0
        assert redirected.any()
        assert not (before["flags"] & np.uint16(CallFlag.HOOKED)).any()
        for calls in (before, during):
            done = calls[(calls["flags"] & np.uint16(CallFlag.UNFINISHED)) == 0]
            total = sum(done[name].astype(np.uint64) for name in PARTS)
            assert (total == done["exit"] - done["enter"]).all()
        assert during["save_cycles"][hooked].any()
        assert during["restore_cycles"][hooked].any()
        assert during["handler_cycles"][hooked].any()
