"""patch.c: every function, every way out of it."""

from __future__ import annotations

import pytest

from emu.arch import PORTS
from emu.kernel.errno import EBUSY, EINVAL, ENOMEM
from emu.kernel.guest import LIST_POISON1, LIST_POISON2, View
from emu.livepatch.log import Log
from emu.livepatch.patch import Patcher
from emu.machine.operations import OpKind
from emu.structs import KLP_FUNC, KLP_OBJECT, KLP_OPS, KLP_PATCH
from tests.synthetic import Kernel, new_log


class Bench:
    """A kernel with a patcher and hand-made structs."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel, self.guest = kernel, kernel.guest
        self.patcher = Patcher(kernel.guest, kernel.ftrace, Log(kernel.guest, debug=True))

    def func(self, name: str = "mini_leaf", new: str = "lp_1", *, nop: bool = False) -> View:
        at = self.kernel.heap.allocate(KLP_FUNC.size + 32, "func")
        self.kernel.memory.write(at + KLP_FUNC.size, name.encode())
        func = View(self.guest, KLP_FUNC, at)
        func["old_name"] = at + KLP_FUNC.size
        func["old_func"] = self.kernel.address(name)
        func["new_func"] = self.kernel.address(new)
        func["nop"] = int(nop)
        return func

    def object(self, *funcs: View, dynamic: bool = False) -> View:
        obj = View(self.guest, KLP_OBJECT, self.kernel.heap.allocate(KLP_OBJECT.size, "object"))
        self.guest.list_init(obj.at("func_list.next"))
        obj["dynamic"] = int(dynamic)
        for func in funcs:
            self.guest.list_add_tail(func.at("node.next"), obj.at("func_list.next"))
        return obj

    def patch(self, *objects: View) -> View:
        patch = View(self.guest, KLP_PATCH, self.kernel.heap.allocate(KLP_PATCH.size, "patch"))
        self.guest.list_init(patch.at("obj_list.next"))
        for obj in objects:
            self.guest.list_add_tail(obj.at("node.next"), patch.at("obj_list.next"))
        return patch

    def stack(self, name: str = "mini_leaf") -> list[int]:
        """Return the entries for a function, newest first."""
        ops = self.patcher.klp_find_ops(self.kernel.address(name))
        if ops is None:
            return []
        nodes = self.guest.list_nodes(ops.at("func_stack.next"))
        return [node - KLP_FUNC.offset("stack_node.next") for node in nodes]

    def warns(self) -> int:
        return len(self.kernel.player.marks)


@pytest.fixture(params=[("x86_64", False), ("arm64", False), ("arm64", True)], ids=str)
def bench(request: pytest.FixtureRequest) -> Bench:
    name, call_ops = request.param
    made = Bench(Kernel(PORTS[name], call_ops=call_ops))
    new_log(made.kernel)
    return made


class TestFindOps:
    def test_by_the_newest_entry_of_each(self, bench: Bench) -> None:
        assert bench.patcher.klp_find_ops(bench.kernel.address("mini_leaf")) is None
        for name in ("mini_leaf", "mini_nested"):
            bench.patcher.klp_patch_func(bench.func(name))
        found = {n: bench.patcher.klp_find_ops(bench.kernel.address(n)) for n in ("mini_leaf", "mini_nested")}
        assert len({ops.address for ops in found.values() if ops}) == 2
        assert bench.patcher.klp_find_ops(0x1234) is None


class TestPatchFunc:
    def test_the_first_brings_the_handler_with_the_kernels_flags(self, bench: Bench) -> None:
        func = bench.func()
        assert bench.patcher.klp_patch_func(func) == 0
        ops = bench.patcher.klp_find_ops(func["old_func"])
        assert ops is not None
        fops = bench.kernel.ftrace.ops(ops.at("fops"))
        assert int(fops.flags) & 0x11002 == 0x11002
        assert not int(fops.flags) & 0x4  # no SAVE_REGS
        assert fops.func == bench.kernel.address("klp_ftrace_handler")
        assert (bench.stack(), func["patched"]) == ([func.address], 1)

    def test_save_regs_for_ports_that_need_them(self) -> None:
        bench = Bench(Kernel(PORTS["x86_64"]))
        patcher = Patcher(bench.guest, bench.kernel.ftrace, Log(bench.guest), save_regs=True)
        func = bench.func()
        assert patcher.klp_patch_func(func) == 0
        ops = patcher.klp_find_ops(func["old_func"])
        assert ops is not None
        assert int(bench.kernel.ftrace.ops(ops.at("fops")).flags) & 0x4

    def test_the_func_is_on_the_stack_before_the_filter_is_set_and_patched_after_all(
        self, bench: Bench
    ) -> None:
        func = bench.func()
        bench.kernel.player.operations.clear()
        bench.patcher.klp_patch_func(func)
        names = bench.kernel.player.names(OpKind.STORE, OpKind.TEXT_STORE)
        order = [
            "list_add_rcu head->next",
            "ftrace_ops->local_hash.filter_hash",
            "ftrace_ops_list",
            "klp_func->patched",
        ]
        assert [n for n in names if n in order] == order
        assert names[-1] == "klp_func->patched"

    def test_the_second_only_joins_the_stack(self, bench: Bench) -> None:
        first, second = bench.func(), bench.func(new="lp_2")
        bench.patcher.klp_patch_func(first)
        bench.kernel.player.operations.clear()
        assert bench.patcher.klp_patch_func(second) == 0
        assert bench.stack() == [second.address, first.address]
        assert not bench.kernel.player.names(OpKind.TEXT_STORE, OpKind.ALLOC)

    def test_without_old_func_or_twice_it_warns(self, bench: Bench) -> None:
        func = bench.func()
        func["old_func"] = 0
        assert bench.patcher.klp_patch_func(func) == -EINVAL
        func["old_func"] = bench.kernel.address("mini_leaf")
        func["patched"] = 1
        assert bench.patcher.klp_patch_func(func) == -EINVAL
        assert bench.warns() == 2
        assert all(line.startswith("WARNING: at emu/livepatch/patch.py:") for line in new_log(bench.kernel))

    @pytest.mark.parametrize("name", ["mini_bare", "mini_mcount"])
    def test_without_a_site_at_the_entry_it_is_refused(self, bench: Bench, name: str) -> None:
        assert bench.patcher.klp_patch_func(bench.func(name)) == -EINVAL
        assert new_log(bench.kernel) == [f"livepatch: failed to find location for function '{name}'"]

    @pytest.mark.parametrize(
        ("step", "at", "errno", "ret", "line"),
        [
            ("ftrace_location", 1, 1, -EINVAL, "failed to find location for function 'mini_leaf'"),
            ("alloc", 1, 1, -ENOMEM, None),
            ("alloc", 2, 1, -ENOMEM, "failed to set ftrace filter for function 'mini_leaf' (-12)"),
            ("filter", 1, 28, -28, "failed to set ftrace filter for function 'mini_leaf' (-28)"),
            (
                "register",
                1,
                EBUSY,
                -EBUSY,
                "failed to register ftrace handler for function 'mini_leaf' (-16)",
            ),
        ],
    )
    def test_a_failure_leaves_nothing(
        self, bench: Bench, step: str, at: int, errno: int, ret: int, line: str | None
    ) -> None:
        func = bench.func()
        before = bench.kernel.snapshot()
        bench.kernel.fail.arm(step, at, errno)
        assert bench.patcher.klp_patch_func(func) == ret
        bench.kernel.fail.arm("", 0)
        assert bench.kernel.snapshot() == before
        assert (bench.stack(), func["patched"], bench.warns()) == ([], 0, 0)
        told = [text for text in new_log(bench.kernel) if "location'" not in text and "it has no" not in text]
        assert told == ([f"livepatch: {line}"] if line else [])


class TestUnpatchFunc:
    def test_the_last_takes_the_handler_along_in_the_kernels_order(self, bench: Bench) -> None:
        before = bench.kernel.snapshot()
        func = bench.func()
        bench.patcher.klp_patch_func(func)
        ops = bench.patcher.klp_find_ops(func["old_func"])
        assert ops is not None
        bench.kernel.player.operations.clear()
        bench.patcher.klp_unpatch_func(func)
        order = [
            "ftrace_ops_list unlink",
            "synchronize_rcu_tasks_rude",
            "synchronize_rcu_tasks",
            "ftrace_ops->local_hash.filter_hash",
            "list_del_rcu node->prev poison",
            "list_del node->next poison",
            "klp_ops",
            "klp_func->patched",
        ]
        assert [n for n in bench.kernel.player.names() if n in order] == order
        bench.kernel.heap.release(func.address)
        assert bench.kernel.snapshot() == before

    def test_poisons_are_the_kernels(self, bench: Bench) -> None:
        lower, upper = bench.func(), bench.func(new="lp_2")
        bench.patcher.klp_patch_func(lower)
        bench.patcher.klp_patch_func(upper)
        following = upper["stack_node.next"]
        bench.patcher.klp_unpatch_func(upper)
        assert (upper["stack_node.next"], upper["stack_node.prev"]) == (following, LIST_POISON2)
        assert bench.stack() == [lower.address]
        freed: list[tuple[int, int]] = []
        ops = bench.patcher.klp_find_ops(lower["old_func"])
        assert ops is not None

        def note(operation: object) -> None:
            if getattr(operation, "what", "") == "klp_ops":
                at = ops.address + KLP_OPS.offset("node.next")
                freed.append((bench.kernel.memory.load(at), bench.kernel.memory.load(at + 8)))

        bench.kernel.player.on_operation = note
        bench.patcher.klp_unpatch_func(lower)
        assert freed == [(LIST_POISON1, LIST_POISON2)]

    def test_the_older_of_two_goes_without_touching_text(self, bench: Bench) -> None:
        lower, upper = bench.func(), bench.func(new="lp_2")
        bench.patcher.klp_patch_func(lower)
        bench.patcher.klp_patch_func(upper)
        bench.kernel.player.operations.clear()
        bench.patcher.klp_unpatch_func(lower)
        assert bench.stack() == [upper.address]
        assert not bench.kernel.player.names(OpKind.TEXT_STORE, OpKind.WAIT, OpKind.FREE)

    def test_what_can_not_be_only_warns(self, bench: Bench) -> None:
        func = bench.func()
        bench.patcher.klp_unpatch_func(func)  # not patched
        func["patched"] = 1
        bench.patcher.klp_unpatch_func(func)  # no ops
        func["old_func"] = 0
        bench.patcher.klp_unpatch_func(func)  # no old_func
        assert (bench.warns(), func["patched"]) == (3, 1)

    def test_a_lost_location_leaves_the_func_patched(self, bench: Bench) -> None:
        func = bench.func()
        bench.patcher.klp_patch_func(func)
        bench.kernel.fail.arm("ftrace_location", 1)
        bench.patcher.klp_unpatch_func(func)
        assert (bench.warns(), func["patched"], bench.stack()) == (1, 1, [func.address])

    @pytest.mark.parametrize(("step", "warns"), [("unregister", 2), ("filter", 1)])
    def test_a_failing_ftrace_warns_and_the_func_still_goes(
        self, bench: Bench, step: str, warns: int
    ) -> None:
        """A filter can't be emptied while its ops is registered, hence the second WARN."""
        func = bench.func()
        bench.patcher.klp_patch_func(func)
        bench.kernel.fail.arm(step, 1, 5)
        bench.patcher.klp_unpatch_func(func)
        assert (bench.warns(), func["patched"], bench.stack()) == (warns, 0, [])


