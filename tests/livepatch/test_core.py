"""Enabling, disabling, stacking and replacing patches: codes, references, what is left."""

from __future__ import annotations

import pytest

from emu.arch import PORTS
from emu.errors import UnknownNameError
from emu.kernel.errno import EBUSY, EEXIST, EINVAL, ENODEV, ENOENT, ENOMEM
from emu.kernel.guest import View
from emu.kernel.modules import Module, ModuleState
from emu.livepatch import LINUX_6_17, Func, Object, Patch, PatchState
from emu.machine.operations import OpKind
from emu.structs import KLP_FUNC, KLP_PATCH
from tests.synthetic import Kernel

SCHEMES = [("x86_64", False), ("arm64", False), ("arm64", True)]


@pytest.fixture(params=SCHEMES, ids=str)
def kernel(request: pytest.FixtureRequest) -> Kernel:
    name, call_ops = request.param
    return Kernel(PORTS[name], call_ops=call_ops)


def patch(name: str, *functions: str, new: str = "lp_1", replace: bool = False) -> Patch:
    """Return a patch of functions of the kernel image."""
    return Patch(name, (Object(None, tuple(Func(f, new) for f in functions)),), replace=replace)


def runs(kernel: Kernel, function: str) -> str:
    """Return the name of what a call of ``function`` would run, by the graph in guest memory."""
    ops = kernel.livepatch.patcher.klp_find_ops(kernel.address(function))
    if ops is None:
        return function
    top = View(kernel.guest, KLP_FUNC, ops["func_stack.next"] - KLP_FUNC.offset("stack_node.next"))
    place = kernel.kallsyms.containing(top["new_func"])
    return place.symbol.name if place and not top["nop"] else function


class TestReferences:
    """A patch in use holds its module."""

    def test_taken_by_enable_and_put_by_disable(self, kernel: Kernel) -> None:
        handle = kernel.livepatch.enable(patch("lp", "mini_leaf"))
        module = kernel.modules.find("lp")
        assert module is not None
        assert module.refs == 1
        assert kernel.livepatch.enable(patch("lp", "mini_leaf")) == -EEXIST
        assert kernel.livepatch.disable(handle) == 0
        assert module.refs == 0
        assert kernel.livepatch.disable(handle) == -ENOENT
        assert kernel.livepatch.unload(handle) == 0
        assert kernel.livepatch.unload(handle) == -ENOENT
        assert kernel.livepatch.find("lp") == -ENOENT

    def test_a_module_that_goes_can_not_be_taken(self, kernel: Kernel) -> None:
        kernel.modules.add(Module(name="lp", livepatch=True, state=ModuleState.GOING))
        assert kernel.livepatch.enable(patch("lp", "mini_leaf")) == -ENODEV
        assert kernel.modules.find("lp") is not None

    def test_a_module_without_the_mark_is_refused(self, kernel: Kernel) -> None:
        kernel.modules.add(Module(name="lp"))
        assert kernel.livepatch.enable(patch("lp", "mini_leaf")) == -EINVAL
        assert kernel.player.log[-1] == "livepatch: module lp is not marked as a livepatch module"


class TestRefusals:
    def test_names_and_declarations(self, kernel: Kernel) -> None:
        enable = kernel.livepatch.enable
        assert enable(Patch("empty", ())) == -EINVAL
        assert enable(patch("noname", "")) == -EINVAL
        assert enable(Patch("nonew", (Object(None, (Func("mini_leaf", 0),)),))) == -EINVAL
        assert enable(Patch("long", (Object("m" * 56, ()),))) == -EINVAL
        assert enable(Patch("longer", (Object(None, (Func("f" * 512, "lp_1"),)),))) == -EINVAL
        with pytest.raises(UnknownNameError, match=r"^unknown replacement 'nosuch'"):
            enable(patch("lp", "mini_leaf", new="nosuch"))

    def test_sizes_must_be_known(self, kernel: Kernel) -> None:
        enable = kernel.livepatch.enable
        assert enable(Patch("lp", (Object(None, (Func("mini_leaf", 0x40),)),))) == -ENOENT
        assert kernel.player.log[-1] == "livepatch: kallsyms size lookup failed for 'mini_leaf' replacement"
        assert enable(patch("lp", "ftrace_call")) == -ENOENT
        assert kernel.player.log[-1] == "livepatch: kallsyms size lookup failed for 'ftrace_call'"

    def test_wrong_writes(self, kernel: Kernel) -> None:
        handle = kernel.livepatch.enable(patch("lp", "mini_leaf"))
        assert kernel.livepatch.write_enabled(handle, enabled=True) == -EINVAL
        assert kernel.livepatch.write_enabled(1, enabled=False) == -ENOENT

    def test_one_transition_at_a_time(self, kernel: Kernel) -> None:
        handle = kernel.livepatch.enable(patch("lp", "mini_leaf"))
        view = View(kernel.guest, KLP_PATCH, handle)
        kernel.livepatch.transition.patch = View(kernel.guest, KLP_PATCH, 0x2000_0000)
        before = kernel.snapshot()
        assert kernel.livepatch.enable(patch("other", "mini_leaf")) == -EBUSY
        assert kernel.livepatch.disable(handle) == -EBUSY
        kernel.livepatch.transition.patch = view
        assert kernel.livepatch.facts()["lp"].transition
        kernel.livepatch.transition.patch = None
        assert kernel.snapshot() == before
        assert kernel.modules.find("other") is None


