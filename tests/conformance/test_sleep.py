"""A task may sleep inside a version that meanwhile is gone from the site."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from emu.kernel.errno import EBUSY
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
    bench = Bench(setup)
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
    """Livepatch here switches at once, so who sleeps inside a version comes back into it."""

    def test_patch_is_disabled_while_tasks_sleep_in_its_function(self, setup: Setup) -> None:
        bench = sleepers_bench(setup)
        handle = bench.enable(PATCH)
        bench.run(12)
        until_all_sleep(bench)
        bench.disable(handle)
        gone, done = bench.last_event(EventKind.SETTLED), len(bench.machine.trace.calls)
        assert bench.is_off("mini_sleep")
        assert asleep(bench), "it did not wait for sleepers"
        bench.run(20)
        calls = bench.machine.trace.calls
        across = calls[done:][calls[done:]["dispatch_seq"] < bench.last_event(EventKind.DISABLE)]
        assert len(across), "they came back into the replacement"
        assert set(across["result"].tolist()) == {handle.id << 32 | TICKS}
        later = calls[calls["seq"] > gone]
        assert set(later["patch"].tolist()) == {0}

    def test_disabled_patch_stays_in_memory_until_the_last_sleeper_has_left_it(self, setup: Setup) -> None:
        bench = sleepers_bench(setup)
        handle = bench.enable(PATCH)
        bench.run(12)
        until_all_sleep(bench)
        bench.disable(handle)

        again = bench.machine.livepatch.enable(PATCH)
        bench.machine.run(until=again.settled)
        assert again.result == -EBUSY
        assert bench.machine.log[-1].startswith("klpemu: can't unload module 'sleep'")
        bench.run(20)
        assert bench.enable(PATCH).result == 0
        bench.run(20)

    def test_function_is_patched_while_tasks_sleep_in_the_original(self, setup: Setup) -> None:
        bench = sleepers_bench(setup)
        until_all_sleep(bench)
        handle = bench.enable(PATCH)
        began, done = bench.last_event(EventKind.ENABLE), len(bench.machine.trace.calls)
        settled = bench.last_event(EventKind.SETTLED)
        bench.run(20)
        calls = bench.machine.trace.calls
        across = calls[done:][calls[done:]["seq"] < began]
        assert len(across), "they came back into the original"
        assert set(across["result"].tolist()) == {TICKS}
        assert set(across["patch"].tolist()) == {0}
        later = calls[calls["seq"] > settled]
        assert set(later["patch"].tolist()) == {handle.id}

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
