"""Filters of several sites at once, and of modules that go."""

from __future__ import annotations

import pytest

from emu.arch import PORTS
from emu.ftrace import OpsFlags, sites_in
from emu.kernel.errno import EBUSY, EINVAL, ENOENT
from emu.structs import FTRACE_HASH
from tests.synthetic import Kernel


@pytest.fixture(params=["x86_64", "arm64"])
def kernel(request: pytest.FixtureRequest) -> Kernel:
    return Kernel(PORTS[request.param])


class TestSeveral:
    """All of them, or nothing is changed."""

    def test_added_and_taken_out(self, kernel: Kernel) -> None:
        ops, set_ips = kernel.ops(OpsFlags.DYNAMIC), kernel.ftrace.ftrace_set_filter_ips
        leaf, nested, bare = (kernel.address(f"mini_{name}") for name in ("leaf", "nested", "bare"))
        sites = {kernel.site("mini_leaf"), kernel.site("mini_nested")}
        assert set_ips(ops, [leaf, nested]) == 0
        assert kernel.ftrace.chain.filter_of(ops) == sites
        assert set_ips(ops, [leaf, bare], remove=True) == -EINVAL
        assert set_ips(ops, [leaf, leaf], remove=True) == -ENOENT
        assert kernel.ftrace.chain.filter_of(ops) == sites
        assert set_ips(ops, [leaf], remove=True) == 0
        assert set_ips(ops, [leaf], reset=True) == 0
        assert kernel.ftrace.chain.filter_of(ops) == {kernel.site("mini_leaf")}
        assert set_ips(ops, [], reset=True) == 0
        assert not ops.view["local_hash.filter_hash"]

    def test_one_that_is_taken_refuses_all(self, kernel: Kernel) -> None:
        flags, set_ips = OpsFlags.DYNAMIC | OpsFlags.IPMODIFY, kernel.ftrace.ftrace_set_filter_ips
        first, second = kernel.ops(flags), kernel.ops(flags)
        for ops, name in ((first, "mini_leaf"), (second, "mini_nested")):
            assert set_ips(ops, [kernel.address(name)]) == 0
            assert kernel.ftrace.register_ftrace_function(ops) == 0
        wanted = [kernel.address("cmdline_proc_show"), kernel.address("mini_leaf")]
        assert set_ips(second, wanted) == -EBUSY
        assert kernel.ftrace.chain.filter_of(second) == {kernel.site("mini_nested")}
        assert kernel.called(kernel.site("cmdline_proc_show")) is None


class TestModuleGoes:
    """Its sites are struck out of every filter, in place; what is left of a filter stays one."""

    def test_in_place(self, kernel: Kernel) -> None:
        ops = kernel.ops(OpsFlags.DYNAMIC)
        alpha, leaf = kernel.site("vic_alpha", "victim"), kernel.site("mini_leaf")
        assert kernel.ftrace.ftrace_set_filter_ips(ops, [alpha, leaf]) == 0
        table = kernel.guest.view(FTRACE_HASH, ops.view["local_hash.filter_hash"])
        kernel.ftrace.ftrace_release_mod("victim")
        assert ops.view["local_hash.filter_hash"] == table.address
        assert sorted(sites_in(table.address, kernel.memory.load)) == [0, leaf]
        assert kernel.ftrace.chain.filter_of(ops) == {leaf}

    def test_with_a_registered_user(self, kernel: Kernel) -> None:
        ops = kernel.ops(OpsFlags.DYNAMIC)
        kernel.ftrace.ftrace_set_filter_ips(ops, [kernel.site("vic_alpha", "victim")])
        assert kernel.ftrace.register_ftrace_function(ops) == 0
        kernel.ftrace.ftrace_release_mod("victim")
        assert kernel.ftrace.chain.filter_of(ops) == frozenset()
        assert ops.view["local_hash.filter_hash"], "it is not one of all functions, nor freed"
        assert kernel.ftrace.unregister_ftrace_function(ops) == 0
        assert not kernel.player.marks, "no WARN"

    def test_those_who_want_to_know_are_told(self, kernel: Kernel) -> None:
        came: list[str] = []
        went: list[frozenset[int]] = []
        kernel.ftrace.on_module_sites, kernel.ftrace.on_module_sites_gone = came.append, went.append
        alpha = kernel.site("vic_alpha", "victim")
        kernel.ftrace.ftrace_release_mod("victim")
        assert came == []
        assert alpha in went[0]
        assert kernel.load_module("other", 0x010B_0000, ("o_one",)) == 0
        assert came == ["other"]
