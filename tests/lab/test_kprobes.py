"""Kprobes beside livepatch, by ftrace and by breakpoints; the kernel's selftest is test-kprobe.sh."""

from __future__ import annotations

import numpy as np
import pytest

from emu.build.decode import decode
from emu.kernel.errno import EBUSY, EINVAL
from emu.structs import CONSTANTS, KPROBE
from tests.lab.users import KPROBES, SETUPS, Users


class TestLivepatchAndEntry:
    """By ftrace: a post handler and livepatch exclude each other, in either order."""

    def test_post_handler_first(self, on_ftrace: Users) -> None:
        users = on_ftrace
        assert users.shell.write(f"{KPROBES}/enabled", "1\n") == 2
        assert users.insmod("kp_user", fn="vic_alpha", post=1) == 0
        assert users.log() == ["kp_user: register on vic_alpha+0 post=1: 0"]
        assert users.enabled() == ["vic_alpha [victim] (1) R I"]
        assert users.shell.insmod("lp_a1") == -EBUSY
        assert users.log()[-5:] == [
            "livepatch: enabling patch 'lp_a1'",
            "livepatch: failed to register ftrace handler for function 'vic_alpha' (-16)",
            "livepatch: failed to patch object 'victim'",
            "livepatch: failed to enable patch 'lp_a1'",
            "livepatch: 'lp_a1': unpatching complete",
        ]
        assert users.call("vic_alpha") == 0
        assert users.kprobe_hits() == (1, 1)
        assert users.shell.rmmod("kp_user") == 0
        assert users.log() == ["kp_user: unregister, hits pre some post some"]
        assert users.call("vic_alpha") == 0
        assert users.call("vic_alpha") == 0
        assert users.patch("lp_a1") == users.call("vic_alpha")
        users.assert_sound()

    def test_no_post_handler_first(self, on_ftrace: Users) -> None:
        users = on_ftrace
        assert users.insmod("kp_user", fn="vic_alpha", post=0) == 0
        assert users.enabled() == ["vic_alpha [victim] (1) R"]
        number = users.patch("lp_a1")
        assert users.enabled() == ["vic_alpha [victim] (2) R I"]
        assert users.way("vic_alpha") == "ftrace_regs_caller"
        assert users.call("vic_alpha") == number
        assert users.kprobe_hits() == (1, 0)
        assert users.shell.rmmod("kp_user") == 0
        assert users.enabled() == ["vic_alpha [victim] (1)   I"]
        assert users.call("vic_alpha") == number
        users.unpatch("lp_a1")
        assert users.way("vic_alpha") == ""
        assert users.text() == users.boot_text
        users.assert_sound()

    def test_livepatch_first(self, on_ftrace: Users) -> None:
        users = on_ftrace
        number = users.patch("lp_a1")
        users.log()
        for _ in range(2):
            assert users.insmod("kp_user", fn="vic_alpha", post=1) == -EBUSY
            assert users.log() == ["kp_user: register on vic_alpha+0 post=1: -16"]
        assert users.users.kprobes.registered() == []
        assert users.enabled() == ["vic_alpha [victim] (1)   I"]
        assert users.call("vic_alpha") == number

        assert users.insmod("kp_user", fn="vic_alpha") == 0
        assert users.call("vic_alpha") == number
        assert users.kprobe_hits() == (1, 0)
        users.unpatch("lp_a1")
        assert users.enabled() == ["vic_alpha [victim] (1) R"]
        assert users.call("vic_alpha") == 0
        assert users.kprobe_hits() == (2, 0)
        users.assert_sound()

    def test_a_refusal_is_a_warning_too_in_6_17(self) -> None:
        users = Users("x86_64", flavour="linux-6.17")
        users.patch("lp_a1")
        users.log()
        for _ in range(2):
            assert users.insmod("kp_user", fn="vic_alpha", post=1) == -EBUSY
            assert users.log() == [
                "------------[ cut here ]------------",
                "Failed to register kprobe-ftrace (error -16)",
                "WARNING: at kernel/kprobes.c:1086 __arm_kprobe_ftrace",
                "---[ end trace 0000000000000000 ]---",
                "kp_user: register on vic_alpha+0 post=1: -16",
            ]
        assert users.insmod("kp_user", fn="vic_beta", post=1) == 0
        users.log()
        second = users.kprobe(pre="kp_pre", post="kp_post")
        place = users.machine.kallsyms.with_offset(users.machine.ftrace.sites.locate(users.at("vic_alpha")))
        assert [users.register(second, "vic_alpha") for _ in range(2)] == [-EBUSY, -EBUSY]
        assert users.log() == [  # once alone
            "------------[ cut here ]------------",
            f"Failed to arm kprobe-ftrace at {place} (error -16)",
            "WARNING: at kernel/kprobes.c:1081 __arm_kprobe_ftrace",
            "---[ end trace 0000000000000000 ]---",
        ]

    def test_one_ops_serves_all_post_handlers(self, on_ftrace: Users) -> None:
        users = on_ftrace
        number = users.patch("lp_a1")
        assert users.insmod("kp_user", fn="vic_beta", post=1) == 0
        second = users.kprobe(pre="kp_pre", post="kp_post")
        assert users.register(second, "vic_alpha") == -EBUSY, (
            "registered already, the ops gets no further site"
        )
        assert users.register(second, "vic_gamma") == 0
        assert users.enabled() == [
            "vic_alpha [victim] (1)   I", "vic_beta [victim] (1) R I", "vic_gamma [victim] (1) R I",
        ]  # fmt: skip
        assert [users.call(f"vic_{name}") for name in ("alpha", "beta", "gamma")] == [number, 0, 0]
        assert users.kprobe_hits() == (2, 2)
        users.unregister(second)
        assert users.enabled() == ["vic_alpha [victim] (1)   I", "vic_beta [victim] (1) R I"]
        users.assert_sound()

    def test_after_another_users_ipmodify(self, on_ftrace: Users) -> None:
        assert on_ftrace.insmod("ops_user", fn="vic_beta", ipmod=1) == 0
        assert on_ftrace.insmod("kp_user", fn="vic_beta", post=1) == -EBUSY
        assert on_ftrace.insmod("kp_user", fn="vic_beta", post=0) == 0

    def test_the_entry_is_the_site_behind_a_landing_pad(self, on_ftrace: Users) -> None:
        users = on_ftrace
        assert users.insmod("kp_user", fn="mini_landing") == 0
        assert users.enabled() == ["mini_landing (1) R"]
        (probe,) = users.users.kprobes.registered()
        assert probe.by_ftrace
        assert probe.addr == users.machine.ftrace.sites.locate(users.at("mini_landing"))

    def test_ftrace_switched_off_leaves_it_deaf(self, on_ftrace: Users) -> None:
        users = on_ftrace
        assert users.insmod("kp_user", fn="vic_alpha") == 0
        assert users.shell.write("/proc/sys/kernel/ftrace_enabled", "0") == 1
        users.call("vic_alpha")
        assert users.kprobe_hits() == (0, 0)
        assert users.shell.write("/proc/sys/kernel/ftrace_enabled", "1") == 1
        users.call("vic_alpha")
        assert users.kprobe_hits() == (1, 0)


