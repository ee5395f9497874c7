"""Callbacks around patching, and modules that come and go: counterparts of the cases of test-callbacks.sh."""

from __future__ import annotations

import pytest

from emu.arch import PORTS
from emu.kernel.errno import ENODEV
from emu.livepatch import Func, Object, ObjectFacts, Patch
from tests.selftests.shell import CALLBACKS, Shell, patching, refused, unpatching

pytestmark = pytest.mark.parametrize("arch", sorted(PORTS))
BUSY = Object("victim", (Func("vic_wait", "lp_vic_wait"),), callbacks=CALLBACKS)
"""The object whose function a task may sleep in."""


def demo(
    name: str = "st_demo", *, pre_patch_returns: int = 0, busy: bool = False, replace: bool = False
) -> Patch:
    """Return a livepatch with callbacks on the kernel and on module ``late``."""
    objects = (
        Object(None, callbacks=CALLBACKS, pre_patch_returns=pre_patch_returns),
        Object("late", callbacks=CALLBACKS),
        *([BUSY] if busy else []),
    )
    return Patch(name, objects, replace=replace)


def said(callback: str, *objects: str, name: str = "st_demo") -> list[str]:
    """Return what a callback says for each object, in order."""
    return [f"{name}: {callback} for {obj}" for obj in objects]


KERNEL, LIVE, COMING, GOING = "vmlinux (built in)", "late (live)", "late (coming)", "late (going)"
BUSY_LIVE = "victim (live)"
LATE_INIT, LATE_EXIT = "late: init: ping says ping:orig", "late: exit: ping says ping:orig"
COMES = [
    "$ insmod late",
    "livepatch: applying patch 'st_demo' to loading module 'late'",
    *said("pre_patch", COMING),
    *said("post_patch", COMING),
    LATE_INIT,
]
GOES = [
    "$ rmmod late",
    LATE_EXIT,
    *said("pre_unpatch", GOING),
    "livepatch: reverting patch 'st_demo' on unloading module 'late'",
    *said("post_unpatch", GOING),
]


def enabled(*objects: str) -> list[str]:
    return patching("st_demo", before=said("pre_patch", *objects), after=said("post_patch", *objects))


def disabled(*objects: str) -> list[str]:
    return unpatching("st_demo", before=said("pre_unpatch", *objects), after=said("post_unpatch", *objects))


def test_target_module_before_livepatch(arch: str) -> None:
    shell = Shell(arch)

    shell.insmod("late")
    shell.insmod(demo())
    shell.disable("st_demo")
    shell.rmmod("st_demo")
    shell.rmmod("late")

    assert shell.transcript() == [
        "$ insmod late",
        LATE_INIT,
        "$ insmod st_demo",
        *enabled(KERNEL, LIVE),
        *disabled(KERNEL, LIVE),
        "$ rmmod st_demo",
        "$ rmmod late",
        LATE_EXIT,
    ]


def test_module_coming(arch: str) -> None:
    shell = Shell(arch)

    shell.insmod(demo())
    shell.insmod("late")
    shell.disable("st_demo")
    shell.rmmod("st_demo")
    shell.rmmod("late")

    assert shell.transcript() == [
        "$ insmod st_demo",
        *enabled(KERNEL),
        *COMES,
        *disabled(KERNEL, LIVE),
        "$ rmmod st_demo",
        "$ rmmod late",
        LATE_EXIT,
    ]


def test_module_going(arch: str) -> None:
    shell = Shell(arch)

    shell.insmod("late")
    shell.insmod(demo())
    shell.rmmod("late")
    shell.disable("st_demo")
    shell.rmmod("st_demo")

    assert shell.transcript() == [
        "$ insmod late",
        LATE_INIT,
        "$ insmod st_demo",
        *enabled(KERNEL, LIVE),
        *GOES,
        *disabled(KERNEL),
        "$ rmmod st_demo",
    ]


def test_module_coming_and_going(arch: str) -> None:
    shell = Shell(arch)

    shell.insmod(demo())
    shell.insmod("late")
    shell.rmmod("late")
    shell.disable("st_demo")
    shell.rmmod("st_demo")

    assert shell.transcript() == [
        "$ insmod st_demo", *enabled(KERNEL), *COMES, *GOES, *disabled(KERNEL), "$ rmmod st_demo",
    ]  # fmt: skip


def test_target_module_not_present(arch: str) -> None:
    shell = Shell(arch)

    shell.insmod(demo())
    shell.disable("st_demo")
    shell.rmmod("st_demo")

    assert shell.transcript() == ["$ insmod st_demo", *enabled(KERNEL), *disabled(KERNEL), "$ rmmod st_demo"]


def test_pre_patch_callback_that_fails(arch: str) -> None:
    shell = Shell(arch)

    shell.insmod("late")
    ret = shell.insmod(demo(pre_patch_returns=-ENODEV))
    shell.rmmod("late")

    assert ret == -ENODEV
    assert shell.transcript() == [
        "$ insmod late",
        LATE_INIT,
        "$ insmod st_demo",
        *refused(
            "st_demo",
            f"st_demo: pre_patch for {KERNEL}, refusing",
            "livepatch: pre-patch callback failed for object 'vmlinux'",
        ),
        "$ rmmod late",
        LATE_EXIT,
    ]


