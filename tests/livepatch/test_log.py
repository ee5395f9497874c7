"""The log of enabling and disabling, line for line what a 6.1 kernel said.

The lines are those of the observations; where there a transition waits in between, here it does not.
"""

from __future__ import annotations

import pytest

from emu.arch import PORTS
from emu.ftrace import OpsFlags
from emu.kernel.errno import EAGAIN, EBUSY, EINVAL, ENODEV, ENOENT
from emu.livepatch import Callback, Func, Object, ObjectFacts, Patch, State
from tests.synthetic import Kernel, new_log


@pytest.fixture(params=sorted(PORTS))
def kernel(request: pytest.FixtureRequest) -> Kernel:
    return Kernel(PORTS[request.param])


def one(name: str, function: str, owner: str | None = None, sympos: int = 0) -> Patch:
    """Return a patch of one function."""
    return Patch(name, (Object(owner, (Func(function, "lp_1", sympos=sympos),)),))


def test_basic_enable_disable(kernel: Kernel) -> None:
    livepatch = kernel.livepatch
    handle = livepatch.enable(one("lp_cmd1", "cmdline_proc_show"))
    assert new_log(kernel) == [
        "lp_cmd1: tainting kernel with TAINT_LIVEPATCH",
        "livepatch: enabling patch 'lp_cmd1'",
        "livepatch: 'lp_cmd1': starting patching transition",
        "livepatch: 'lp_cmd1': patching complete",
    ]
    assert livepatch.unload(handle) == -EAGAIN
    assert livepatch.disable(handle) == 0
    assert new_log(kernel) == [
        "livepatch: 'lp_cmd1': starting unpatching transition",
        "livepatch: 'lp_cmd1': unpatching complete",
    ]
    assert livepatch.write_enabled(handle, enabled=True) == -ENOENT
    assert livepatch.unload(handle) == 0
    assert livepatch.enable(one("lp_cmd1", "cmdline_proc_show")) > 0
    assert new_log(kernel)[0] == "livepatch: enabling patch 'lp_cmd1'"


def test_basic_debug_messages(kernel: Kernel) -> None:
    kernel.livepatch.log.debug_on = True
    handle = kernel.livepatch.enable(one("lp_cmd1", "cmdline_proc_show"))
    kernel.livepatch.disable(handle)
    assert new_log(kernel)[1:] == [
        "livepatch: enabling patch 'lp_cmd1'",
        "livepatch: 'lp_cmd1': initializing patching transition",
        "livepatch: 'lp_cmd1': starting patching transition",
        "livepatch: 'lp_cmd1': completing patching transition",
        "livepatch: 'lp_cmd1': patching complete",
        "livepatch: 'lp_cmd1': initializing unpatching transition",
        "livepatch: 'lp_cmd1': starting unpatching transition",
        "livepatch: 'lp_cmd1': completing unpatching transition",
        "livepatch: 'lp_cmd1': unpatching complete",
    ]


def test_ipmodify_conflict(kernel: Kernel) -> None:
    user = kernel.ops(OpsFlags.IPMODIFY | OpsFlags.SAVE_REGS)
    kernel.ftrace.ftrace_set_filter_ip(user, kernel.address("vic_beta", "victim"))
    assert kernel.ftrace.register_ftrace_function(user) == 0
    assert kernel.livepatch.enable(one("lp_b1", "vic_beta", "victim")) == -EBUSY
    assert new_log(kernel)[1:] == [
        "livepatch: enabling patch 'lp_b1'",
        "livepatch: failed to register ftrace handler for function 'vic_beta' (-16)",
        "livepatch: failed to patch object 'victim'",
        "livepatch: failed to enable patch 'lp_b1'",
        "livepatch: 'lp_b1': unpatching complete",
    ]
    assert kernel.livepatch.facts() == {}
    assert kernel.ftrace.unregister_ftrace_function(user) == 0
    assert kernel.livepatch.enable(one("lp_b1", "vic_beta", "victim")) > 0


def test_ftrace_enabled_switch(kernel: Kernel) -> None:
    assert kernel.ftrace.set_ftrace_enabled(on=False) == 0
    assert kernel.livepatch.enable(one("lp_a1", "vic_alpha", "victim")) == -EBUSY
    assert new_log(kernel)[2] == (
        "livepatch: failed to register ftrace handler for function 'vic_alpha' (-16)"
    )
    assert kernel.ftrace.set_ftrace_enabled(on=True) == 0
    handle = kernel.livepatch.enable(one("lp_a1", "vic_alpha", "victim"))
    assert kernel.ftrace.set_ftrace_enabled(on=False) == -EBUSY
    assert kernel.livepatch.disable(handle) == 0
    assert kernel.ftrace.set_ftrace_enabled(on=False) == 0


def test_symbol_not_found(kernel: Kernel) -> None:
    good_bad = Object("victim", (Func("vic_alpha", "lp_1"), Func("vic_nosuch", "lp_1")))
    before = kernel.snapshot()
    for patch, name in (
        (one("lp_badname", "vic_nosuch", "victim"), "vic_nosuch"),
        (one("lp_badname_vm", "nosuch_anywhere"), "nosuch_anywhere"),
        (Patch("lp_goodbad", (good_bad,)), "vic_nosuch"),
    ):
        assert kernel.livepatch.enable(patch) == -EINVAL
        assert new_log(kernel)[-1] == f"livepatch: symbol '{name}' not found in symbol table"
        assert kernel.snapshot() == before
        assert kernel.modules.find(patch.name) is None


