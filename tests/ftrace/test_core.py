"""Registering handlers: codes, order of effects, conflicts, the switch."""

from __future__ import annotations

import pytest

from emu.arch import PORTS, Port
from emu.ftrace import FtraceOps, OpsFlags, RecordFlags, enabled_functions
from emu.kernel.errno import EBUSY, EINVAL, ENODEV, ENOENT, ENOMEM
from emu.machine.operations import OpKind
from emu.structs import FTRACE_OPS
from tests.synthetic import Kernel, new_log

X86, ARM = PORTS["x86_64"], PORTS["arm64"]
DYNAMIC, REGS, IPMODIFY = OpsFlags.DYNAMIC, OpsFlags.SAVE_REGS, OpsFlags.IPMODIFY
SCHEMES = [(X86, False), (ARM, False), (ARM, True)]


@pytest.fixture(params=SCHEMES, ids=lambda s: s[0].name + ("-call-ops" if s[1] else ""))
def kernel(request: pytest.FixtureRequest) -> Kernel:
    port, call_ops = request.param
    return Kernel(port, call_ops=call_ops)


def register(kernel: Kernel, flags: OpsFlags, *names: str) -> tuple[FtraceOps, int]:
    """Register a counting handler on functions and return its ops and the result."""
    ops = kernel.ops(flags)
    for name in names:
        assert kernel.ftrace.ftrace_set_filter_ip(ops, kernel.address(name)) == 0
    return ops, kernel.ftrace.register_ftrace_function(ops)


class TestRegister:
    """A registered ops is called; an unregistered one has left no trace."""

    def test_there_and_back_restores_every_byte(self, kernel: Kernel) -> None:
        before = kernel.snapshot()
        made = [register(kernel, f, "mini_leaf", "mini_mcount")[0] for f in (DYNAMIC, DYNAMIC | REGS)]
        assert kernel.called(kernel.site("mini_leaf"))
        for ops in made:
            assert kernel.ftrace.unregister_ftrace_function(ops) == 0
            for name in ("mini_leaf", "mini_mcount"):
                assert kernel.ftrace.ftrace_set_filter_ip(ops, kernel.address(name), remove=True) == 0
            kernel.heap.release(ops.address)
        assert kernel.snapshot() == before
        assert enabled_functions(kernel.ftrace) == []

    def test_newest_is_first_on_the_list_and_found_with_its_next_in_place(self, kernel: Kernel) -> None:
        a, b = (register(kernel, DYNAMIC, "mini_leaf")[0] for _ in range(2))
        assert [ops.address for ops in kernel.ftrace.chain] == [b.address, a.address]
        operations = kernel.player.operations
        publish = [i for i, o in enumerate(operations) if o.what == "ftrace_ops_list"][-1]
        assert operations[publish - 1].kind is OpKind.BARRIER
        assert operations[publish - 2].what == "ftrace_ops->next"

    def test_the_list_is_changed_before_the_sites_both_ways(self, kernel: Kernel) -> None:
        ops = kernel.ops(DYNAMIC)
        kernel.ftrace.ftrace_set_filter_ip(ops, kernel.address("mini_leaf"))
        site, size = kernel.site("mini_leaf"), kernel.port.site.poke_size
        for act, link in (
            (kernel.ftrace.register_ftrace_function, "ftrace_ops_list"),
            (kernel.ftrace.unregister_ftrace_function, "ftrace_ops_list unlink"),
        ):
            kernel.player.operations.clear()
            assert act(ops) == 0
            operations = kernel.player.operations
            listed = next(i for i, o in enumerate(operations) if o.what == link)
            pokes = [
                i
                for i, o in enumerate(operations)
                if o.kind is OpKind.TEXT_STORE and site <= o.address < site + size
            ]
            waits = [o.what for o in operations if o.kind is OpKind.WAIT]
            assert listed < min(pokes)
        assert waits == ["synchronize_rcu_tasks_rude", "synchronize_rcu_tasks"]

    def test_a_trampoline_is_freed_after_both_grace_periods(self) -> None:
        kernel = Kernel(X86)
        ops, _ = register(kernel, DYNAMIC, "mini_leaf")
        kernel.player.operations.clear()
        kernel.ftrace.unregister_ftrace_function(ops)
        names = kernel.player.names(OpKind.WAIT, OpKind.CALLBACK)
        assert names == ["synchronize_rcu_tasks_rude", "synchronize_rcu_tasks", "text_free"]

    def test_no_room_for_a_trampoline_means_the_shared_caller(self) -> None:
        kernel = Kernel(X86)
        kernel.fail.arm("text_alloc", 1)
        assert register(kernel, DYNAMIC, "mini_leaf")[1] == 0
        assert kernel.called(kernel.site("mini_leaf")) == kernel.address("ftrace_caller")
        assert kernel.called(kernel.address("ftrace_call")) == kernel.address("ftrace_ops_list_func")

    def test_refusals(self, kernel: Kernel) -> None:
        ftrace = kernel.ftrace
        ops, _ = register(kernel, DYNAMIC, "mini_leaf")
        assert ftrace.register_ftrace_function(ops) == -EBUSY
        deleted = kernel.ops(DYNAMIC | OpsFlags.DELETED)
        assert ftrace.register_ftrace_function(deleted) == -EINVAL
        assert ftrace.unregister_ftrace_function(deleted) == -EBUSY
        assert ftrace.register_ftrace_function(kernel.ops(IPMODIFY)) == -EINVAL  # no filter
        assert [mark for mark, _ in kernel.player.marks] == ["WARN", "WARN"]
        assert new_log(kernel)[-1].startswith("WARNING: at emu/ftrace/core.py:")
        assert len(list(ftrace.chain)) == 1

    @pytest.mark.parametrize("step", ["register", "unregister"])
    def test_injected_failures_change_nothing(self, kernel: Kernel, step: str) -> None:
        ops = kernel.ops(DYNAMIC)
        kernel.ftrace.ftrace_set_filter_ip(ops, kernel.address("mini_leaf"))
        if step == "unregister":
            kernel.ftrace.register_ftrace_function(ops)
        before = kernel.snapshot()
        kernel.fail.arm(step, 1, 5)
        act = getattr(kernel.ftrace, f"{step}_ftrace_function")
        assert act(ops) == -5
        assert kernel.snapshot() == before


