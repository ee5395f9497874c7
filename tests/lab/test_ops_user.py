"""The module ops_user beside livepatch: refused, or both are called, as in ``ipmodify_conflict``."""

from __future__ import annotations

import pytest

from emu.ftrace import enabled_functions
from emu.kernel.errno import EBUSY, EINVAL
from emu.structs import FTRACE_OPS
from tests.lab.users import SETUPS, Users


def hits(users: Users) -> int:
    """Return how often cb was called."""
    at = users.machine.loader.image("ops_user").address("ops") + FTRACE_OPS.offset("hits")
    return users.machine.kernel.engine.memory.load(at)


class TestConflict:
    """Two users must not both move the instruction pointer: the second is refused, whichever it is."""

    def test_the_livepatch_is_first(self, users: Users) -> None:
        number = users.patch("lp_a1")
        users.log()
        assert users.insmod("ops_user", fn="vic_alpha", ipmod=1) == -EBUSY
        assert users.log() == ["ops_user: register on vic_alpha ipmod=1: -16"]
        assert users.machine.modules.find("ops_user") is None
        assert users.enabled() == ["vic_alpha [victim] (1)   I"]
        assert users.call("vic_alpha") == number

        assert users.insmod("ops_user", fn="vic_beta", ipmod=1) == 0
        assert users.log() == ["ops_user: register on vic_beta ipmod=1: 0"]
        assert users.enabled() == ["vic_alpha [victim] (1)   I", "vic_beta [victim] (1) R I"]
        users.assert_sound()

    def test_the_other_is_first(self, users: Users) -> None:
        assert users.insmod("ops_user", fn="vic_beta", ipmod=1) == 0
        users.log()
        assert users.shell.insmod("lp_b1") == -EBUSY
        assert users.log() == [
            "lp_b1: tainting kernel with TAINT_LIVEPATCH",
            "livepatch: enabling patch 'lp_b1'",
            "livepatch: failed to register ftrace handler for function 'vic_beta' (-16)",
            "livepatch: failed to patch object 'victim'",
            "livepatch: failed to enable patch 'lp_b1'",
            "livepatch: 'lp_b1': unpatching complete",
        ]
        assert users.call("vic_beta") == 0
        assert users.shell.rmmod("ops_user") == 0
        assert users.log() == ["ops_user: unregister: 0, hits some"]
        assert users.call("vic_beta") == users.call("vic_beta") == 0
        number = users.patch("lp_b1")
        assert users.call("vic_beta") == number
        users.assert_sound()

    def test_a_refused_module_leaves_nothing(self, users: Users) -> None:
        users.patch("lp_a1")
        kernel, trampolines = users.machine.kernel, users.machine.text_areas[0]

        def held() -> tuple[list[str], int]:
            return [found.what for found in kernel.heap.live()], len(trampolines.live())

        before = held()
        for _ in range(3):
            assert users.insmod("ops_user", fn="vic_alpha", ipmod=1) == -EBUSY
        assert held() == before