LEAF, LEAF1 = Func("mini_leaf", "lp_1"), Func("mini_leaf", "lp_1", sympos=1)
DUPLICATES = {
    "the same function": ((Object(None, (LEAF, LEAF)),), "vmlinux/mini_leaf,1"),
    "its only position": ((Object(None, (LEAF, LEAF1)),), "vmlinux/mini_leaf,1"),
    "one of several": (
        (Object("victim", tuple(Func("vic_dup", "lp_1", sympos=2) for _ in range(2))),), "victim/vic_dup,2",
    ),
    "not loaded": ((Object("late", (LEAF, LEAF)),), "late/mini_leaf,1"),
    "an object": ((Object(None, (LEAF,)), Object(None, (Func("mini_nested", "lp_1"),))), "vmlinux"),
    "vmlinux as a module": ((Object(None, (LEAF,)), Object("vmlinux", ())), "vmlinux"),
}  # fmt: skip


class TestDuplicates:
    """Directories of sysfs that are there already: fs/sysfs/dir.c and lib/kobject.c print this."""

    @pytest.mark.parametrize("what", DUPLICATES)
    def test_refused_with_eexist(self, kernel: Kernel, what: str) -> None:
        objects, path = DUPLICATES[what]
        kernel.livepatch.enable(patch("first", "mini_leaf"))
        before, log = kernel.snapshot(), len(kernel.player.log)

        assert kernel.livepatch.enable(Patch("lp", objects)) == -EEXIST
        assert kernel.player.log[log:] == [
            f"sysfs: cannot create duplicate filename '/kernel/livepatch/lp/{path}'",
            f"kobject_add_internal failed for {path.rpartition('/')[2]} with -EEXIST, don't try to register "
            "things with the same name in the same directory.",
        ]
        assert kernel.snapshot() == before
        assert kernel.modules.find("lp") is None

    def test_newer_kernels_say_where_the_line_is_from(self) -> None:
        kernel = Kernel(PORTS["x86_64"], flavour=LINUX_6_17)

        assert kernel.livepatch.enable(Patch("lp", (Object(None, (LEAF, LEAF)),))) == -EEXIST
        assert kernel.player.log[-1].startswith("kobject: kobject_add_internal failed for mini_leaf,1 with ")

    def test_the_same_in_two_objects_or_patches_is_none(self, kernel: Kernel) -> None:
        twice = (Object(None, (LEAF,)), Object("late", (LEAF,)))
        assert kernel.livepatch.enable(Patch("one", twice)) > 0
        assert kernel.livepatch.enable(Patch("two", twice)) > 0

    def test_a_nop_for_position_0_where_the_patch_has_position_1(self, kernel: Kernel) -> None:
        """klp_find_func takes 0 and 1 for different functions, in 6.1 and in 6.17."""
        kernel.livepatch.enable(Patch("first", (Object(None, (LEAF,)),)))
        assert kernel.livepatch.enable(Patch("lp", (Object(None, (LEAF1,)),), replace=True)) == -EEXIST


class TestStack:
    """The newest enabled patch of a function runs; any of them may go."""

    @pytest.mark.parametrize("newest_first", [True, False])
    def test_two_patches(self, kernel: Kernel, newest_first: bool) -> None:
        before = kernel.snapshot()
        handles = [kernel.livepatch.enable(patch(f"p{i}", "mini_leaf", new=f"lp_{i}")) for i in (1, 2)]
        assert runs(kernel, "mini_leaf") == "lp_2"
        assert kernel.livepatch.patches() == ["p1", "p2"]
        assert [f.stack_order for f in kernel.livepatch.facts().values()] == [1, 2]
        first, second = handles[::-1] if newest_first else handles
        assert kernel.livepatch.disable(first) == 0
        assert runs(kernel, "mini_leaf") == ("lp_1" if newest_first else "lp_2")
        assert kernel.livepatch.disable(second) == 0
        assert runs(kernel, "mini_leaf") == "mini_leaf"
        for handle in handles:
            assert kernel.livepatch.unload(handle) == 0
        assert kernel.snapshot() == before

    def test_an_object_that_is_not_loaded_waits(self, kernel: Kernel) -> None:
        objects = (Object(None, (Func("mini_leaf", "lp_1"),)), Object("late", (Func("late_ping", "lp_1"),)))
        assert kernel.livepatch.enable(Patch("lp", objects)) > 0
        state = kernel.livepatch.facts()["lp"].objects
        assert (state["vmlinux"].patched, state["late"].patched) == (True, False)