class TestFilter:
    """Filters are replaced, never changed."""

    def test_codes(self, kernel: Kernel) -> None:
        ops, set_ip = kernel.ops(), kernel.ftrace.ftrace_set_filter_ip
        leaf, nested = kernel.address("mini_leaf"), kernel.address("mini_nested")
        assert set_ip(ops, kernel.address("mini_bare")) == -EINVAL
        assert set_ip(ops, leaf, remove=True) == -ENOENT
        kernel.fail.arm("alloc", 1)
        assert set_ip(ops, leaf) == -ENOMEM
        kernel.fail.arm("filter", 1, 7)
        assert set_ip(ops, leaf) == -7
        assert set_ip(ops, leaf) == 0
        assert set_ip(ops, nested, reset=True) == 0
        assert kernel.ftrace.chain.filter_of(ops) == {kernel.site("mini_nested")}

    def test_the_old_table_lives_until_a_grace_period_has_passed(self, kernel: Kernel) -> None:
        ops, _ = register(kernel, DYNAMIC, "mini_leaf")
        old = ops.view["local_hash.filter_hash"]
        kernel.ftrace.ftrace_set_filter_ip(ops, kernel.address("mini_nested"))
        assert old in kernel.heap.live
        kernel.rcu.synchronize("now")
        assert old not in kernel.heap.live

    def test_a_registered_ops_follows_its_filter(self, kernel: Kernel) -> None:
        ops, _ = register(kernel, DYNAMIC, "mini_leaf")
        set_ip = kernel.ftrace.ftrace_set_filter_ip
        set_ip(ops, kernel.address("mini_nested"))
        assert kernel.called(kernel.site("mini_nested")) == kernel.called(kernel.site("mini_leaf"))
        set_ip(ops, kernel.address("mini_leaf"), remove=True)
        assert kernel.called(kernel.site("mini_leaf")) is None


