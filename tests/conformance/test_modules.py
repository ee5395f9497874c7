"""A module's functions are traced and patched like the kernel's, wherever the module lies."""

from __future__ import annotations

import pytest

from emu.build.memory_map import FAR_MODULES, MODULES
from emu.kernel.errno import EEXIST, ENOENT
from emu.trace.schema import CallFlag
from tests.conformance.bench import Bench, Calls
from tests.conformance.setups import Setup

FUNCTIONS = {"target_show": 0, "target_sum": 7}


@pytest.fixture
def bench(module_setup: Setup) -> Bench:
    """A machine with the module loaded."""
    bench = Bench(module_setup)
    assert bench.do(bench.machine.load("target")) == 0
    return bench


def versions(bench: Bench, rows: Calls) -> set[int]:
    found: set[int] = set()
    for function, result in FUNCTIONS.items():
        own = bench.of(rows, function)
        assert len(own), function
        assert set((own["result"] & 0xFFFF_FFFF).tolist()) == {result}
        assert (own["result"] >> 32).tolist() == own["patch"].tolist()
        found |= set(own["patch"].tolist())
    return found


def unloaded(bench: Bench) -> None:
    assert bench.do(bench.machine.unload("target")) == 0
    bench.assert_undone()
    bench.assert_flags(bench.run(300), hooked=set(), patched={})


class TestLoading:
    """A module comes, is called, and goes without a trace."""

    def test_its_functions_are_called_while_it_is_there(self, bench: Bench) -> None:
        assert versions(bench, bench.run(300)) == {0}
        assert bench.do(bench.machine.load("target")) == -EEXIST
        unloaded(bench)
        assert bench.do(bench.machine.unload("target")) == -ENOENT

    def test_it_lies_where_the_setup_says(self, bench: Bench) -> None:
        base = bench.machine.loader.image("target").text[0][0]
        assert base in (FAR_MODULES if bench.setup.far_modules else MODULES)

    def test_it_comes_and_goes_again_and_again(self, bench: Bench) -> None:
        for _ in range(3):
            bench.run(100)
            assert bench.do(bench.machine.unload("target")) == 0
            assert bench.do(bench.machine.load("target")) == 0
        assert versions(bench, bench.run(300)) == {0}
        unloaded(bench)


class TestModuleSites:
    """Sites of a module work like the kernel's, out of a call's reach by way of its PLT."""

    @pytest.mark.parametrize("save_regs", [False, True], ids=["args", "regs"])
    def test_traced(self, bench: Bench, save_regs: bool) -> None:
        for function in FUNCTIONS:
            assert bench.trace(function, save_regs=save_regs) == 0
        rows = bench.run(300)
        assert versions(bench, rows) == {0}
        for function in FUNCTIONS:
            assert (bench.of(rows, function)["flags"] & CallFlag.HOOKED != 0).all()
            assert bench.machine.tracing.hits(function) >= len(bench.of(rows, function))
        called = bench.called_from_site("target_sum")
        assert called is not None
        assert (called in FAR_MODULES) == bench.setup.far_modules, "through the module's own PLT"
        for function in FUNCTIONS:
            assert bench.untrace(function) == 0
        unloaded(bench)

    def test_patched(self, bench: Bench) -> None:
        handle = bench.enable("livepatch-target")
        assert versions(bench, bench.run(300)) == {handle.id}
        bench.disable(handle)
        assert versions(bench, bench.run(300)) == {0}
        bench.unload_patch("livepatch-target")
        unloaded(bench)

    def test_patched_and_traced(self, bench: Bench) -> None:
        handle = bench.enable("livepatch-target")
        for function in FUNCTIONS:
            assert bench.trace(function, save_regs=True) == 0
            assert bench.trace(function) == 0
        assert versions(bench, bench.run(300)) == {handle.id}
        for function in FUNCTIONS:
            assert bench.untrace(function) == 0
            assert bench.untrace(function) == 0
        bench.disable(handle)
        bench.unload_patch("livepatch-target")
        unloaded(bench)

    def test_kernel_and_module_by_one_patch(self, bench: Bench) -> None:
        handle = bench.enable("livepatch-both")
        rows = bench.run(300)
        assert set(bench.of(rows, "target_show")["patch"].tolist()) == {handle.id}
        assert set(bench.of(rows, "mini_leaf")["patch"].tolist()) == {handle.id}
        assert set(bench.of(rows, "target_sum")["patch"].tolist()) == {0}
        bench.disable(handle)
        bench.unload_patch("livepatch-both")
        unloaded(bench)

    def test_it_goes_and_comes_back_under_a_patch(self, bench: Bench) -> None:
        handle = bench.enable("livepatch-target")
        assert bench.do(bench.machine.unload("target")) == 0
        reverting = "livepatch: reverting patch 'livepatch-target' on unloading module 'target'"
        assert bench.machine.log[-1] == reverting
        assert bench.do(bench.machine.load("target")) == 0
        assert "livepatch: applying patch 'livepatch-target' to loading module 'target'" in bench.machine.log
        assert versions(bench, bench.run(300)) == {handle.id}
        bench.disable(handle)
        bench.unload_patch("livepatch-target")
        unloaded(bench)