class TestReplace:
    """An atomic replace ends every patch before it."""

    def test_left_out_functions_go_back_to_the_original(self, kernel: Kernel) -> None:
        before = kernel.snapshot()
        old = kernel.livepatch.enable(patch("ab", "mini_leaf", "mini_nested"))
        new = kernel.livepatch.enable(patch("r", "mini_leaf", new="lp_2", replace=True))
        assert (runs(kernel, "mini_leaf"), runs(kernel, "mini_nested")) == ("lp_2", "mini_nested")
        assert kernel.player.names(OpKind.ALLOC).count("klp_func nop") == 1  # mini_leaf needs none
        assert kernel.livepatch.patches() == ["r"]
        assert kernel.livepatch.facts()["r"].objects["vmlinux"].functions == ("mini_leaf,1",)
        assert kernel.livepatch.unload(old) == 0
        assert kernel.livepatch.disable(new) == 0
        assert kernel.livepatch.unload(new) == 0
        assert kernel.snapshot() == before

    def test_a_dynamic_object_is_made_and_freed(self, kernel: Kernel) -> None:
        kernel.livepatch.enable(Patch("m", (Object("victim", (Func("vic_alpha", "lp_1"),)),)))
        assert kernel.livepatch.enable(patch("r", "mini_leaf", replace=True)) > 0
        assert set(kernel.livepatch.facts()["r"].objects) == {"vmlinux"}
        assert kernel.called(kernel.site("vic_alpha", "victim")) is None
        alive = {what for _, what in kernel.heap.live.values()}
        assert not alive & {"klp_object dynamic", "klp_func nop"}

    @pytest.mark.parametrize("at", [2, 3, 4])
    def test_no_memory_for_nops(self, kernel: Kernel, at: int) -> None:
        kernel.livepatch.enable(
            Patch("m", (Object("victim", (Func("vic_alpha", "lp_1"), Func("vic_beta", "lp_1"))),))
        )
        before = kernel.snapshot()
        kernel.fail.arm("alloc", at)
        assert kernel.livepatch.enable(patch("r", "mini_leaf", replace=True)) == -ENOMEM
        assert kernel.snapshot() == before
        assert kernel.livepatch.patches() == ["m"]


class TestOrder:
    """What the patching CPU does, in the kernel's order."""

    def test_barriers_stand_before_what_they_order(self, kernel: Kernel) -> None:
        handle = kernel.livepatch.enable(patch("lp", "mini_leaf"))
        names = kernel.player.names()
        order = ["klp_target_state", "smp_wmb klp_init_transition", "smp_wmb __klp_enable_patch"]
        places = [len(names) - 1 - names[::-1].index(name) for name in order[1:]]
        published = len(names) - 1 - names[::-1].index("list_add_rcu head->next")
        assert places[0] < places[1] < published
        kernel.player.operations.clear()
        kernel.livepatch.disable(handle)
        named = [
            n
            for n in kernel.player.names(OpKind.BARRIER, OpKind.WAIT, OpKind.MARK)
            if n.startswith(("smp_wmb _", "smp_wmb k", "klp_sync", "DIS", "SET", "synchronize_rcu_tasks"))
        ]
        assert named == [
            "DISABLE",
            "smp_wmb klp_init_transition",
            "smp_wmb __klp_disable_patch",
            "synchronize_rcu_tasks_rude",
            "synchronize_rcu_tasks",
            "klp_synchronize_transition after unpatching",
            "SETTLED",
        ]

    def test_the_target_state_is_undefined_outside_transitions(self, kernel: Kernel) -> None:
        assert kernel.livepatch.transition.target is PatchState.UNDEFINED
        kernel.livepatch.enable(patch("lp", "mini_leaf"))
        assert kernel.livepatch.transition.target is PatchState.UNDEFINED

    def test_functions_are_marked_before_the_site_is_on_and_until_all_have_switched(
        self, kernel: Kernel
    ) -> None:
        kernel.player.operations.clear()
        kernel.livepatch.enable(patch("lp", "mini_leaf"))
        told = [
            (o.what, o.value) for o in kernel.player.operations
            if o.what == "klp_func->transition" or o.kind is OpKind.TEXT_STORE
        ]  # fmt: skip
        names = [name if name == "klp_func->transition" else "poke" for name, _ in told]
        assert names[:2] == ["klp_func->transition"] * 2, "cleared when it is made, then set"
        assert names[-1] == "klp_func->transition"
        assert "poke" in names
        assert [value for name, value in told if name == "klp_func->transition"] == [0, 1, 0]