class TestIpmodify:
    """One user per site may change the instruction pointer."""

    def test_a_second_one_is_refused_and_leaves_nothing(self, kernel: Kernel) -> None:
        register(kernel, DYNAMIC | IPMODIFY, "mini_nested")
        other = kernel.ops(DYNAMIC | IPMODIFY)
        for name in ("mini_leaf", "mini_nested", "cmdline_proc_show"):
            kernel.ftrace.ftrace_set_filter_ip(other, kernel.address(name))
        before, lines = kernel.snapshot(), enabled_functions(kernel.ftrace)
        assert kernel.ftrace.register_ftrace_function(other) == -EBUSY
        assert kernel.snapshot()[0] == before[0]
        assert kernel.snapshot()[3] == before[3]
        assert enabled_functions(kernel.ftrace) == lines
        assert [r.ip for r in kernel.ftrace.sites.records() if r.flags & RecordFlags.IPMODIFY] == [
            kernel.site("mini_nested")
        ]
        assert not other.flags & (OpsFlags.ENABLED | OpsFlags.ADDING)
        assert len(list(kernel.ftrace.chain)) == 1

    def test_one_that_does_not_may_join(self, kernel: Kernel) -> None:
        register(kernel, DYNAMIC | IPMODIFY, "mini_leaf")
        assert register(kernel, DYNAMIC, "mini_leaf")[1] == 0

    def test_widening_a_filter_onto_a_taken_site_is_refused(self, kernel: Kernel) -> None:
        register(kernel, DYNAMIC | IPMODIFY, "mini_nested")
        ops, _ = register(kernel, DYNAMIC | IPMODIFY, "mini_leaf")
        before = kernel.snapshot()
        assert kernel.ftrace.ftrace_set_filter_ip(ops, kernel.address("mini_nested")) == -EBUSY
        assert kernel.snapshot() == before

    def test_the_site_is_free_again_afterwards(self, kernel: Kernel) -> None:
        ops, _ = register(kernel, DYNAMIC | IPMODIFY, "mini_leaf")
        assert kernel.ftrace.unregister_ftrace_function(ops) == 0
        assert register(kernel, DYNAMIC | IPMODIFY, "mini_leaf")[1] == 0


