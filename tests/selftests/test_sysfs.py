"""What /sys/kernel/livepatch shows: counterparts of the cases of test-sysfs.sh."""

from __future__ import annotations

import pytest

from emu.arch import PORTS
from emu.livepatch import Object, Patch
from tests.selftests.shell import CALLBACKS, SYSFS, Shell, patch, patching, unpatching

pytestmark = pytest.mark.parametrize("arch", sorted(PORTS))
COMMAND_LINE = patch("st_cmdline", "cmdline_proc_show")


def test_files_of_a_livepatch(arch: str) -> None:
    shell = Shell(arch)

    shell.insmod(COMMAND_LINE)

    assert shell.userland.modes(f"{SYSFS}/st_cmdline") == {
        "enabled": 0o644, "force": 0o200, "transition": 0o444, "vmlinux/patched": 0o444,
    }  # fmt: skip
    files = {"enabled": "1", "transition": "0", "vmlinux/patched": "1"}
    assert {name: shell.cat(f"{SYSFS}/st_cmdline/{name}") for name in files} == files

    shell.disable("st_cmdline")
    shell.rmmod("st_cmdline")
    assert shell.userland.listdir(SYSFS) == []
    assert shell.transcript() == [
        "$ insmod st_cmdline", *patching("st_cmdline"), *unpatching("st_cmdline"), "$ rmmod st_cmdline",
    ]  # fmt: skip


def test_patched_follows_the_module(arch: str) -> None:
    shell, seen = Shell(arch), []
    objects = (Object(None, callbacks=CALLBACKS), Object("late", callbacks=CALLBACKS))

    shell.insmod(Patch("st_demo", objects))
    seen.append(shell.cat(f"{SYSFS}/st_demo/late/patched"))
    shell.insmod("late")
    seen.append(shell.cat(f"{SYSFS}/st_demo/late/patched"))
    shell.rmmod("late")
    seen.append(shell.cat(f"{SYSFS}/st_demo/late/patched"))

    assert seen == ["0", "1", "0"]


@pytest.mark.parametrize("replace", [True, False])
def test_replace(arch: str, replace: bool) -> None:
    shell = Shell(arch, flavour="linux-6.17")

    shell.insmod(patch("st_replace", "meminfo_proc_show", replace=replace))

    modes = shell.userland.modes(f"{SYSFS}/st_replace")
    assert isinstance(modes, dict)
    assert modes["replace"] == 0o444
    assert shell.cat(f"{SYSFS}/st_replace/replace") == f"{replace:d}"

    shell.disable("st_replace")
    shell.rmmod("st_replace")
    assert shell.transcript() == [
        "$ insmod st_replace", *patching("st_replace"), *unpatching("st_replace"), "$ rmmod st_replace",
    ]  # fmt: skip


def test_stack_order(arch: str) -> None:
    shell, names = Shell(arch, flavour="linux-6.17"), ["st_one", "st_two", "st_three"]

    for name in names:
        shell.insmod(patch(name, "cmdline_proc_show"))
        modes = shell.userland.modes(f"{SYSFS}/{name}")
        assert isinstance(modes, dict)
        assert modes["stack_order"] == 0o444
    before = [shell.cat(f"{SYSFS}/{name}/stack_order") for name in names]
    shell.disable("st_two")
    shell.rmmod("st_two")
    after = [shell.cat(f"{SYSFS}/{name}/stack_order") for name in ("st_one", "st_three")]

    assert (before, after) == (["1", "2", "3"], ["1", "2"])
    for name in ("st_three", "st_one"):
        shell.disable(name)
        shell.rmmod(name)
    assert shell.transcript() == [
        *(line for name in names for line in (f"$ insmod {name}", *patching(name))),
        *(
            line
            for name in ("st_two", "st_three", "st_one")
            for line in (*unpatching(name), f"$ rmmod {name}")
        ),
    ]
