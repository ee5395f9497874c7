"""Patches declared in Python or TOML alone; of malformed ones Linux says what is wrong."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from emu.arch import PORTS
from emu.errors import EmuError
from emu.kernel.errno import EINVAL, ENODEV
from emu.lab.machine import Machine
from emu.lab.run import Outcome, run_scenario
from emu.lab.scenario import parse_scenario
from emu.lab.userland import Userland

ALPHA = {"victim": {"vic_alpha": "lp_vic_alpha"}}
CALLBACKS = ["pre_patch", "post_patch", "pre_unpatch", "post_unpatch"]


@pytest.fixture(params=sorted(PORTS))
def shell(request: pytest.FixtureRequest) -> Userland:
    made = Userland(
        Machine("reference", arch=request.param, cpus=2, workers=0, users=0, spare_tasks=2)
    )  # fmt: skip
    for module in ("viccore", "victim"):
        assert made.insmod(module) == 0
    return made


def settle(shell: Userland, patch: str) -> list[str]:
    """Load a patch, which must work, and return what it logged."""
    before = len(shell.machine.log)
    assert shell.insmod(patch) == 0, shell.machine.log[-2:]
    assert shell.wait_for_transition()
    return shell.machine.log[before:]


def alpha(shell: Userland) -> int:
    """Return what vic_alpha answers a process."""
    process = shell.process("caller", cpu=1)
    process.call(shell.machine.loader.image("victim").address("vic_alpha"))
    return shell.finish(process)


class TestPython:
    """`Machine.add_patch`, code left out."""

    def test_replacements_are_those_of_the_image(self, shell: Userland) -> None:
        shell.machine.add_patch("mine", objects=ALPHA)
        settle(shell, "mine")

        assert alpha(shell) == 1

    def test_replace_takes_the_place_of_others(self, shell: Userland) -> None:
        shell.machine.add_patch("first", objects={"victim": {"vic_beta": "lp_vic_beta"}})
        shell.machine.add_patch("second", objects=ALPHA, replace=True)
        settle(shell, "first")
        settle(shell, "second")

        assert list(shell.machine.livepatch.facts()) == ["second"]

    def test_callbacks_tell_the_log_with_their_states(self, shell: Userland) -> None:
        shell.machine.add_patch(
            "mine", objects=ALPHA, states=[(7, 2)], callbacks={"victim": CALLBACKS, "vmlinux": ["post_patch"]}
        )

        assert [line for line in settle(shell, "mine") if "mine: " in line][1:] == [
            "mine: pre_patch for victim (live)",
            "  mine: own state 7 version 2 data none",
            "mine: post_patch for victim (live)",
            "  mine: own state 7 version 2 data none",
            "mine: post_patch for vmlinux (built in)",
            "  mine: own state 7 version 2 data mine",
        ]

    def test_pre_patch_refuses_it(self, shell: Userland) -> None:
        shell.machine.add_patch(
            "mine", objects=ALPHA, callbacks={"victim": CALLBACKS}, pre_patch_returns={"victim": -ENODEV}
        )

        assert shell.insmod("mine") == -ENODEV
        assert "livepatch: pre-patch callback failed for object 'victim'" in shell.machine.log

    @pytest.mark.parametrize(
        ("arguments", "problem"),
        [
            ({"callbacks": {"victim": ["patch"]}}, "callbacks must be of pre_patch, .*, not 'patch'"),
            ({"pre_patch_returns": {"victim": -1}}, "pre_patch_returns needs pre_patch in callbacks"),
            ({"states": [(0, 1)]}, "id must not be 0, .*"),
        ],
        ids=["callback", "returns", "state"],
    )
    def test_what_no_author_could_write_is_told_at_once(
        self, shell: Userland, arguments: Mapping[str, object], problem: str
    ) -> None:
        with pytest.raises(ValueError, match=f"^{problem}$"):
            shell.machine.add_patch("mine", objects=ALPHA, **arguments)  # type: ignore[arg-type]


REFUSED = {
    "unknown function of the kernel": (
        '[patches.p.objects.vmlinux]\nnosuch = "lp_mini_leaf"',
        "-EINVAL",
        ["livepatch: symbol 'nosuch' not found in symbol table"],
    ),
    "unknown function of a module": (
        '[patches.p.objects.victim]\nnosuch = "lp_vic_alpha"',
        "-EINVAL",
        ["livepatch: symbol 'nosuch' not found in symbol table"],
    ),
    "module that never comes": ('[patches.p.objects.neverloaded]\nf = "lp_vic_alpha"', "ok", []),
    "no objects": ("", "-EINVAL", []),
    "object without anything": ("[patches.p.objects.victim]", "ok", []),
    "replacement NULL": ('[patches.p.objects.victim]\nvic_alpha = ""', "-EINVAL", []),
}


def play(objects: str, flag: str) -> Outcome:
    """Run a scenario that enables a patch with these objects."""
    text = (
        f'name = "s"\nimage = "reference"\ncpus = 2\ncalls = 100\n[patches.p]\n{flag}\n{objects}\n'
        '[[steps]]\nload = "viccore"\n[[steps]]\nload = "victim"\n[[steps]]\nenable = "p"\n'
    )
    return run_scenario(parse_scenario(text, origin="s.toml"))


@pytest.mark.parametrize(("objects", "answer", "lines"), REFUSED.values(), ids=REFUSED)
class TestMalformed:
    """``unchecked = true`` in TOML."""

    def test_linux_answers(self, objects: str, answer: str, lines: list[str]) -> None:
        outcome = play(objects, "unchecked = true")

        assert outcome.steps[-1].answer == answer
        assert [line for line in outcome.run.log if "not found" in line] == lines

    def test_otherwise_it_is_told_as_a_mistake(self, objects: str, answer: str, lines: list[str]) -> None:
        with pytest.raises(EmuError, match=r"^s\.toml: patches\.p\b.* give the patch unchecked = true\)?$"):
            play(objects, "")


def test_a_null_replacement_is_refused_by_the_kernel_from_python(shell: Userland) -> None:
    shell.machine.add_patch("mine", objects={"victim": {"vic_alpha": ""}})

    assert shell.insmod("mine") == -EINVAL