def test_symbol_positions(kernel: Kernel) -> None:
    def say(function: str, sympos: int) -> str:
        assert kernel.livepatch.enable(one(f"lp_{sympos}", function, "victim", sympos)) == -EINVAL
        return new_log(kernel)[-1].removeprefix("livepatch: ")

    ambiguous = "unresolvable ambiguity for symbol 'vic_dup' in object 'victim'"
    assert say("vic_dup", 0) == ambiguous
    assert say("vic_dup", 3) == "symbol position 3 for symbol 'vic_dup' in object 'victim' not found"
    assert say("vic_alpha", 2) == "symbol position 2 for symbol 'vic_alpha' in object 'victim' not found"
    both = Object("victim", (Func("vic_dup", "lp_1", sympos=1), Func("vic_dup", "lp_2", sympos=2)))
    assert kernel.livepatch.enable(Patch("lp_dup12", (both,))) > 0
    state = kernel.livepatch.facts()["lp_dup12"].objects["victim"]
    assert (state.patched, state.functions) == (True, ("vic_dup,1", "vic_dup,2"))


def test_callbacks_basic_and_second_object_fails(kernel: Kernel) -> None:
    def tell(name: str, ret: int = 0) -> Callback:
        def callback(facts: ObjectFacts) -> int:
            refusing = ", refusing" if ret else ""
            kernel.player.log.append(f"{facts.patch}: {name} for {facts.object} ({facts.state}){refusing}")
            return ret

        return callback

    def all_four(owner: str | None, function: str, ret: int = 0) -> Object:
        return Object(
            owner,
            (Func(function, "lp_1"),),
            pre_patch=tell("pre_patch", ret),
            post_patch=tell("post_patch"),
            pre_unpatch=tell("pre_unpatch"),
            post_unpatch=tell("post_unpatch"),
        )

    handle = kernel.livepatch.enable(Patch("lp_cb_vm", (all_four(None, "cmdline_proc_show"),)))
    kernel.livepatch.disable(handle)
    assert new_log(kernel)[1:] == [
        "livepatch: enabling patch 'lp_cb_vm'",
        "lp_cb_vm: pre_patch for vmlinux (built in)",
        "livepatch: 'lp_cb_vm': starting patching transition",
        "lp_cb_vm: post_patch for vmlinux (built in)",
        "livepatch: 'lp_cb_vm': patching complete",
        "lp_cb_vm: pre_unpatch for vmlinux (built in)",
        "livepatch: 'lp_cb_vm': starting unpatching transition",
        "lp_cb_vm: post_unpatch for vmlinux (built in)",
        "livepatch: 'lp_cb_vm': unpatching complete",
    ]
    kernel.livepatch.log.debug_on = True
    objects = (all_four("victim", "vic_alpha"), all_four(None, "cmdline_proc_show", -ENODEV))
    assert kernel.livepatch.enable(Patch("lp_cbfail2", objects)) == -ENODEV
    assert new_log(kernel) == [
        "livepatch: enabling patch 'lp_cbfail2'",
        "livepatch: 'lp_cbfail2': initializing patching transition",
        "lp_cbfail2: pre_patch for victim (live)",
        "lp_cbfail2: pre_patch for vmlinux (built in), refusing",
        "livepatch: pre-patch callback failed for object 'vmlinux'",
        "livepatch: failed to enable patch 'lp_cbfail2'",
        "livepatch: 'lp_cbfail2': canceling patching transition, going to unpatch",
        "livepatch: 'lp_cbfail2': completing unpatching transition",
        "lp_cbfail2: post_unpatch for victim (live)",
        "livepatch: 'lp_cbfail2': unpatching complete",
    ]


def test_incompatible_states(kernel: Kernel) -> None:
    def stated(name: str, version: int, **kwargs: bool) -> Patch:
        objects = (Object(None, (Func("cmdline_proc_show", "lp_1"),)),)
        return Patch(name, objects, states=(State(1, version),), **kwargs)

    assert kernel.livepatch.enable(stated("lp_s1v2", 2)) > 0
    new_log(kernel)
    assert kernel.livepatch.enable(stated("lp_s1v1", 1)) == -EINVAL
    assert new_log(kernel) == [
        "livepatch: Livepatch patch (lp_s1v1) is not compatible with the already installed livepatches."
    ]
    assert kernel.livepatch.enable(one("lp_none", "cmdline_proc_show")) > 0
    replacing = Patch("lp_r", one("x", "cmdline_proc_show").objects, replace=True)
    assert kernel.livepatch.enable(replacing) == -EINVAL
    assert kernel.livepatch.enable(stated("lp_s1v3", 3, replace=True)) > 0
    assert kernel.livepatch.patches() == ["lp_s1v3"]


def test_debug_lines_do_not_tell_why_a_site_is_missing(kernel: Kernel) -> None:
    kernel.livepatch.log.debug_on = True

    assert kernel.livepatch.enable(one("lp", "mini_bare")) == -EINVAL

    assert new_log(kernel)[2:6] == [
        "livepatch: 'lp': initializing patching transition",
        "livepatch: failed to find location for function 'mini_bare'",
        "livepatch: failed to patch object 'vmlinux'",
        "livepatch: failed to enable patch 'lp'",
    ]
