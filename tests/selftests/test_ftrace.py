"""Livepatch and other users of ftrace: counterparts of the cases of test-ftrace.sh."""

from __future__ import annotations

import pytest

from emu.arch import PORTS
from emu.kernel.errno import EBUSY
from tests.selftests.shell import Shell, patch, patching, refused, unpatching

pytestmark = pytest.mark.parametrize("arch", sorted(PORTS))
SWITCH, TRACING = "/proc/sys/kernel/ftrace_enabled", "/sys/kernel/tracing"
COMMAND_LINE = patch("st_cmdline", "cmdline_proc_show")


def test_the_switch_that_turns_ftrace_off(arch: str) -> None:
    shell = Shell(arch)

    assert shell.echo("0", SWITCH) == 2
    refusal = shell.insmod(COMMAND_LINE)
    assert shell.echo("1", SWITCH) == 2
    assert shell.insmod(COMMAND_LINE) == 0
    answer = shell.reply("cmdline_proc_show")
    assert shell.echo("0", SWITCH) == -EBUSY
    shell.disable("st_cmdline")
    shell.rmmod("st_cmdline")

    assert (refusal, answer, shell.cat(SWITCH)) == (-EBUSY, "cmdline:st_cmdline", "1")
    assert shell.transcript() == [
        f"$ echo 0 > {SWITCH}",
        "$ insmod st_cmdline",
        *refused(
            "st_cmdline",
            "livepatch: failed to register ftrace handler for function 'cmdline_proc_show' (-16)",
            "livepatch: failed to patch object 'vmlinux'",
        ),
        f"$ echo 1 > {SWITCH}",
        "$ insmod st_cmdline",
        *patching("st_cmdline"),
        f"$ echo 0 > {SWITCH}",
        *unpatching("st_cmdline"),
        "$ rmmod st_cmdline",
    ]


def trace(shell: Shell, function: str) -> None:
    """Have the function tracer record calls of one function."""
    assert shell.userland.write(f"{TRACING}/set_ftrace_filter", function) == len(function)
    assert shell.userland.write(f"{TRACING}/current_tracer", "function") == len("function")


def traced(shell: Shell) -> list[str]:
    """Return the functions that it recorded, and switch it off."""
    lines = [line for line in shell.cat(f"{TRACING}/trace").splitlines() if not line.startswith("#")]
    assert shell.userland.write(f"{TRACING}/current_tracer", "nop") == len("nop")
    return [line.rsplit(": ", 1)[1].partition(" ")[0] for line in lines]


def test_tracing_the_new_version_of_a_patched_function(arch: str) -> None:
    shell = Shell(arch)

    shell.insmod(COMMAND_LINE)
    trace(shell, "lp_cmdline_proc_show")
    answer = shell.reply("cmdline_proc_show")

    assert (answer, traced(shell)) == ("cmdline:st_cmdline", ["lp_cmdline_proc_show"])
    shell.disable("st_cmdline")
    shell.rmmod("st_cmdline")
    assert shell.reply("cmdline_proc_show") == "cmdline:orig"


def test_patching_a_traced_function(arch: str) -> None:
    shell = Shell(arch)

    trace(shell, "cmdline_proc_show")
    shell.insmod(COMMAND_LINE)
    answer = shell.reply("cmdline_proc_show")

    assert (answer, traced(shell)) == ("cmdline:st_cmdline", ["cmdline_proc_show"])
    shell.disable("st_cmdline")
    shell.rmmod("st_cmdline")
    assert shell.reply("cmdline_proc_show") == "cmdline:orig"
