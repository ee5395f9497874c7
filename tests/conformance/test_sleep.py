"""A task may sleep inside a version that meanwhile is gone from the site."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from emu.kernel.errno import EAGAIN
from emu.livepatch import Func, Object, Patch
from emu.structs import CONSTANTS
from emu.trace.schema import CallFlag, EventKind
from tests.conformance.bench import Bench
from tests.conformance.setups import Setup

TICKS = 60
"""Long enough for a patch to be disabled while everybody is asleep in mini_sleep."""

PATCH = Patch("sleep", (Object(None, (Func("mini_sleep", "lp_mini_sleep"),)),))


def asleep(bench: Bench) -> list[str]:
    """Return who sleeps until a tick."""
    kernel = bench.machine.kernel
    return [t.comm for t in kernel.tasks if kernel.task_field(t, "state") == CONSTANTS["TASK_TIMED"]]


def sleepers_bench(setup: Setup) -> Bench:
    """A machine whose tasks call nothing but mini_sleep, for many ticks each time."""
    bench = Bench(setup, workers=0, users=3)  # a kernel thread that only sleeps in it could never switch
    kernel = bench.machine.kernel
    call = next(call for call in bench.machine.manifest.calls if call.fn == "mini_sleep")
    long_call = replace(call, args=(TICKS,), expected=TICKS)
    kernel.offer_calls([(long_call, kernel.image.address("mini_sleep"))])
    bench.run(6)
    return bench


def until_all_sleep(bench: Bench) -> None:
    """Run until everybody who makes calls is asleep."""
    for _ in range(2_000):
        if len(asleep(bench)) == 6:
            return
        bench.machine.run(instructions=50)
    raise AssertionError(f"asleep are only {asleep(bench)}")


class TestSleepers:
    """A task that sleeps inside a version that a transition takes away holds the transition up."""

    def test_disabling_waits_for_who_sleeps_in_the_replacement(self, setup: Setup) -> None:
        bench = sleepers_bench(setup)
        handle = bench.enable(PATCH)
        bench.run(12)
        until_all_sleep(bench)
        done = len(bench.machine.trace.calls)
        handle.disable()
        bench.machine.run(until=handle.answered)
        assert not handle.settled(), "six tasks sleep in it"
        assert not bench.is_off("mini_sleep")
        bench.machine.run(until=handle.settled)
        assert bench.is_off("mini_sleep")
        calls = bench.machine.trace.calls
        began, gone = bench.last_event(EventKind.DISABLE), bench.last_event(EventKind.SETTLED)
        across = calls[done:][calls[done:]["dispatch_seq"] < began]
        assert len(across) == 6, "they came back into the replacement"
        assert set(across["result"].tolist()) == {handle.id << 32 | TICKS}
        bench.run(20)
        calls = bench.machine.trace.calls
        assert set(calls[calls["seq"] > gone]["patch"].tolist()) == {0}

    def test_disabled_patch_is_unloaded_once_nobody_is_in_it(self, setup: Setup) -> None:
        bench = sleepers_bench(setup)
        handle = bench.enable(PATCH)
        bench.run(12)
        until_all_sleep(bench)
        handle.disable()
        bench.machine.run(until=handle.answered)
        unload = bench.machine.livepatch.unload("sleep")
        assert bench.machine.wait(unload) == -EAGAIN
        bench.machine.run(until=handle.settled)
        bench.unload_patch("sleep")
        bench.assert_undone()

    def test_enabling_waits_for_who_sleeps_in_the_original(self, setup: Setup) -> None:
        bench = sleepers_bench(setup)
        until_all_sleep(bench)
        done = len(bench.machine.trace.calls)
        handle = bench.machine.livepatch.enable(PATCH)
        bench.machine.run(until=handle.answered)
        assert handle.result == 0
        assert not handle.settled()
        bench.machine.run(until=handle.settled)
        began, settled = bench.last_event(EventKind.ENABLE), bench.last_event(EventKind.SETTLED)
        bench.run(20)
        calls = bench.machine.trace.calls
        across = calls[done:][calls[done:]["seq"] < began]
        assert len(across) == 6, "they came back into the original"
        assert set(across["result"].tolist()) == {TICKS}
        assert set(across["patch"].tolist()) == {0}
        assert set(calls[calls["seq"] > settled]["patch"].tolist()) == {handle.id}

    def test_tracer_goes_while_tasks_sleep_in_the_traced_function(self, setup: Setup) -> None:
        bench = sleepers_bench(setup)
        assert bench.trace("mini_sleep") == 0
        bench.run(12)
        until_all_sleep(bench)
        assert bench.untrace("mini_sleep") == 0
        bench.assert_undone()
        rows = bench.run(20)
        assert set(rows["result"].tolist()) == {TICKS}
        assert not np.any(rows["flags"] & CallFlag.HOOKED)