class TestArm64:
    """As in Linux, where no kprobe is taken by ftrace, none is in livepatch's way."""

    @pytest.mark.parametrize("post", [0, 1])
    def test_both_at_one_entry(self, post: int) -> None:
        users = Users("arm64")
        assert users.insmod("kp_user", fn="vic_alpha", post=post) == 0
        assert users.enabled() == []
        number = users.patch("lp_a1")
        assert users.call("vic_alpha") == number
        assert users.kprobe_hits() == (1, post)
        users.unpatch("lp_a1")
        assert users.call("vic_alpha") == 0
        assert users.kprobe_hits() == (2, 2 * post)
        assert users.shell.rmmod("kp_user") == 0
        assert users.text() == users.boot_text
        users.assert_sound()

    def test_the_site_itself_is_ftraces(self) -> None:
        assert Users("arm64").insmod("kp_user", fn="vic_alpha", off=4) == -EINVAL


class TestInside:
    """By a breakpoint: any instruction that can be run elsewhere, and livepatch does not mind."""

    @pytest.mark.slow
    @pytest.mark.parametrize("mode", ["fast", "exact"])
    @pytest.mark.parametrize("setup", SETUPS[:2])
    def test_every_instruction_while_cpus_run_it(self, setup: str, mode: str) -> None:
        users = Users(setup, workers=2, users=1, tick=1_500, mode=mode)
        machine, taken = users.machine, 0
        for fn in ("mini_nested", "mini_many", "mini_notrace"):
            symbol = machine.kernel.image.symbols[fn]
            code = machine.kernel.engine.memory.read(symbol.address, symbol.size)
            for number, instruction in enumerate(decode(machine.port, code, symbol.address)):
                off, post = instruction.address - symbol.address, number % 2
                ret = users.insmod("kp_user", fn=fn, off=off, post=post)
                if not ret:
                    assert users.run_until_hit(post), f"{fn}: {instruction.text}"
                    pre, after = users.kprobe_hits()
                    assert pre >= after
                    assert bool(after) == bool(post)
                    assert users.shell.rmmod("kp_user") == 0
                    assert machine.run(calls=20).ok
                    taken += 1
                else:
                    assert ret == -EINVAL
        assert taken > 30
        assert users.text() == users.boot_text
        users.assert_sound()

    @pytest.mark.parametrize("post", [0, 1])
    def test_in_a_function_that_is_patched(self, users: Users, post: int) -> None:
        behind = users.machine.port.site.body_offset
        assert users.insmod("kp_user", fn="vic_alpha", off=behind, post=post) == 0
        assert users.call("vic_alpha") == 0
        assert users.kprobe_hits() == (1, post)
        number = users.patch("lp_a1")
        assert users.call("vic_alpha") == number
        assert users.kprobe_hits() == (1, post), "the original does not run"
        users.unpatch("lp_a1")
        assert users.call("vic_alpha") == 0
        assert users.kprobe_hits() == (2, 2 * post)
        assert users.shell.rmmod("kp_user") == 0
        assert users.text() == users.boot_text
        users.assert_sound()

    def test_several_at_a_time(self, users: Users) -> None:
        assert users.insmod("kp_user", fn="vic_alpha", off=users.machine.port.site.body_offset, post=1) == 0
        others = [users.kprobe(pre="kp_pre") for _ in range(2)]
        for other, function in zip(others, ("vic_beta", "vic_gamma"), strict=True):
            assert users.register(other, function, users.machine.port.site.body_offset) == 0
        for name in ("alpha", "beta", "gamma"):
            users.call(f"vic_{name}")
        assert users.kprobe_hits() == (3, 1)
        for other in (others[1], others[0]):
            users.unregister(other)
        users.call("vic_beta")
        users.call("vic_alpha")
        assert users.kprobe_hits() == (4, 2)
        assert users.shell.rmmod("kp_user") == 0
        assert users.text() == users.boot_text
        users.assert_sound()