def test_module_coming_and_pre_patch_callback_that_fails(arch: str) -> None:
    shell, returns = Shell(arch), [0]

    def pre_patch(facts: ObjectFacts) -> int:
        shell.machine.kernel.printk(f"st_demo: pre_patch for {facts.object} ({facts.state})")
        return returns[0]

    rest = CALLBACKS[1:]
    objects = (
        Object(None, pre_patch=pre_patch, callbacks=rest),
        Object("late", pre_patch=pre_patch, callbacks=rest),
    )
    shell.insmod(Patch("st_demo", objects))
    returns[0] = -ENODEV
    ret = shell.insmod("late")
    shell.disable("st_demo")
    shell.rmmod("st_demo")

    assert ret == -ENODEV
    assert shell.transcript() == [
        "$ insmod st_demo",
        *enabled(KERNEL),
        "$ insmod late",
        "livepatch: applying patch 'st_demo' to loading module 'late'",
        *said("pre_patch", COMING),
        "livepatch: pre-patch callback failed for object 'late'",
        "livepatch: patch 'st_demo' failed for module 'late', refusing to load module 'late'",
        *disabled(KERNEL),
        "$ rmmod st_demo",
    ]


def test_multiple_target_modules(arch: str) -> None:
    shell = Shell(arch)

    shell.insmod("viccore")
    shell.insmod("victim")
    shell.insmod(demo(busy=True))
    shell.insmod("late")
    shell.rmmod("late")
    shell.disable("st_demo")
    shell.rmmod("st_demo")
    shell.rmmod("victim")

    assert shell.transcript() == [
        "$ insmod viccore",
        "$ insmod victim",
        "$ insmod st_demo",
        *enabled(KERNEL, BUSY_LIVE),
        *COMES,
        *GOES,
        *disabled(KERNEL, BUSY_LIVE),
        "$ rmmod st_demo",
        "$ rmmod victim",
    ]


def test_busy_target_module(arch: str) -> None:
    shell = Shell(arch)

    shell.insmod("viccore")
    shell.insmod("victim")
    sleeper = shell.sleeper()
    shell.insmod(demo(busy=True), wait=False)
    shell.userland.sleep(5)
    shell.insmod("late", wait=False)
    shell.rmmod("late")
    shell.disable("st_demo")
    shell.rmmod("st_demo")

    assert shell.userland.sleeps_on_gate(sleeper.task)
    assert shell.transcript() == [
        "$ insmod viccore",
        "$ insmod victim",
        "$ insmod st_demo",
        "livepatch: enabling patch 'st_demo'",
        "livepatch: 'st_demo': initializing patching transition",
        *said("pre_patch", KERNEL, BUSY_LIVE),
        "livepatch: 'st_demo': starting patching transition",
        "$ insmod late",
        "livepatch: applying patch 'st_demo' to loading module 'late'",
        *said("pre_patch", COMING),
        LATE_INIT,
        "$ rmmod late",
        LATE_EXIT,
        "livepatch: reverting patch 'st_demo' on unloading module 'late'",
        *said("post_unpatch", GOING),
        "$ echo 0 > /sys/kernel/livepatch/st_demo/enabled",
        "livepatch: 'st_demo': reversing transition from patching to unpatching",
        "livepatch: 'st_demo': starting unpatching transition",
        "livepatch: 'st_demo': completing unpatching transition",
        *said("post_unpatch", KERNEL, BUSY_LIVE),
        "livepatch: 'st_demo': unpatching complete",
        "$ rmmod st_demo",
    ]


def around(callback: str, name: str) -> dict[str, list[str]]:
    return {
        "before": said(f"pre_{callback}", KERNEL, name=name),
        "after": said(f"post_{callback}", KERNEL, name=name),
    }


def test_multiple_livepatches(arch: str) -> None:
    shell = Shell(arch)

    shell.insmod(demo())
    shell.insmod(demo("st_demo2"))
    for name in ("st_demo2", "st_demo"):
        shell.disable(name)
    for name in ("st_demo2", "st_demo"):
        shell.rmmod(name)

    assert shell.transcript() == [
        "$ insmod st_demo",
        *patching("st_demo", **around("patch", "st_demo")),
        "$ insmod st_demo2",
        *patching("st_demo2", **around("patch", "st_demo2")),
        *unpatching("st_demo2", **around("unpatch", "st_demo2")),
        *unpatching("st_demo", **around("unpatch", "st_demo")),
        "$ rmmod st_demo2",
        "$ rmmod st_demo",
    ]


def test_atomic_replace_runs_no_unpatch_callbacks_of_what_it_replaces(arch: str) -> None:
    shell = Shell(arch)

    shell.insmod(demo())
    shell.insmod(demo("st_demo2", replace=True))
    shell.disable("st_demo2")
    shell.rmmod("st_demo2")
    shell.rmmod("st_demo")

    assert shell.transcript() == [
        "$ insmod st_demo",
        *patching("st_demo", **around("patch", "st_demo")),
        "$ insmod st_demo2",
        *patching("st_demo2", **around("patch", "st_demo2")),
        *unpatching("st_demo2", **around("unpatch", "st_demo2")),
        "$ rmmod st_demo2",
        "$ rmmod st_demo",
    ]