class TestWhatASiteCalls:
    """One user: straight to it where the port can; several: the list function."""

    def test_x86_alone_then_shared_then_alone(self) -> None:
        kernel = Kernel(X86)
        site = kernel.site("mini_leaf")
        a, _ = register(kernel, DYNAMIC, "mini_leaf")
        assert kernel.called(site) == a.trampoline
        b, _ = register(kernel, DYNAMIC | REGS, "mini_leaf")
        assert kernel.called(site) == kernel.address("ftrace_regs_caller")
        assert b.trampoline != a.trampoline
        kernel.ftrace.unregister_ftrace_function(b)
        assert kernel.called(site) == a.trampoline

    def test_x86_the_copy_loads_its_ops_and_calls_its_handler(self) -> None:
        kernel = Kernel(X86)
        ops, _ = register(kernel, DYNAMIC, "mini_leaf")
        at = ops.trampoline
        code = kernel.memory.read(at, ops.view["trampoline_size"])
        load = at + 8 + int.from_bytes(code[4:8], "little", signed=True)
        assert kernel.memory.load(load) == ops.address
        assert kernel.called(at + 8) == ops.func
        assert code[14:19] == bytes.fromhex("c3cc000000")

    def test_shared_caller_calls_a_static_ops_directly_with_its_op_set_first(self) -> None:
        kernel = Kernel(ARM)
        static = kernel.ops(address=kernel.address("static_ops"))
        kernel.ftrace.ftrace_set_filter_ip(static, kernel.address("mini_leaf"))
        kernel.player.operations.clear()
        assert kernel.ftrace.register_ftrace_function(static) == 0
        call = kernel.address("ftrace_call")
        assert kernel.called(call) == static.func
        stores = [
            (o.what, kernel.port.call_target(o.address, o.data) if o.data else o.value)
            for o in kernel.player.operations
            if o.what.startswith("function_trace_op") or (o.what == "bl" and o.address == call)
        ]
        assert stores == [
            ("bl", kernel.address("ftrace_ops_list_func")),
            ("function_trace_op", static.address),
            ("function_trace_op before func", 0),
            ("bl", static.func),
        ]
        assert not static.flags & DYNAMIC
        waits = kernel.player.names(OpKind.WAIT)
        kernel.ftrace.unregister_ftrace_function(static)
        assert kernel.player.names(OpKind.WAIT) == waits  # nobody frees it, nobody waits

    def test_shared_caller_calls_the_list_function_for_a_dynamic_ops(self) -> None:
        kernel = Kernel(ARM)
        register(kernel, DYNAMIC, "mini_leaf")
        assert kernel.called(kernel.site("mini_leaf")) == kernel.address("ftrace_caller")
        assert kernel.called(kernel.address("ftrace_call")) == kernel.address("ftrace_ops_list_func")

    def test_call_ops_carries_the_lone_ops_then_the_list_ops(self) -> None:
        kernel = Kernel(ARM, call_ops=True)
        literal = kernel.address("mini_leaf") - 8
        a, _ = register(kernel, DYNAMIC, "mini_leaf")
        assert kernel.memory.load(literal) == a.address
        assert kernel.called(kernel.site("mini_leaf")) == kernel.address("ftrace_caller_ops")
        b, _ = register(kernel, DYNAMIC | REGS, "mini_leaf")
        assert kernel.ftrace.ops(kernel.memory.load(literal)).func == kernel.address("ftrace_ops_list_func")
        assert kernel.called(kernel.site("mini_leaf")) == kernel.address("ftrace_regs_caller_ops")
        kernel.ftrace.unregister_ftrace_function(a)
        assert kernel.memory.load(literal) == b.address

    def test_call_ops_needs_a_port_that_has_them(self) -> None:
        with pytest.raises(ValueError, match=r"^call_ops must be False on x86_64"):
            Kernel(X86, call_ops=True)

    def test_old_style_sites_have_their_own_caller(self, kernel: Kernel) -> None:
        register(kernel, DYNAMIC | REGS, "mini_mcount")
        assert kernel.called(kernel.site("mini_mcount")) == kernel.address("mcount_caller")


class TestReach:
    """A site out of reach goes through its module's PLT entry, or ftrace gives up."""

    FAR = 0x1200_0000

    def test_through_the_plt(self) -> None:
        kernel = Kernel(ARM)
        assert kernel.load_module("far", self.FAR, ("far_show",), plt=True) == 0
        ops = kernel.ops(DYNAMIC)
        kernel.ftrace.ftrace_set_filter_ip(ops, kernel.address("far_show", "far"))
        assert kernel.ftrace.register_ftrace_function(ops) == 0
        assert kernel.called(kernel.site("far_show", "far")) == self.FAR
        code = kernel.memory.read(self.FAR, 16)
        assert code == ARM.tracing.plt_entry(kernel.address("ftrace_caller"))  # type: ignore[misc]
        assert kernel.ftrace.unregister_ftrace_function(ops) == 0
        assert kernel.called(kernel.site("far_show", "far")) is None

    def test_without_a_plt_ftrace_gives_up(self) -> None:
        kernel = Kernel(ARM)
        kernel.load_module("far", self.FAR, ("far_show",))
        ops = kernel.ops(DYNAMIC)
        kernel.ftrace.ftrace_set_filter_ip(ops, kernel.address("far_show", "far"))
        new_log(kernel)
        assert kernel.ftrace.register_ftrace_function(ops) == -ENODEV
        lines = new_log(kernel)
        assert lines[0] == "ftrace: no module PLT for ftrace_caller"
        assert kernel.ftrace.disabled
        assert list(kernel.ftrace.chain) == []
        assert kernel.ftrace.register_ftrace_function(ops) == -ENODEV
        assert kernel.ftrace.unregister_ftrace_function(ops) == -ENODEV
        assert kernel.ftrace.ftrace_set_filter_ip(ops, kernel.address("mini_leaf")) == -ENODEV
        assert kernel.ftrace.set_ftrace_enabled(on=False) == -ENODEV


