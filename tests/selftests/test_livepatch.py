"""Enabling, stacking and replacing livepatches: counterparts of the cases of test-livepatch.sh."""

from __future__ import annotations

import pytest

from emu.arch import PORTS
from tests.selftests.shell import Shell, patch, patching, unpatching

COMMAND_LINE = patch("st_cmdline", "cmdline_proc_show")
pytestmark = pytest.mark.parametrize("arch", sorted(PORTS))


def answers(shell: Shell) -> tuple[str, str]:
    return shell.reply("cmdline_proc_show"), shell.reply("meminfo_proc_show")


def test_basic_function_patching(arch: str) -> None:
    shell = Shell(arch)

    shell.insmod(COMMAND_LINE)
    during = shell.reply("cmdline_proc_show")
    shell.disable("st_cmdline")
    shell.rmmod("st_cmdline")

    assert (during, shell.reply("cmdline_proc_show")) == ("cmdline:st_cmdline", "cmdline:orig")
    assert shell.transcript() == [
        "$ insmod st_cmdline",
        *patching("st_cmdline"),
        *unpatching("st_cmdline"),
        "$ rmmod st_cmdline",
    ]


def test_multiple_livepatches(arch: str) -> None:
    shell, seen = Shell(arch), []

    shell.insmod(COMMAND_LINE)
    seen.append(answers(shell))
    shell.insmod(patch("st_meminfo", "meminfo_proc_show"))
    seen.append(answers(shell))
    for name in ("st_meminfo", "st_cmdline"):
        shell.disable(name)
        shell.rmmod(name)
        seen.append(answers(shell))

    assert seen == [
        ("cmdline:st_cmdline", "meminfo:orig"),
        ("cmdline:st_cmdline", "meminfo:st_meminfo"),
        ("cmdline:st_cmdline", "meminfo:orig"),
        ("cmdline:orig", "meminfo:orig"),
    ]
    assert shell.transcript() == [
        "$ insmod st_cmdline",
        *patching("st_cmdline"),
        "$ insmod st_meminfo",
        *patching("st_meminfo"),
        *unpatching("st_meminfo"),
        "$ rmmod st_meminfo",
        *unpatching("st_cmdline"),
        "$ rmmod st_cmdline",
    ]


def test_atomic_replace_livepatch(arch: str) -> None:
    shell, seen = Shell(arch), []
    others = [COMMAND_LINE, patch("st_uptime", "uptime_proc_show"), patch("st_loadavg", "loadavg_proc_show")]

    for other in others:
        shell.insmod(other)
    seen.append((len(shell.machine.livepatch.facts()), answers(shell)))
    shell.insmod(patch("st_replace", "meminfo_proc_show", replace=True))
    seen.append((len(shell.machine.livepatch.facts()), answers(shell)))
    for other in others:
        shell.rmmod(other.name)
    seen.append((len(shell.machine.livepatch.facts()), answers(shell)))
    shell.disable("st_replace")
    shell.rmmod("st_replace")
    seen.append((len(shell.machine.livepatch.facts()), answers(shell)))

    assert seen == [
        (3, ("cmdline:st_cmdline", "meminfo:orig")),
        (1, ("cmdline:orig", "meminfo:st_replace")),
        (1, ("cmdline:orig", "meminfo:st_replace")),
        (0, ("cmdline:orig", "meminfo:orig")),
    ]
    assert shell.transcript() == [
        *(line for other in others for line in (f"$ insmod {other.name}", *patching(other.name))),
        "$ insmod st_replace",
        *patching("st_replace"),
        *(f"$ rmmod {other.name}" for other in others),
        *unpatching("st_replace"),
        "$ rmmod st_replace",
    ]


def test_module_function_patching(arch: str) -> None:
    shell, seen = Shell(arch), []

    shell.insmod("late")
    seen.append(shell.reply("late_ping"))
    shell.insmod("lp_late1")
    seen.append(shell.reply("late_ping"))
    shell.disable("lp_late1")
    shell.rmmod("lp_late1")
    seen.append(shell.reply("late_ping"))
    shell.rmmod("late")

    assert seen == ["ping:orig", "ping:lp_late1", "ping:orig"]
    assert shell.transcript() == [
        "$ insmod late",
        "late: init: ping says ping:orig",
        "$ insmod lp_late1",
        *patching("lp_late1"),
        *unpatching("lp_late1"),
        "$ rmmod lp_late1",
        "$ rmmod late",
        "late: exit: ping says ping:orig",
    ]


def test_module_function_patching_with_the_livepatch_first(arch: str) -> None:
    shell, seen = Shell(arch), []

    shell.insmod("lp_late1")
    shell.insmod("late")
    seen.append(shell.reply("late_ping"))
    shell.disable("lp_late1")
    shell.rmmod("lp_late1")
    seen.append(shell.reply("late_ping"))
    shell.rmmod("late")

    assert seen == ["ping:lp_late1", "ping:orig"]
    assert shell.transcript() == [
        "$ insmod lp_late1",
        *patching("lp_late1"),
        "$ insmod late",
        "livepatch: applying patch 'lp_late1' to loading module 'late'",
        "late: init: ping says ping:lp_late1",
        *unpatching("lp_late1"),
        "$ rmmod lp_late1",
        "$ rmmod late",
        "late: exit: ping says ping:orig",
    ]
