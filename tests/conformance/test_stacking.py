"""Several patches of one function: the newest wins, and goes first; atomic replace takes all places."""

from __future__ import annotations

from emu.livepatch import Func, Object, Patch
from emu.trace.schema import CallFlag
from tests.conformance.bench import Bench
from tests.conformance.setups import Setup

FUNCTION = "mini_many"


def layer(number: int) -> Patch:
    return Patch(f"layer-{number}", (Object(None, (Func(FUNCTION, f"lp_{FUNCTION}"),)),))


def versions(bench: Bench, function: str = FUNCTION) -> set[int]:
    rows = bench.run(250)
    bench.assert_results(rows)
    found = bench.of(rows, function)
    assert len(found)
    return set(found["patch"].tolist())


class TestStack:
    """``func_stack``: newest first."""

    def test_newest_wins_and_each_older_comes_back(self, setup: Setup) -> None:
        bench = Bench(setup)
        handles = [bench.enable(layer(number)) for number in range(3)]
        assert versions(bench) == {handles[2].id}
        called = bench.called_from_site(FUNCTION)
        for newer, older in ((2, 1), (1, 0)):
            bench.disable(handles[newer])
            assert versions(bench) == {handles[older].id}
            assert bench.called_from_site(FUNCTION) == called, "the site does not change for that"
        bench.disable(handles[0])
        assert versions(bench) == {0}
        assert bench.is_off(FUNCTION)
        for number in range(3):
            bench.unload_patch(f"layer-{number}")
        bench.assert_undone()

    def test_a_patch_below_may_go_first(self, setup: Setup) -> None:
        bench = Bench(setup)
        low, high = bench.enable(layer(0)), bench.enable(layer(1))
        bench.disable(low)
        assert versions(bench) == {high.id}
        bench.disable(high)
        assert versions(bench) == {0}
        for number in range(2):
            bench.unload_patch(f"layer-{number}")
        bench.assert_undone()

    def test_enabled_again_it_is_another_version(self, setup: Setup) -> None:
        bench = Bench(setup)
        first = bench.enable(layer(0))
        bench.disable(first)
        second = bench.enable(layer(0))
        assert second.id == first.id + 1
        assert versions(bench) == {second.id}

    def test_a_handler_between_the_layers_sees_calls_once(self, setup: Setup) -> None:
        bench = Bench(setup)
        bench.enable(layer(0))
        assert bench.trace(FUNCTION) == 0
        top = bench.enable(layer(1))
        before = bench.machine.tracing.hits(FUNCTION)
        rows = bench.of(bench.run(300), FUNCTION)
        assert set(rows["patch"].tolist()) == {top.id}
        grown = bench.machine.tracing.hits(FUNCTION) - before
        assert len(rows) <= grown <= len(rows) + 2 * len(bench.machine.kernel.tasks)


class TestAtomicReplace:
    """A replacing patch takes the place of all before; what it does not cover runs the original again."""

    def test_covered_changes_and_uncovered_is_the_original(self, setup: Setup) -> None:
        bench = Bench(setup)
        bench.enable("livepatch-mini")
        replacing = Patch("all", (Object(None, (Func(FUNCTION, f"lp_{FUNCTION}"),)),), replace=True)
        handle = bench.enable(replacing)
        assert list(bench.machine.livepatch.facts()) == ["all"]
        rows = bench.run(400)
        bench.assert_results(rows)
        assert set(bench.of(rows, FUNCTION)["patch"].tolist()) == {handle.id}
        others = rows[rows["site"] != bench.machine.kallsyms.address_of(FUNCTION)]
        assert set(others["patch"].tolist()) == {0}
        assert not (others["flags"] & CallFlag.HOOKED).any(), "the nops are gone when it is complete"
        bench.disable(handle)
        assert versions(bench) == {0}
        bench.unload_patch("all")
        bench.unload_patch("livepatch-mini")
        bench.assert_undone()

    def test_replaced_layers_are_all_gone(self, setup: Setup) -> None:
        bench = Bench(setup)
        for number in range(3):
            bench.enable(layer(number))
        replacing = Patch("all", (Object(None, (Func("mini_leaf", "lp_mini_leaf"),)),), replace=True)
        handle = bench.enable(replacing)
        assert versions(bench) == {0}
        assert versions(bench, "mini_leaf") == {handle.id}
        assert bench.is_off(FUNCTION)
        bench.disable(handle)
        for name in ("layer-0", "layer-1", "layer-2", "all"):
            bench.unload_patch(name)
        bench.assert_undone()
