"""Every traced function gives the right result, whatever stands at its site and whichever version runs."""

from __future__ import annotations

import pytest

from emu.build.memory_map import TRAMPOLINES
from emu.ftrace import FtraceOps, enabled_functions
from emu.trace.schema import NOT_DISPATCHED, CallFlag
from tests.conformance.bench import PATCHES, Bench, Calls
from tests.conformance.setups import Setup


def everything_patched(bench: Bench) -> dict[str, int]:
    """Enable all patches and return the number of the patch of every function."""
    found: dict[str, int] = {}
    for name in PATCHES:
        handle = bench.enable(name)
        found |= {func.old_name: handle.id for obj in handle.patch.objects for func in obj.funcs}
    assert sorted(found) == bench.patchable()
    return found


def everything_undone(bench: Bench, *users: FtraceOps, patched: bool = False) -> None:
    """Take ``users`` off every function, disable and unload the patches: all must be as after boot."""
    if patched:
        for name in reversed(PATCHES):
            handle = bench.machine.livepatch.disable(name)
            bench.run_until(handle.settled)
            bench.unload_patch(name)
    for ops in users:
        bench.untrace_all(ops)
    assert all(bench.is_off(function) for function in bench.functions())
    bench.assert_undone()
    bench.assert_flags(bench.run(400), hooked=set(), patched={})


def hooked_calls(calls: Calls) -> tuple[int, int]:
    """Return how many calls a handler must have seen, and how many it may have."""
    hooked = calls["flags"][calls["flags"] & CallFlag.HOOKED != 0]
    return int((hooked & CallFlag.UNFINISHED == 0).sum()), len(hooked)


class TestUntouched:
    """Without users a site costs one NOP and changes nothing."""

    def test_results_are_right_and_nothing_is_hooked(self, setup: Setup) -> None:
        bench = Bench(setup)
        rows = bench.run(500)
        bench.assert_flags(rows, hooked=set(), patched={})
        assert set(rows["patch_state"].tolist()) == {NOT_DISPATCHED}
        assert (rows["dispatch_seq"] >= rows["seq"]).all()
        assert (rows["dispatched"] == rows["enter"]).all()
        assert all(bench.is_off(function) for function in bench.functions())


class TestTraced:
    """Counting handlers see every call, and calls do not see them."""

    @pytest.mark.parametrize("save_regs", [False, True], ids=["args", "regs"])
    def test_one_user(self, setup: Setup, save_regs: bool) -> None:
        bench = Bench(setup)
        ops = bench.trace_all(save_regs=save_regs)
        hooked = set(bench.patchable() if save_regs else bench.functions())
        bench.assert_flags(bench.run(400), hooked=hooked, patched={})
        assert len(enabled_functions(bench.machine.ftrace)) == len(hooked)
        everything_undone(bench, ops)

    @pytest.mark.parametrize("save_regs", [False, True], ids=["args", "regs"])
    def test_two_users_go_through_the_list(self, setup: Setup, save_regs: bool) -> None:
        bench = Bench(setup)
        users = bench.trace_all(), bench.trace_all(save_regs=save_regs)
        bench.assert_flags(bench.run(400), hooked=set(bench.functions()), patched={})
        twice = set(bench.patchable() if save_regs else bench.functions())
        counts = {row.split()[0]: row.split()[1] for row in enabled_functions(bench.machine.ftrace)}
        assert counts == {name: "(2)" if name in twice else "(1)" for name in bench.functions()}
        everything_undone(bench, *users)

    def test_every_call_is_counted_once(self, setup: Setup) -> None:
        bench = Bench(setup)
        ops = bench.trace_all()
        bench.run(400)
        least, most = hooked_calls(bench.machine.finish().calls)
        assert 400 <= least <= bench.hits(ops) <= most

    def test_every_call_is_counted_once_by_each_of_two(self, setup: Setup) -> None:
        bench = Bench(setup)
        users = bench.trace_all(), bench.trace_all()
        before = [bench.hits(ops) for ops in users]
        bench.run(400)
        grown = [bench.hits(ops) - count for ops, count in zip(users, before, strict=True)]
        under_way = len(bench.machine.kernel.tasks)  # each may be between the two
        assert abs(grown[0] - grown[1]) <= under_way
        assert min(grown) >= 400 - under_way

    def test_handing_over_takes_time_at_every_site(self, setup: Setup) -> None:
        bench = Bench(setup)
        bench.trace_all()
        rows = bench.run(400)
        hooked = rows[rows["flags"] & CallFlag.HOOKED != 0]
        for function in bench.functions():
            found = bench.of(hooked, function)
            assert (found["dispatched"] > found["enter"]).all(), function

    def test_lone_user_is_called_as_the_port_does_it(self, setup: Setup) -> None:
        bench = Bench(setup)
        address = bench.machine.kallsyms.address_of
        suffix = "_ops" if setup.call_ops else ""
        for save_regs, name in ((False, "ftrace_caller"), (True, "ftrace_regs_caller")):
            assert bench.trace("mini_leaf", save_regs=save_regs) == 0
            called = bench.called_from_site("mini_leaf")
            assert called is not None
            if setup.port.tracing.copy_trampoline is None:
                assert called == address(name + suffix)
            else:
                assert called in TRAMPOLINES, "a private copy"
                read, op_ptr = bench.machine.kernel.engine.memory.read, address(f"{name}_op_ptr")
                size = op_ptr - address(name)
                assert read(called, size) == read(address(name), size)
            assert bench.untrace("mini_leaf") == 0
            assert bench.is_off("mini_leaf")

    def test_many_users_of_one_function(self, setup: Setup) -> None:
        bench = Bench(setup, cpus=1)
        for _ in range(5):
            assert bench.trace("mini_many") == 0
        before = bench.machine.tracing.hits("mini_many")
        rows = bench.of(bench.run(300), "mini_many")
        assert bench.machine.tracing.hits("mini_many") - before >= 5 * len(rows) > 0
        for _ in range(5):
            assert bench.untrace("mini_many") == 0
        assert bench.untrace("mini_many") < 0
        bench.assert_undone()


