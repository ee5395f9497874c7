"""Which Linux version livepatch behaves like, where versions differ.

What is not listed here is the same in both: the functions of core.c, patch.c, shadow.c and state.c in their
order and codes, every message of livepatch itself (compared one by one), and the forms of /proc/modules and
/proc/<pid>/patch_state. The names of the task states changed (KLP_UNDEFINED is KLP_TRANSITION_IDLE since
6.10: d927752f287f), their values did not.
"""

from __future__ import annotations

from dataclasses import dataclass

from emu.errors import UnknownNameError
from emu.kernel.kstrtox import FALSE_LETTERS, TRUE_LETTERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Flavour:
    """What differs.

    Args:
        name: for options and reports.
        description: for people.
        sysfs_replace: a patch's directory has ``replace`` (since 6.11: adb68ed26a3e).
        sysfs_stack_order: it has ``stack_order`` (since 6.14: 3dae09de4061).
        true_letters, false_letters: first letters that kstrtobool takes ("enable" and "disable" since 6.16:
            ae5b3500856f).
        modified_column: ``enabled_functions`` has columns ``O`` (since 6.3: cbad0fb2d8d9) on every port and
            ``M``: an ops that may change the instruction pointer was here once (since 6.4: 6ce2c04fcbca).
        clears_relocations: x86-64: what klp relocations filled in becomes 0 again when their object goes
            (since 6.3: 0c05e7bd2d01), so that it can come again.
        kobject_prefix: what lines of lib/kobject.c begin with (logs of 6.5 and later have it).
        kprobe_warns: a kprobe at an entry that ftrace refuses is a WARN, too (5.16, 9c89bb8e3272, to 6.19;
            5ef268cb7a0a removes it, in 6.1.y since 6.1.167, which the observed 6.1.192 has).
    """

    name: str
    description: str
    sysfs_replace: bool
    sysfs_stack_order: bool
    true_letters: str
    false_letters: str
    modified_column: bool
    clears_relocations: bool
    kobject_prefix: str
    kprobe_warns: bool


LINUX_6_1 = Flavour(
    name="linux-6.1",
    description="Linux 6.1, as the 6.1.192 that was observed",
    sysfs_replace=False,
    sysfs_stack_order=False,
    true_letters=TRUE_LETTERS,
    false_letters=FALSE_LETTERS,
    modified_column=False,
    clears_relocations=False,
    kobject_prefix="",
    kprobe_warns=False,
)

LINUX_6_17 = Flavour(
    name="linux-6.17",
    description="Linux 6.17: more files in sysfs, klp relocations taken back, a WARN of kprobes",
    sysfs_replace=True,
    sysfs_stack_order=True,
    true_letters=TRUE_LETTERS + "e",
    false_letters=FALSE_LETTERS + "d",
    modified_column=True,
    clears_relocations=True,
    kobject_prefix="kobject: ",
    kprobe_warns=True,
)

FLAVOURS = {flavour.name: flavour for flavour in (LINUX_6_1, LINUX_6_17)}


def flavour_named(name: str) -> Flavour:
    """Return the flavour called ``name``, or raise `UnknownNameError`."""
    if name not in FLAVOURS:
        raise UnknownNameError("flavour", name, sorted(FLAVOURS))
    return FLAVOURS[name]
