"""Callbacks declared by name: the lines of callbacks_* and states_versions."""

from __future__ import annotations

import pytest

from emu.arch import PORTS
from emu.kernel.errno import ENODEV
from emu.kernel.modules import ModuleState
from emu.livepatch import Func, Object, Patch, State
from emu.machine.operations import OpKind
from tests.synthetic import Kernel, new_log

ALL = ("pre_patch", "post_patch", "pre_unpatch", "post_unpatch")


@pytest.fixture(params=sorted(PORTS))
def kernel(request: pytest.FixtureRequest) -> Kernel:
    return Kernel(PORTS[request.param])


def lines(text: str) -> list[str]:
    """Return the lines of ``text``; a bar marks where each begins."""
    return [line.partition("|")[2] for line in text.splitlines() if "|" in line]


def announcing(owner: str | None, *functions: str, returns: int = 0) -> Object:
    funcs = tuple(Func(function, "lp_1") for function in functions)
    return Object(owner, funcs, callbacks=ALL, pre_patch_returns=returns)


class TestWithoutStates:
    """<livepatch>: <callback> for <object> (<state of its module>)."""

    def test_callbacks_basic(self, kernel: Kernel) -> None:
        handle = kernel.livepatch.enable(Patch("lp_cb_vm", (announcing(None, "cmdline_proc_show"),)))
        assert kernel.livepatch.disable(handle) == 0
        assert new_log(kernel) == lines("""
            |lp_cb_vm: tainting kernel with TAINT_LIVEPATCH
            |livepatch: enabling patch 'lp_cb_vm'
            |lp_cb_vm: pre_patch for vmlinux (built in)
            |livepatch: 'lp_cb_vm': starting patching transition
            |lp_cb_vm: post_patch for vmlinux (built in)
            |livepatch: 'lp_cb_vm': patching complete
            |lp_cb_vm: pre_unpatch for vmlinux (built in)
            |livepatch: 'lp_cb_vm': starting unpatching transition
            |lp_cb_vm: post_unpatch for vmlinux (built in)
            |livepatch: 'lp_cb_vm': unpatching complete
        """)

    def test_callbacks_modules_up_to_the_late_one(self, kernel: Kernel) -> None:
        objects = (
            announcing(None, "cmdline_proc_show"),
            announcing("victim", "vic_alpha"),
            announcing("late", "late_ping"),
        )
        kernel.livepatch.enable(Patch("lp_cb", objects))
        assert new_log(kernel)[1:] == lines("""
            |livepatch: enabling patch 'lp_cb'
            |lp_cb: pre_patch for vmlinux (built in)
            |lp_cb: pre_patch for victim (live)
            |livepatch: 'lp_cb': starting patching transition
            |lp_cb: post_patch for vmlinux (built in)
            |lp_cb: post_patch for victim (live)
            |livepatch: 'lp_cb': patching complete
        """)

    @pytest.mark.parametrize("state", [ModuleState.COMING, ModuleState.GOING])
    def test_the_state_is_the_modules_own(self, kernel: Kernel, state: ModuleState) -> None:
        handle = kernel.livepatch.enable(Patch("lp_cb", (announcing("victim", "vic_alpha"),)))
        module = kernel.modules.find("victim")
        assert module is not None
        module.state = state
        new_log(kernel)
        kernel.livepatch.disable(handle)
        assert new_log(kernel)[0] == f"lp_cb: pre_unpatch for victim ({state.value})"

    def test_callbacks_pre_patch_fails(self, kernel: Kernel) -> None:
        refused = announcing(None, "cmdline_proc_show", returns=-ENODEV)
        assert kernel.livepatch.enable(Patch("lp_cbfail", (refused,))) == -ENODEV
        assert new_log(kernel) == lines("""
            |lp_cbfail: tainting kernel with TAINT_LIVEPATCH
            |livepatch: enabling patch 'lp_cbfail'
            |lp_cbfail: pre_patch for vmlinux (built in), refusing
            |livepatch: pre-patch callback failed for object 'vmlinux'
            |livepatch: failed to enable patch 'lp_cbfail'
            |livepatch: 'lp_cbfail': unpatching complete
        """)

    def test_callbacks_second_object_fails(self, kernel: Kernel) -> None:
        objects = announcing("victim", "vic_alpha"), announcing(None, "cmdline_proc_show", returns=-ENODEV)
        assert kernel.livepatch.enable(Patch("lp_cbfail2", objects)) == -ENODEV
        assert new_log(kernel)[2:] == lines("""
            |lp_cbfail2: pre_patch for victim (live)
            |lp_cbfail2: pre_patch for vmlinux (built in), refusing
            |livepatch: pre-patch callback failed for object 'vmlinux'
            |livepatch: failed to enable patch 'lp_cbfail2'
            |lp_cbfail2: post_unpatch for victim (live)
            |livepatch: 'lp_cbfail2': unpatching complete
        """)

    def test_callbacks_without_functions(self, kernel: Kernel) -> None:
        handle = kernel.livepatch.enable(Patch("lp_cb_none", (announcing(None), announcing("victim"))))
        state = kernel.livepatch.facts()["lp_cb_none"].objects
        assert {name: (obj.patched, obj.functions) for name, obj in state.items()} == {
            "victim": (True, ()),
            "vmlinux": (True, ()),
        }
        kernel.livepatch.disable(handle)
        assert new_log(kernel)[1:] == lines("""
            |livepatch: enabling patch 'lp_cb_none'
            |lp_cb_none: pre_patch for vmlinux (built in)
            |lp_cb_none: pre_patch for victim (live)
            |livepatch: 'lp_cb_none': starting patching transition
            |lp_cb_none: post_patch for vmlinux (built in)
            |lp_cb_none: post_patch for victim (live)
            |livepatch: 'lp_cb_none': patching complete
            |lp_cb_none: pre_unpatch for vmlinux (built in)
            |lp_cb_none: pre_unpatch for victim (live)
            |livepatch: 'lp_cb_none': starting unpatching transition
            |lp_cb_none: post_unpatch for vmlinux (built in)
            |lp_cb_none: post_unpatch for victim (live)
            |livepatch: 'lp_cb_none': unpatching complete
        """)

    def test_only_those_declared_are_called(self, kernel: Kernel) -> None:
        func = Func("cmdline_proc_show", "lp_1")
        handle = kernel.livepatch.enable(Patch("lp", (Object(None, (func,), callbacks=("post_patch",)),)))
        kernel.livepatch.disable(handle)
        said = [line for line in new_log(kernel) if line.startswith("lp: ")]
        assert said == ["lp: tainting kernel with TAINT_LIVEPATCH", "lp: post_patch for vmlinux (built in)"]
        assert kernel.player.names(OpKind.CALLBACK).count("post_patch vmlinux") == 1