class TestTogether:
    """Who only looks on is called, and livepatch beside it."""

    def test_from_the_private_trampoline_to_the_shared_one_and_back(self, users: Users) -> None:
        number = users.patch("lp_a1")
        alone = users.way("vic_alpha")
        assert alone.startswith("0x") if users.has_trampolines else alone == "ftrace_caller"

        assert users.insmod("ops_user", fn="vic_alpha") == 0
        assert users.log()[-1] == "ops_user: register on vic_alpha ipmod=0: 0"
        assert users.way("vic_alpha") == "ftrace_caller"
        assert users.enabled() == ["vic_alpha [victim] (2)   I"]
        if users.has_trampolines:
            line = enabled_functions(users.machine.ftrace)[0]
            assert line.partition("->")[2].startswith("arch_ftrace_ops_list_func+0x0/0x")
        assert [users.call("vic_alpha") for _ in range(3)] == [number] * 3
        assert hits(users) == 3

        assert users.shell.rmmod("ops_user") == 0
        assert users.log()[-1] == "ops_user: unregister: 0, hits some"
        assert users.way("vic_alpha") == alone
        assert users.call("vic_alpha") == number
        users.unpatch("lp_a1")
        assert users.way("vic_alpha") == ""
        assert users.text() == users.boot_text
        users.assert_sound()

    def test_the_livepatch_comes_second(self, users: Users) -> None:
        assert users.insmod("ops_user", fn="vic_alpha") == 0
        alone = users.way("vic_alpha")
        number = users.patch("lp_a1")
        assert users.way("vic_alpha") == "ftrace_caller"
        before = hits(users)
        assert users.call("vic_alpha") == number
        assert hits(users) == before + 1
        users.unpatch("lp_a1")
        assert users.way("vic_alpha") == alone
        assert users.call("vic_alpha") == 0
        assert hits(users) == before + 2
        users.assert_sound()

    def test_all_registers(self, users: Users) -> None:
        number = users.patch("lp_a1")
        assert users.insmod("ops_user", fn="vic_alpha", saveregs=1) == 0
        assert users.way("vic_alpha") == "ftrace_regs_caller"
        assert users.enabled() == ["vic_alpha [victim] (2) R I"]
        assert users.call("vic_alpha") == number
        assert hits(users) == 1
        assert users.shell.rmmod("ops_user") == 0
        assert users.enabled() == ["vic_alpha [victim] (1)   I"]
        assert users.call("vic_alpha") == number
        users.assert_sound()

    def test_a_patch_above_the_first_finds_the_ops_in_place(self, users: Users) -> None:
        users.patch("lp_a1")
        assert users.insmod("ops_user", fn="vic_alpha") == 0
        newer = users.patch("lp_a2")
        assert users.enabled() == ["vic_alpha [victim] (2)   I"], "one ops for both patches"
        assert users.call("vic_alpha") == newer
        users.assert_sound()


class TestNames:
    """``fn`` is looked up among the sites."""

    def test_a_pattern_means_all_it_matches(self, users: Users) -> None:
        assert users.insmod("ops_user", fn="vic_[ab]*") == 0
        assert users.enabled() == ["vic_alpha [victim] (1)", "vic_beta [victim] (1)"]
        users.call("vic_alpha")
        users.call("vic_beta")
        users.call("vic_gamma")
        assert hits(users) == 2

    @pytest.mark.parametrize("fn", ["vic_nosuch", "vic_untraced", ""])
    def test_what_has_no_site_is_refused(self, users: Users, fn: str) -> None:
        assert users.insmod("ops_user", fn=fn) == -EINVAL
        assert users.log() == [f"ops_user: register on {fn} ipmod=0: -22"]

    def test_parameters_are_read_as_the_kernel_does(self, users: Users) -> None:
        assert users.insmod("ops_user", fn="vic_beta", ipmod="yes") == -EINVAL
        assert users.log() == ["ops_user: `yes' invalid for parameter `ipmod'"]
        assert users.insmod("ops_user", fn="vic_beta", colour="red", ipmod="0x0") == 0
        assert users.log() == [
            "ops_user: unknown parameter 'colour' ignored",
            "ops_user: register on vic_beta ipmod=0: 0",
        ]


class TestModuleGoes:
    """A module may be unloaded while its functions are hooked; they come back unhooked."""

    def test_victim(self, users: Users) -> None:
        assert users.insmod("ops_user", fn="vic_alpha") == 0
        assert users.shell.rmmod("victim") == 0
        assert users.enabled() == []
        assert users.shell.insmod("victim") == 0
        assert users.way("vic_alpha") == ""
        users.call("vic_alpha")
        assert hits(users) == 0
        assert users.shell.rmmod("ops_user") == 0
        assert users.log()[-1] == "ops_user: unregister: 0, hits none"
        users.assert_sound()

    @pytest.mark.parametrize("setup", SETUPS)
    def test_ops_user_with_calls_under_way(self, setup: str) -> None:
        users = Users(setup, workers=2, users=1, tick=1_500)
        for _ in range(3):
            assert users.insmod("ops_user", fn="mini_leaf") == 0
            assert users.machine.run(instructions=20_000).ok
            assert hits(users) > 0
            assert users.shell.rmmod("ops_user") == 0
        assert users.machine.run(instructions=20_000).ok
        users.assert_sound()