@pytest.mark.slow
@pytest.mark.parametrize("setup", SETUPS)
class TestUnderWay:
    """CPUs call what is probed, traced and patched at once."""

    @pytest.mark.parametrize("seed", range(1, 4))
    def test_both_modes_record_the_same(self, setup: str, seed: int) -> None:
        runs = []
        for mode in ("fast", "exact"):
            order = {"mode": mode, "schedule": "quantum", "ordering": "sc", "seed": seed}
            users = Users(setup, cpus=3, workers=2, users=1, quantum=50, **order)
            offset = users.machine.port.site.body_offset
            assert users.insmod("kp_user", fn="mini_nested", off=offset, post=1) == 0
            probe = users.kprobe(pre="kp_pre")
            assert users.register(probe, "mini_leaf") == 0
            assert users.trace("current_tracer", "function") == 8
            assert users.machine.run(calls=300).ok
            assert users.trace("current_tracer", "nop") == 3
            users.unregister(probe)
            assert users.shell.rmmod("kp_user") == 0
            users.assert_sound()
            runs.append(users.machine.finish())
        fast, exact = runs
        np.testing.assert_array_equal(fast.calls, exact.calls)
        np.testing.assert_array_equal(fast.events, exact.events)

    def test_a_transition_gets_through(self, setup: str) -> None:
        users = Users(setup, workers=3, users=1, tick=400, quantum=20)
        offset = users.machine.port.site.body_offset
        assert users.insmod("kp_user", fn="mini_nested", off=offset, post=1) == 0
        probes = [users.kprobe(pre="kp_pre") for _ in range(2)]
        for probe, function in zip(probes, ("mini_loop", "mini_many"), strict=True):
            assert users.register(probe, function, offset) == 0
        users.patch("livepatch-mini")
        assert users.machine.run(calls=100).ok
        users.unpatch("livepatch-mini")
        assert users.machine.run(calls=100).ok
        for probe in probes:
            users.unregister(probe)
        assert users.shell.rmmod("kp_user") == 0
        assert users.text() == users.boot_text
        users.assert_sound()


