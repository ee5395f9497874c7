"""System states handed from one livepatch to the next: counterparts of the cases of test-state.sh."""

from __future__ import annotations

import pytest

from emu.arch import PORTS
from emu.kernel.errno import EINVAL
from emu.livepatch import Func, Object, Patch, State
from tests.selftests.shell import CALLBACKS, Shell, patching, unpatching

pytestmark = pytest.mark.parametrize("arch", sorted(PORTS))


def stateful(name: str, *, version: int, replace: bool) -> Patch:
    obj = Object(None, (Func("cmdline_proc_show", "lp_cmdline_proc_show"),), callbacks=CALLBACKS)
    return Patch(name, (obj,), replace=replace, states=(State(1, version),))


FIRST = stateful("st_state", version=1, replace=False)
SECOND, THIRD = (stateful(name, version=2, replace=True) for name in ("st_state2", "st_state3"))


def said(callback: str, patch: Patch, own: str, earlier: str = "") -> list[str]:
    """Return what a callback says: the patch's own state and the earlier one, each as "version data"."""
    lines = [f"{patch.name}: {callback} for vmlinux (built in)", f"  {patch.name}: own state 1 version {own}"]
    return [*lines, f"  {patch.name}: earlier state 1 version {earlier}"] if earlier else lines


def enabled(patch: Patch, earlier: str = "") -> list[str]:
    """Return the lines of enabling: its state's data is only set by post_patch."""
    own = f"{patch.states[0].version} data none"
    before, after = (said(callback, patch, own, earlier) for callback in ("pre_patch", "post_patch"))
    return [f"$ insmod {patch.name}", *patching(patch.name, before=before, after=after)]


def disabled(patch: Patch) -> list[str]:
    own = f"{patch.states[0].version} data {patch.name}"
    before, after = (said(callback, patch, own) for callback in ("pre_unpatch", "post_unpatch"))
    return [*unpatching(patch.name, before=before, after=after), f"$ rmmod {patch.name}"]


def test_state_modification(arch: str) -> None:
    shell = Shell(arch)

    shell.insmod(FIRST)
    shell.disable("st_state")
    shell.rmmod("st_state")

    assert shell.transcript() == [*enabled(FIRST), *disabled(FIRST)]


def test_taking_over_a_state(arch: str) -> None:
    shell = Shell(arch)

    shell.insmod(FIRST)
    shell.insmod(SECOND)
    shell.rmmod("st_state")
    shell.disable("st_state2")
    shell.rmmod("st_state2")

    assert shell.transcript() == [
        *enabled(FIRST),
        *enabled(SECOND, earlier="1 data st_state"),
        "$ rmmod st_state",
        *disabled(SECOND),
    ]


def test_compatible_cumulative_livepatches(arch: str) -> None:
    shell = Shell(arch)

    shell.insmod(SECOND)
    shell.insmod(THIRD)
    shell.rmmod("st_state2")
    shell.insmod(SECOND)
    shell.disable("st_state2")
    shell.rmmod("st_state2")
    shell.rmmod("st_state3")

    assert shell.transcript() == [
        *enabled(SECOND),
        *enabled(THIRD, earlier="2 data st_state2"),
        "$ rmmod st_state2",
        *enabled(SECOND, earlier="2 data st_state3"),
        *disabled(SECOND),
        "$ rmmod st_state3",
    ]


def test_incompatible_cumulative_livepatches(arch: str) -> None:
    shell = Shell(arch)

    shell.insmod(SECOND)
    ret = shell.insmod(FIRST)
    shell.disable("st_state2")
    shell.rmmod("st_state2")

    assert ret == -EINVAL
    assert shell.transcript() == [
        *enabled(SECOND),
        "$ insmod st_state",
        "livepatch: Livepatch patch (st_state) is not compatible with the already installed livepatches.",
        *disabled(SECOND),
    ]