class TestObjects:
    def test_there_and_back(self, bench: Bench) -> None:
        obj = bench.object(bench.func("mini_leaf"), bench.func("mini_nested"))
        assert bench.patcher.klp_patch_object(obj) == 0
        assert obj["patched"] == 1
        assert bench.patcher.klp_patch_object(obj) == -EINVAL
        assert bench.warns() == 1
        bench.patcher.klp_unpatch_object(obj)
        assert (obj["patched"], bench.stack("mini_leaf"), bench.stack("mini_nested")) == (0, [], [])

    def test_the_first_failure_unpatches_the_object(self, bench: Bench) -> None:
        funcs = [bench.func("mini_leaf"), bench.func("mini_bare"), bench.func("mini_nested")]
        obj = bench.object(*funcs)
        before = bench.kernel.snapshot()
        assert bench.patcher.klp_patch_object(obj) == -EINVAL
        assert [f["patched"] for f in funcs] + [obj["patched"]] == [0, 0, 0, 0]
        assert bench.kernel.snapshot() == before

    def test_an_empty_object_is_patched_too(self, bench: Bench) -> None:
        obj = bench.object()
        assert bench.patcher.klp_patch_object(obj) == 0
        assert obj["patched"] == 1

    def test_a_whole_patch_skips_objects_that_are_not_patched(self, bench: Bench) -> None:
        on, off = bench.object(bench.func("mini_leaf")), bench.object(bench.func("mini_nested"))
        patch = bench.patch(on, off)
        bench.patcher.klp_patch_object(on)
        bench.patcher.klp_unpatch_objects(patch)
        assert (on["patched"], bench.stack(), bench.warns()) == (0, [], 0)

    def test_nops_alone_go_and_only_dynamic_objects_lose_their_mark(self, bench: Bench) -> None:
        real, nop, lone = (
            bench.func("mini_leaf"),
            bench.func("mini_nested", nop=True),
            bench.func("cmdline_proc_show", nop=True),
        )
        static, dynamic = bench.object(real, nop), bench.object(lone, dynamic=True)
        patch = bench.patch(static, dynamic)
        for obj in (static, dynamic):
            assert bench.patcher.klp_patch_object(obj) == 0
        bench.patcher.klp_unpatch_objects_dynamic(patch)
        assert [f["patched"] for f in (real, nop, lone)] == [1, 0, 0]
        assert (static["patched"], dynamic["patched"]) == (1, 0)