class TestPatched:
    """A patched function's calls run its replacement, all of them, and signed by it."""

    def test_all_functions_patched(self, setup: Setup) -> None:
        bench = Bench(setup)
        patched = everything_patched(bench)
        rows = bench.run(400)
        bench.assert_flags(rows, hooked=set(patched), patched=patched)
        redirected = rows[rows["patch"] > 0]
        assert (redirected["dispatch_seq"] > redirected["seq"]).all()
        assert (redirected["dispatched"] > redirected["enter"]).all()
        everything_undone(bench, patched=True)

    def test_all_functions_patched_then_traced_with_registers(self, setup: Setup) -> None:
        bench = Bench(setup)
        patched = everything_patched(bench)
        ops = bench.trace_all(save_regs=True)
        bench.assert_flags(bench.run(400), hooked=set(patched), patched=patched)
        everything_undone(bench, ops, patched=True)

    def test_all_functions_traced_then_patched(self, setup: Setup) -> None:
        bench = Bench(setup)
        ops = bench.trace_all()
        patched = everything_patched(bench)
        before = bench.hits(ops)
        rows = bench.run(400)
        bench.assert_flags(rows, hooked=set(bench.functions()), patched=patched)
        assert bench.hits(ops) - before >= len(rows)
        everything_undone(bench, ops, patched=True)

    def test_show_functions_write_what_their_version_writes(self, setup: Setup) -> None:
        bench = Bench(setup)
        buffer = bench.machine.kernel.image.address("call_buffer")
        read = bench.machine.kernel.engine.memory.read
        bench.run(300)
        assert read(buffer, 8) == b"orig\0\0\0\0"
        handle = bench.enable("livepatch-show")
        bench.run(400)
        assert read(buffer, 8) == b"lp\0" + bytes([handle.id]) + bytes(4)
        bench.disable(handle)
        bench.run(400)
        assert read(buffer, 8) == b"orig\0\0\0\0"

    def test_replacements_may_be_traced_themselves(self, setup: Setup) -> None:
        bench = Bench(setup)
        handle = bench.enable("livepatch-mini")
        assert bench.trace("lp_mini_many") == 0
        hits = bench.machine.tracing.hits("lp_mini_many")
        rows = bench.run(400)
        bench.assert_results(rows)
        assert bench.machine.tracing.hits("lp_mini_many") - hits >= len(bench.of(rows, "mini_many")) > 0
        assert bench.untrace("lp_mini_many") == 0
        bench.disable(handle)
        bench.unload_patch("livepatch-mini")
        bench.assert_undone()


class TestKinds:
    """What is special about some functions stays so under a patch."""

    @pytest.fixture
    def patched(self, setup: Setup) -> Bench:
        bench = Bench(setup)
        bench.enable("livepatch-mini")
        return bench

    def test_a_landing_pad_stays_in_front_of_the_site(self, patched: Bench) -> None:
        address = patched.machine.kallsyms.address_of("mini_landing")
        pads = patched.port.site.landing_pads
        front = patched.machine.kernel.engine.memory.read(address, max(map(len, pads)))
        assert front.startswith(pads)
        assert patched.entry_site("mini_landing") > address + patched.port.site.poke_offset
        assert len(patched.of(patched.run(400), "mini_landing"))

    def test_a_tail_call_returns_for_both(self, patched: Bench) -> None:
        rows = patched.run(400)
        tails = patched.of(rows, "mini_tail")
        assert len(tails)
        assert (tails["flags"] & CallFlag.TAIL != 0).all()
        leaves = patched.of(rows, "mini_leaf")
        for row in tails:
            same = leaves[(leaves["exit"] == row["exit"]) & (leaves["task"] == row["task"])]
            assert same["result"].tolist() == [row["result"]], "the callee's result is the caller's"

    def test_recursion_passes_the_patched_entry_at_every_depth(self, patched: Bench) -> None:
        rows = patched.run(500)
        found = patched.of(rows, "mini_recursive")
        assert set(found["depth"].tolist()) == {0, 1, 2, 3, 4, 5}
        for depth in range(6):
            left = 5 - depth
            at = found[found["depth"] == depth]
            assert set((at["result"] & 0xFFFF_FFFF).tolist()) == {left * (left + 1) // 2}
            assert (at["flags"] & CallFlag.RECURSION == 0).all(), "calling itself is not handler recursion"

    def test_arguments_on_the_stack_arrive(self, patched: Bench) -> None:
        rows = patched.of(patched.run(400), "mini_many")
        assert len(rows)
        assert set((rows["result"] & 0xFFFF_FFFF).tolist()) == {385}
        assert patched.trace("mini_many", save_regs=True) == 0
        rows = patched.of(patched.run(400), "mini_many")
        assert set((rows["result"] & 0xFFFF_FFFF).tolist()) == {385}
