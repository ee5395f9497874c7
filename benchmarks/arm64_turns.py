"""One run of the arm64 curve from its first call to its last, while another task wants the CPU, too.

The published runs lost 0, 1, 2 or 3 ticks (`arm64_published`). Here another kernel thread has as much to
compute as the most that one lost, three ticks, and the run begins half a tick before the first one: nothing
else is chosen, and it is the same for every row. Both take turns because the guest's scheduler lets them.
All is a tenth of what it was: calls, ticks and work.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.arm64_published import CALLS, GHZ, TICK, Key
from benchmarks.arm64_tracees import COMPUTE, LOOP, RELEVANT, address, traced

SCALE = 10
WORK = 3
"""Ticks that the other task computes while the run goes on."""
_TICK_CYCLES = round(TICK * GHZ) // SCALE
_ROUND_CYCLES = 6_000
"""How long the loop may go on until it offers to be preempted: in this guest the list function does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """What a run took.

    Args:
        total: ns, all calls, in the size of the published runs.
        lost: ticks of it in which the other task ran.
    """

    total: float
    lost: int


def run_beside_another(key: Key, cycles: float, *, model: str) -> Turns:
    """Make a run of a row whose calls take so many ``cycles`` each if nothing disturbs them."""
    machine = traced(key, model=model, tick=_TICK_CYCLES, spare_tasks=2)
    loop, compute = (address(machine, "curve", name) for name in (LOOP, COMPUTE))
    calls = max(1, round(_ROUND_CYCLES / cycles))
    machine.kernel.spawn("run", [(loop, (calls,))], cpu=0, forever=True)
    machine.run(cycles=2 * _TICK_CYCLES)
    since = machine.furthest_clock()
    # it begins at once: one turn more
    machine.kernel.spawn("other", [(compute, ((WORK + 1) * _TICK_CYCLES,))], cpu=0)
    number = CALLS // SCALE
    machine.run(cycles=int(1.2 * number * cycles) + (WORK + 5) * _TICK_CYCLES)
    rows = machine.trace.calls
    mine = (rows["site"] == address(machine, "tracees", RELEVANT)) & (rows["enter"] > since)
    times = np.sort(rows["enter"][mine]).astype(np.int64)
    turns = np.flatnonzero(np.diff(times) > _TICK_CYCLES // 2)
    times = times[times >= times[turns[0] + 1] + _TICK_CYCLES // 2][: number + 1]
    assert len(times) == number + 1, "it ran long enough"
    return Turns(
        total=float(times[-1] - times[0]) * SCALE / GHZ,
        lost=int(np.count_nonzero(np.diff(times) > _TICK_CYCLES // 2)),
    )
