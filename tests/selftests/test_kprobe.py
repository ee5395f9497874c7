"""Livepatch and a kprobe on the same function: counterparts of the cases of test-kprobe.sh.

On arm64 kprobes do not use ftrace in 6.1, so there is nothing that could be in each other's way: Linux's test
skips itself there.
"""

from __future__ import annotations

from emu.kernel.errno import EBUSY
from tests.selftests.shell import Shell, patch, patching, refused, unpatching

FUNCTION = "cmdline_proc_show"
COMMAND_LINE = patch("st_cmdline", FUNCTION)


def test_a_kprobe_with_a_post_handler_keeps_livepatch_out() -> None:
    shell = Shell("x86_64")

    assert shell.insmod("kp_user", fn=FUNCTION, post="1") == 0
    ret = shell.insmod(COMMAND_LINE)
    assert shell.rmmod("kp_user") == 0

    assert ret == -EBUSY
    assert [line for line in shell.transcript() if not line.startswith("kp_user")] == [
        f"$ insmod kp_user fn={FUNCTION} post=1",
        "$ insmod st_cmdline",
        *refused(
            "st_cmdline",
            f"livepatch: failed to register ftrace handler for function '{FUNCTION}' (-16)",
            "livepatch: failed to patch object 'vmlinux'",
        ),
        "$ rmmod kp_user",
    ]


def test_a_kprobe_without_one_does_not() -> None:
    shell = Shell("x86_64")

    assert shell.insmod("kp_user", fn=FUNCTION, post="0") == 0
    assert shell.insmod(COMMAND_LINE) == 0
    answer = shell.reply(FUNCTION)
    assert shell.rmmod("kp_user") == 0
    shell.disable("st_cmdline")
    shell.rmmod("st_cmdline")

    assert (answer, shell.reply(FUNCTION)) == ("cmdline:st_cmdline", "cmdline:orig")
    assert [line for line in shell.transcript() if not line.startswith("kp_user")] == [
        f"$ insmod kp_user fn={FUNCTION} post=0",
        "$ insmod st_cmdline",
        *patching("st_cmdline"),
        "$ rmmod kp_user",
        *unpatching("st_cmdline"),
        "$ rmmod st_cmdline",
    ]