@pytest.mark.parametrize("port", PORTS.values(), ids=lambda port: port.name)
def test_foreign_code_at_a_site_is_left_alone_and_ftrace_gives_up(port: Port) -> None:
    kernel = Kernel(port)
    ops = kernel.ops(DYNAMIC)
    kernel.ftrace.ftrace_set_filter_ip(ops, kernel.address("mini_leaf"))
    foreign = b"\xaa" * port.site.poke_size
    kernel.memory.write(kernel.site("mini_leaf"), foreign)
    assert kernel.ftrace.register_ftrace_function(ops) == -ENODEV
    assert kernel.memory.read(kernel.site("mini_leaf"), len(foreign)) == foreign
    assert any(line.startswith(" expected: ") for line in kernel.player.log)


class TestSwitch:
    """ftrace_enabled: the observed codes of ftrace_enabled_switch."""

    def test_off_takes_every_site_off_and_on_brings_them_back(self, kernel: Kernel) -> None:
        register(kernel, DYNAMIC, "mini_leaf")
        before = kernel.snapshot()
        assert kernel.ftrace.set_ftrace_enabled(on=False) == 0
        assert kernel.called(kernel.site("mini_leaf")) is None
        assert kernel.ftrace.set_ftrace_enabled(on=False) == 0
        assert kernel.ftrace.set_ftrace_enabled(on=True) == 0
        assert kernel.snapshot() == before

    def test_a_permanent_ops_keeps_it_on(self, kernel: Kernel) -> None:
        register(kernel, DYNAMIC | OpsFlags.PERMANENT, "mini_leaf")
        assert kernel.ftrace.set_ftrace_enabled(on=False) == -EBUSY
        assert kernel.ftrace.enabled

    def test_while_off_permanent_ops_are_refused_and_others_wait(self, kernel: Kernel) -> None:
        assert kernel.ftrace.set_ftrace_enabled(on=False) == 0
        assert register(kernel, DYNAMIC | OpsFlags.PERMANENT, "mini_leaf")[1] == -EBUSY
        assert register(kernel, DYNAMIC, "mini_leaf")[1] == 0
        assert kernel.called(kernel.site("mini_leaf")) is None
        assert kernel.ftrace.set_ftrace_enabled(on=True) == 0
        assert kernel.called(kernel.site("mini_leaf")) is not None


class TestEnabledFunctions:
    """The lines of function_tracer_together and ipmodify_conflict, on our addresses."""

    def test_x86_lines(self) -> None:
        kernel = Kernel(X86)
        handler = "ftrace_count_hits+0x0/0x7"
        a, _ = register(kernel, DYNAMIC | IPMODIFY, "mini_leaf")
        tramp = f"\ttramp: {a.trampoline:#x} ({handler}) ->{handler}"
        assert enabled_functions(kernel.ftrace) == [f"mini_leaf (1)   I  {tramp}"]
        b, _ = register(kernel, DYNAMIC | REGS, "mini_nested")
        assert enabled_functions(kernel.ftrace)[1] == (
            f"mini_nested (1) R    \ttramp: {b.trampoline:#x} ({handler}) ->{handler}"
        )
        register(kernel, DYNAMIC, "mini_leaf")
        assert enabled_functions(kernel.ftrace)[0] == "mini_leaf (2)   I   ->ftrace_ops_list_func+0x0/0x7"

    def test_arm64_lines(self) -> None:
        kernel = Kernel(ARM)
        register(kernel, DYNAMIC | IPMODIFY, "mini_leaf")
        assert enabled_functions(kernel.ftrace) == ["mini_leaf (1)   I  "]
        kernel = Kernel(ARM, call_ops=True)
        ops, _ = register(kernel, DYNAMIC, "mini_leaf")
        assert enabled_functions(kernel.ftrace) == [
            f"mini_leaf (1)       O\tops: {ops.address:#x} (ftrace_count_hits+0x0/0xc)"
        ]
        assert FTRACE_OPS.size == 0x50