def test_states_versions(kernel: Kernel) -> None:
    def stated(name: str, function: str, version: int) -> Patch:
        return Patch(name, (announcing(None, function),), states=(State(1, version),))

    enable, disable = kernel.livepatch.enable, kernel.livepatch.disable
    first = enable(stated("lp_s1v1", "cmdline_proc_show", 1))
    second = enable(stated("lp_s1v1b", "meminfo_proc_show", 1))
    third = enable(stated("lp_s1v2", "cmdline_proc_show", 2))
    assert [disable(handle) for handle in (third, second, first)] == [0, 0, 0]
    assert new_log(kernel) == lines("""
        |lp_s1v1: tainting kernel with TAINT_LIVEPATCH
        |livepatch: enabling patch 'lp_s1v1'
        |lp_s1v1: pre_patch for vmlinux (built in)
        |  lp_s1v1: own state 1 version 1 data none
        |livepatch: 'lp_s1v1': starting patching transition
        |lp_s1v1: post_patch for vmlinux (built in)
        |  lp_s1v1: own state 1 version 1 data none
        |livepatch: 'lp_s1v1': patching complete
        |livepatch: enabling patch 'lp_s1v1b'
        |lp_s1v1b: pre_patch for vmlinux (built in)
        |  lp_s1v1b: own state 1 version 1 data none
        |  lp_s1v1b: earlier state 1 version 1 data lp_s1v1
        |livepatch: 'lp_s1v1b': starting patching transition
        |lp_s1v1b: post_patch for vmlinux (built in)
        |  lp_s1v1b: own state 1 version 1 data none
        |  lp_s1v1b: earlier state 1 version 1 data lp_s1v1
        |livepatch: 'lp_s1v1b': patching complete
        |livepatch: enabling patch 'lp_s1v2'
        |lp_s1v2: pre_patch for vmlinux (built in)
        |  lp_s1v2: own state 1 version 2 data none
        |  lp_s1v2: earlier state 1 version 1 data lp_s1v1b
        |livepatch: 'lp_s1v2': starting patching transition
        |lp_s1v2: post_patch for vmlinux (built in)
        |  lp_s1v2: own state 1 version 2 data none
        |  lp_s1v2: earlier state 1 version 1 data lp_s1v1b
        |livepatch: 'lp_s1v2': patching complete
        |lp_s1v2: pre_unpatch for vmlinux (built in)
        |  lp_s1v2: own state 1 version 2 data lp_s1v2
        |  lp_s1v2: earlier state 1 version 1 data lp_s1v1b
        |livepatch: 'lp_s1v2': starting unpatching transition
        |lp_s1v2: post_unpatch for vmlinux (built in)
        |  lp_s1v2: own state 1 version 2 data lp_s1v2
        |  lp_s1v2: earlier state 1 version 1 data lp_s1v1b
        |livepatch: 'lp_s1v2': unpatching complete
        |lp_s1v1b: pre_unpatch for vmlinux (built in)
        |  lp_s1v1b: own state 1 version 1 data lp_s1v1b
        |  lp_s1v1b: earlier state 1 version 1 data lp_s1v1
        |livepatch: 'lp_s1v1b': starting unpatching transition
        |lp_s1v1b: post_unpatch for vmlinux (built in)
        |  lp_s1v1b: own state 1 version 1 data lp_s1v1b
        |  lp_s1v1b: earlier state 1 version 1 data lp_s1v1
        |livepatch: 'lp_s1v1b': unpatching complete
        |lp_s1v1: pre_unpatch for vmlinux (built in)
        |  lp_s1v1: own state 1 version 1 data lp_s1v1
        |livepatch: 'lp_s1v1': starting unpatching transition
        |lp_s1v1: post_unpatch for vmlinux (built in)
        |  lp_s1v1: own state 1 version 1 data lp_s1v1
        |livepatch: 'lp_s1v1': unpatching complete
    """)


class TestDeclarations:
    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"callbacks": ("pre_patsh",)}, r"^callbacks must be of pre_patch, .*, not 'pre_patsh'$"),
            ({"pre_patch_returns": -1}, r"^pre_patch_returns needs pre_patch in callbacks$"),
            (
                {"callbacks": ("pre_patch",), "pre_patch": lambda _facts: 0},
                r"^pre_patch is given both as a function and in callbacks; give one$",
            ),
        ],
    )
    def test_what_can_not_be_is_refused(self, wrong: dict[str, object], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            Object(None, (), **wrong)  # type: ignore[arg-type]  # wrong on purpose

    def test_functions_and_names_go_together(self, kernel: Kernel) -> None:
        called: list[str] = []

        def post_patch(_facts: object) -> int:
            called.append("post_patch")
            return 0

        func = Func("cmdline_proc_show", "lp_1")
        mixed = Object(None, (func,), post_patch=post_patch, callbacks=("pre_patch",))
        kernel.livepatch.enable(Patch("lp", (mixed,)))
        assert "lp: pre_patch for vmlinux (built in)" in new_log(kernel)
        assert called == ["post_patch"]
