"""Modules that use others: they hold them, and are refused where these are not there."""

from __future__ import annotations

import pytest

from emu.arch import PORTS
from emu.build.asm.source import Unit
from emu.kernel.errno import EAGAIN, ENOENT
from emu.lab.machine import Machine
from emu.lab.run import run_scenario
from emu.lab.scenario import parse_scenario
from emu.lab.userland import Userland

pytestmark = pytest.mark.parametrize("arch", sorted(PORTS))


def shell_of(arch: str) -> Userland:
    return Userland(Machine("reference", arch=arch, cpus=2, workers=0, users=0, spare_tasks=2))


def used_by(shell: Userland) -> dict[str, tuple[str, str]]:
    """Return references and users of each module, as /proc/modules has them."""
    text = shell.read("/proc/modules")
    assert isinstance(text, str)
    rows = [line.split() for line in text.splitlines()]
    return {row[0]: (row[2], row[3]) for row in rows}


def test_a_module_holds_those_whose_symbols_it_uses(arch: str) -> None:
    shell = shell_of(arch)
    assert [shell.insmod(name) for name in ("viccore", "victim", "late")] == [0, 0, 0]

    assert used_by(shell) == {"viccore": ("1", "victim,"), "victim": ("0", "-"), "late": ("0", "-")}
    assert shell.rmmod("viccore") == -EAGAIN
    assert shell.rmmod("victim") == 0
    assert used_by(shell) == {"viccore": ("0", "-"), "late": ("0", "-")}
    assert shell.rmmod("viccore") == 0


def test_a_patch_does_so_too_but_not_with_what_it_patches(arch: str) -> None:
    shell = shell_of(arch)
    for name in ("viccore", "victim", "lp_w1"):
        assert shell.insmod(name) == 0
    assert shell.wait_for_transition()

    assert used_by(shell) == {"viccore": ("2", "lp_w1,victim,"), "victim": ("0", "-"), "lp_w1": ("1", "-")}
    shell.write("/sys/kernel/livepatch/lp_w1/enabled", "0")
    assert shell.wait_for_transition()
    assert shell.rmmod("lp_w1") == 0
    assert used_by(shell)["viccore"] == ("1", "victim,")


def test_what_is_not_there_refuses_a_module(arch: str) -> None:
    shell = shell_of(arch)

    assert shell.insmod("victim") == -ENOENT
    assert shell.machine.log == [
        "victim: Unknown symbol vic_gate_wait (err -2)",
        "victim: Unknown symbol vic_gates (err -2)",
    ]
    assert used_by(shell) == {}
    assert shell.machine.loader.data.live() == []
    assert [shell.insmod(name) for name in ("viccore", "victim")] == [0, 0]


def test_a_patch_without_its_module_is_refused_once_the_kernel_is_tainted(arch: str) -> None:
    shell = shell_of(arch)

    assert shell.insmod("lp_w1") == -ENOENT
    assert shell.machine.log == [
        "lp_w1: tainting kernel with TAINT_LIVEPATCH",
        "lp_w1: Unknown symbol vic_gate_wait (err -2)",
    ]


def test_every_unknown_symbol_is_named(arch: str) -> None:
    shell = shell_of(arch)
    call = {"x86_64": "call", "arm64": "bl"}[arch]
    text = f"\t.global f\nf:\n\t{call} one\n\t{call} two\n\t{call} one\n\tret\n"
    shell.machine.add_module("m", [Unit(name="f", text=text, origin="f.s")])

    assert shell.insmod("m") == -ENOENT
    assert shell.machine.log == ["m: Unknown symbol one (err -2)", "m: Unknown symbol two (err -2)"]


def test_a_scenario_shows_the_refusal(arch: str) -> None:
    text = 'name = "s"\nimage = "reference"\ncalls = 50\n[[steps]]\nload = "victim"\n'
    outcome = run_scenario(parse_scenario(text, origin="s.toml").with_options({"arch": arch}))

    assert [step.answer for step in outcome.steps] == ["-ENOENT"]
    assert outcome.run.log[0] == "victim: Unknown symbol vic_gate_wait (err -2)"
