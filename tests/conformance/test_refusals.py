"""What can't be patched or traced is refused with the kernel's code and line, and leaves nothing behind."""

from __future__ import annotations

import pytest

from emu.kernel.errno import EBUSY, EINVAL
from emu.livepatch import Func, Object, Patch
from tests.conformance.bench import Bench
from tests.conformance.setups import Setup


def patch_of(function: str, *, name: str = "test-patch", replace: bool = False) -> Patch:
    """Return a patch of one function of the kernel, by a replacement that ships with klpemu."""
    shipped = function if function in ("mini_leaf", "mini_loop", "mini_many") else "mini_leaf"
    return Patch(name, (Object(None, (Func(function, f"lp_{shipped}"),)),), replace=replace)


def switch_tracing(bench: Bench, *, on: bool) -> int:
    """Write ``ftrace_enabled``."""
    return bench.submit(lambda: bench.machine.ftrace.set_ftrace_enabled(on=on))


class TestOldStyleSites:
    """A site behind the prologue can be traced; another function can't take over from there."""

    def test_traceable(self, setup: Setup) -> None:
        bench = Bench(setup)
        assert bench.trace("mini_mcount") == 0
        assert bench.called_from_site("mini_mcount") == bench.machine.kallsyms.address_of("mcount_caller")
        rows = bench.of(bench.run(300), "mini_mcount")
        assert bench.machine.tracing.hits("mini_mcount") >= len(rows) > 0
        assert bench.untrace("mini_mcount") == 0
        bench.assert_undone()

    def test_not_patchable(self, setup: Setup) -> None:
        bench = Bench(setup)
        assert "mini_mcount" not in bench.patchable()
        handle = bench.try_enable(patch_of("mini_mcount"))
        assert handle.result == -EINVAL
        assert bench.machine.log[1:] == [
            "livepatch: enabling patch 'test-patch'",
            "livepatch: failed to find location for function 'mini_mcount'",
            "livepatch: failed to patch object 'vmlinux'",
            "livepatch: failed to enable patch 'test-patch'",
            "livepatch: 'test-patch': unpatching complete",
        ]
        assert bench.machine.livepatch.facts() == {}
        bench.assert_undone()
        bench.assert_flags(bench.run(300), hooked=set(), patched={})

    def test_one_such_function_refuses_a_whole_patch(self, setup: Setup) -> None:
        bench = Bench(setup)
        funcs = (Func("mini_leaf", "lp_mini_leaf"), Func("mini_mcount", "lp_mini_leaf"))
        handle = bench.try_enable(Patch("two", (Object(None, funcs),)))
        assert handle.result == -EINVAL
        bench.assert_undone()
        bench.assert_flags(bench.run(300), hooked=set(), patched={})


class TestFunctionsWithoutSite:
    """Nothing can be hooked where the compiler left nothing."""

    @pytest.mark.parametrize("function", ["mini_notrace", "mini_bare"])
    def test_neither_traced_nor_patched(self, setup: Setup, function: str) -> None:
        bench = Bench(setup)
        assert bench.trace(function) == -EINVAL
        assert bench.try_enable(patch_of(function)).result == -EINVAL
        assert f"livepatch: failed to find location for function '{function}'" in bench.machine.log
        bench.assert_undone()

    def test_unknown_function(self, setup: Setup) -> None:
        bench = Bench(setup)
        assert bench.try_enable(patch_of("mini_nobody")).result == -EINVAL
        assert bench.machine.log[-1] == "livepatch: symbol 'mini_nobody' not found in symbol table"
        bench.assert_undone()


class TestIpmodify:
    """Two users must not both move the instruction pointer of one function."""

    def test_patched_first(self, setup: Setup) -> None:
        bench = Bench(setup)
        handle = bench.enable(patch_of("mini_leaf"))
        assert bench.trace("mini_leaf", ipmodify=True) == -EBUSY
        rows = bench.of(bench.run(200), "mini_leaf")
        assert set(rows["patch"].tolist()) == {handle.id}
        assert bench.trace("mini_loop", ipmodify=True) == 0, "of another function they may"
        assert bench.untrace("mini_loop") == 0
        bench.disable(handle)
        bench.unload_patch("test-patch")
        bench.assert_undone()

    def test_traced_first(self, setup: Setup) -> None:
        bench = Bench(setup)
        assert bench.trace("mini_leaf", ipmodify=True) == 0
        assert bench.try_enable(patch_of("mini_leaf")).result == -EBUSY
        line = "livepatch: failed to register ftrace handler for function 'mini_leaf' (-16)"
        assert line in bench.machine.log
        rows = bench.run(200)
        assert set(rows["patch"].tolist()) == {0}
        bench.assert_results(rows)
        assert bench.untrace("mini_leaf") == 0
        bench.assert_undone()
        handle = bench.enable(patch_of("mini_leaf"))
        assert set(bench.of(bench.run(200), "mini_leaf")["patch"].tolist()) == {handle.id}


class TestSwitch:
    """``ftrace_enabled`` can't be switched off under a patch, nor a patch enabled while it is off."""

    def test_off_then_patch(self, setup: Setup) -> None:
        bench = Bench(setup)
        assert switch_tracing(bench, on=False) == 0
        assert bench.try_enable(patch_of("mini_leaf")).result == -EBUSY
        assert switch_tracing(bench, on=True) == 0
        bench.assert_undone()
        handle = bench.enable(patch_of("mini_leaf"))
        assert set(bench.of(bench.run(200), "mini_leaf")["patch"].tolist()) == {handle.id}

    def test_patch_then_off(self, setup: Setup) -> None:
        bench = Bench(setup)
        handle = bench.enable(patch_of("mini_leaf"))
        assert switch_tracing(bench, on=False) == -EBUSY
        assert set(bench.of(bench.run(200), "mini_leaf")["patch"].tolist()) == {handle.id}
        bench.disable(handle)
        bench.unload_patch("test-patch")
        assert switch_tracing(bench, on=False) == 0
        assert switch_tracing(bench, on=True) == 0
        bench.assert_undone()

    def test_tracers_are_deaf_while_it_is_off(self, setup: Setup) -> None:
        bench = Bench(setup)
        ops = bench.trace_all()
        bench.run(100)
        assert switch_tracing(bench, on=False) == 0
        assert all(bench.is_off(function) for function in bench.functions())
        bench.run(100)  # who was in a trampoline comes out of it
        hits = bench.hits(ops)
        bench.assert_flags(bench.run(300), hooked=set(), patched={})
        assert bench.hits(ops) == hits
        assert switch_tracing(bench, on=True) == 0
        bench.assert_flags(bench.run(300), hooked=set(bench.functions()), patched={})
        bench.untrace_all(ops)
        bench.assert_undone()