class TestModuleGoes:
    """Probes in a module that goes are gone: registered still, never hit again."""

    @pytest.mark.parametrize("post", [0, 1])
    @pytest.mark.parametrize("by_ftrace", [False, True])
    def test_unload_and_load_again(self, on_ftrace: Users, by_ftrace: bool, post: int) -> None:
        users = on_ftrace
        offset = 0 if by_ftrace else users.machine.port.site.body_offset
        assert users.insmod("kp_user", fn="vic_alpha", off=offset, post=post) == 0
        assert users.shell.rmmod("victim") == 0
        assert users.read(f"{KPROBES}/list").rstrip().endswith("[GONE][FTRACE]" if by_ftrace else "[GONE]")
        assert users.users.kprobes.registered()[0].flags & CONSTANTS["KPROBE_FLAG_GONE"]
        assert users.enabled() == []
        assert users.shell.insmod("victim") == 0
        users.call("vic_alpha")
        assert users.kprobe_hits() == (0, 0)
        assert users.shell.rmmod("kp_user") == 0
        assert users.insmod("kp_user", fn="vic_alpha", off=offset, post=post) == 0
        users.call("vic_alpha")
        assert users.kprobe_hits() == (1, post)
        users.assert_sound()


class TestFiles:
    """/sys/kernel/debug/kprobes."""

    def test_list(self, on_ftrace: Users) -> None:
        users = on_ftrace
        assert users.read(f"{KPROBES}/list") == ""
        assert users.insmod("kp_user", fn="vic_alpha") == 0
        site = users.machine.ftrace.sites.locate(users.at("vic_alpha"))
        offset = site - users.at("vic_alpha")
        inner = users.kprobe(pre="kp_pre")
        assert users.register(inner, "mini_notrace") == 0
        assert users.read(f"{KPROBES}/list").splitlines() == [
            f"{users.at('mini_notrace'):016x}  k  mini_notrace+0x0    ",
            f"{site:016x}  k  vic_alpha+{offset:#x}  victim [FTRACE]",
        ]
        assert users.shell.write(f"{KPROBES}/list", "x") == -EINVAL

    def test_the_switch_for_all(self, on_ftrace: Users) -> None:
        users = on_ftrace
        assert users.insmod("kp_user", fn="vic_alpha", post=1) == 0
        other = users.kprobe(pre="kp_pre")
        assert users.register(other, "vic_beta", users.machine.port.site.body_offset) == 0
        users.log()
        assert users.read(f"{KPROBES}/enabled") == "1\n"
        assert users.shell.write(f"{KPROBES}/enabled", "maybe") == -EINVAL
        assert users.shell.write(f"{KPROBES}/enabled", "0\n") == 2
        assert users.shell.write(f"{KPROBES}/enabled", "0\n") == 2
        assert users.log() == ["kprobes: Kprobes globally disabled"]
        assert users.read(f"{KPROBES}/enabled") == "0\n"
        assert users.text() == users.boot_text
        late = users.kprobe(pre="kp_pre")
        assert users.register(late, "vic_gamma") == 0
        for name in ("alpha", "beta", "gamma"):
            users.call(f"vic_{name}")
        assert users.kprobe_hits() == (0, 0)
        users.patch("lp_a1")
        assert users.shell.write(f"{KPROBES}/enabled", "1") == -EBUSY, "the first is in livepatch's way now"
        for name in ("beta", "gamma"):
            users.call(f"vic_{name}")
        assert users.kprobe_hits() == (2, 0)
        users.assert_sound()


def test_the_struct_has_room_for_what_the_kernel_calls_it() -> None:
    assert {"addr", "flags", "nmissed", "pre_handler", "post_handler"} <= KPROBE.members.keys()
