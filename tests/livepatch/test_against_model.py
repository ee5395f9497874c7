"""Random enabling and disabling, compared with a model that is only lists and counts."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emu.arch import PORTS
from emu.ftrace import OpsFlags
from emu.kernel.guest import View
from emu.livepatch import Func, Object, Patch
from emu.livepatch.graph import patch_name
from emu.structs import KLP_FUNC
from tests.synthetic import FUNCTIONS, Kernel

SCHEMES = [("x86_64", False), ("arm64", False), ("arm64", True)]
ACTIONS = st.one_of(
    st.tuples(st.just("enable"), st.sets(st.sampled_from(FUNCTIONS), min_size=1), st.booleans()),
    st.tuples(st.just("disable"), st.integers(0, 5), st.just(False)),
    st.tuples(st.just("trace"), st.sampled_from(FUNCTIONS), st.booleans()),
    st.tuples(st.just("untrace"), st.integers(0, 5), st.just(False)),
)


class Model:
    """Which patch is where on which stack, newest first, and who traces what."""

    def __init__(self) -> None:
        self.stacks: dict[str, list[str]] = {name: [] for name in FUNCTIONS}
        self.tracers: list[tuple[str, bool]] = []

    def enable(self, name: str, functions: set[str], *, replace: bool) -> None:
        if replace:
            self.stacks = {function: [] for function in FUNCTIONS}
        for function in functions:
            self.stacks[function].insert(0, name)

    def disable(self, name: str) -> None:
        for stack in self.stacks.values():
            if name in stack:
                stack.remove(name)

    def counts(self) -> Counter[str]:
        traced = Counter(function for function, _ in self.tracers)
        return traced + Counter(function for function, stack in self.stacks.items() if stack)


def stacks(kernel: Kernel) -> dict[str, list[str]]:
    """Read every func_stack from guest memory, as names of patches by their replacement's address."""
    names = {view["mod"]: patch_name(kernel.guest, view) for view in kernel.livepatch.core.patches()}
    owners: dict[int, str] = {}
    for view in kernel.livepatch.core.patches():
        for func in kernel.livepatch._loaded[view.address].funcs.values():
            owners |= {f.address: names[view["mod"]] for f in func}
    found: dict[str, list[str]] = {}
    for function in FUNCTIONS:
        ops = kernel.livepatch.patcher.klp_find_ops(kernel.address(function))
        nodes = list(kernel.guest.list_nodes(ops.at("func_stack.next"))) if ops else []
        found[function] = [owners[node - KLP_FUNC.offset("stack_node.next")] for node in nodes]
    return found


@pytest.mark.parametrize(("port", "call_ops"), SCHEMES)
@settings(max_examples=25, deadline=None)
@given(actions=st.lists(ACTIONS, max_size=10))
def test_stacks_and_counts_agree_after_every_step(
    port: str, call_ops: bool, actions: list[tuple[str, object, bool]]
) -> None:
    kernel, model = Kernel(PORTS[port], call_ops=call_ops), Model()
    before = kernel.snapshot()[0]
    handles: dict[str, int] = {}
    tracers: list[View] = []
    for i, (kind, argument, flag) in enumerate(actions):
        if kind == "enable":
            assert isinstance(argument, set)
            funcs = tuple(Func(name, "lp_1") for name in sorted(argument))
            handle = kernel.livepatch.enable(Patch(f"p{i}", (Object(None, funcs),), replace=flag))
            assert handle > 0
            handles = {f"p{i}": handle} if flag else handles | {f"p{i}": handle}
            model.enable(f"p{i}", argument, replace=flag)
        elif kind == "disable" and handles:
            assert isinstance(argument, int)
            name = sorted(handles)[argument % len(handles)]
            assert kernel.livepatch.disable(handles.pop(name)) == 0
            model.disable(name)
        elif kind == "trace":
            assert isinstance(argument, str)
            ops = kernel.ops(OpsFlags.SAVE_REGS if flag else OpsFlags(0))
            kernel.ftrace.ftrace_set_filter_ip(ops, kernel.address(argument))
            assert kernel.ftrace.register_ftrace_function(ops) == 0
            tracers.append(ops.view)
            model.tracers.append((argument, flag))
        elif kind == "untrace" and tracers:
            assert isinstance(argument, int)
            at = argument % len(tracers)
            assert kernel.ftrace.unregister_ftrace_function(kernel.ftrace.ops(tracers.pop(at).address)) == 0
            model.tracers.pop(at)
        check(kernel, model)
    for handle in handles.values():
        assert kernel.livepatch.disable(handle) == 0
    for view in tracers:
        assert kernel.ftrace.unregister_ftrace_function(kernel.ftrace.ops(view.address)) == 0
    assert kernel.snapshot()[0] == before
    assert kernel.text.live == {}
    assert [mark for mark, _ in kernel.player.marks if mark == "WARN"] == []


def check(kernel: Kernel, model: Model) -> None:
    """Compare stacks, counts, and what each site calls."""
    assert stacks(kernel) == model.stacks
    counts = model.counts()
    for function in FUNCTIONS:
        record = kernel.ftrace.sites.record_at(kernel.site(function))
        assert record is not None
        assert record.count == counts[function]
        called = kernel.called(record.ip)
        assert (called is None) == (counts[function] == 0)
        if counts[function] > 1 or (called and kernel.port.name == "arm64"):
            regs = any(saves for traced, saves in model.tracers if traced == function)
            suffix = "_ops" if kernel.ftrace.trampolines.call_ops else ""
            assert called == kernel.address(f"ftrace_{'regs_' if regs else ''}caller{suffix}")
