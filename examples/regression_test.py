"""What somebody who maintains trampolines keeps in CI: no kernel to build, nothing to boot.

pytest examples/regression_test.py
"""

import numpy as np
import pytest

from emu import Machine
from emu.trace import CallFlag

BUDGET = {"x86_64": 75, "arm64": 180}
"""Instructions that the entry of a patched function may take; raise it only on purpose."""


@pytest.mark.parametrize("mode", ["fast", "exact"])
@pytest.mark.parametrize("arch", ["x86_64", "arm64"])
def test_patching_under_load_disturbs_nobody(arch: str, mode: str) -> None:
    """The guest itself checks every result, register and stack pointer."""
    m = Machine(arch=arch, cpus=4, mode=mode, tick=1_500)
    before = m.site_bytes("mini_leaf")
    patch = m.livepatch.enable("livepatch-mini")
    assert m.run(until=patch.settled).ok
    assert m.run(calls=500).ok
    patch.disable()
    assert m.run(until=patch.settled).ok
    assert m.site_bytes("mini_leaf") == before
    assert (m.bad_results(), m.kernel.warnings()) == (0, 0)


@pytest.mark.parametrize("arch", ["x86_64", "arm64"])
def test_entry_stays_within_its_budget(arch: str) -> None:
    """Without a timing model, cycles are instructions."""
    m = Machine(arch=arch, cpus=1)
    patch = m.livepatch.enable("livepatch-sample")
    m.run(until=patch.settled)
    m.run(calls=1_000)
    flags = m.trace.calls["flags"]
    calls = m.trace.calls[flags & (CallFlag.REDIRECTED | CallFlag.TRANSITION) == CallFlag.REDIRECTED]
    assert np.median(calls["dispatched"] - calls["enter"]) <= BUDGET[arch]
