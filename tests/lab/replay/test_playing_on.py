"""What can't be played is named, what was found before it is told, and the rest is played without it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from emu.kernel.errno import EINVAL
from emu.lab.replay import RecordError, play, replay
from emu.lab.replay.__main__ import main
from emu.lab.replay.player import boot
from emu.lab.userland import Userland
from tests.lab.replay.predicted import disabled, enabled, helpers, klp, step

STEPS = [
    step("load module nosuch", "-EPERM"),
    step("shake the machine", 0),
    *enabled("lp_cmd1", first=True, weather="fine"),
    *disabled("lp_cmd1", livepatch={"lp_a1": {}}),
]


def test_both_what_was_found_and_what_could_not_be_played_are_told() -> None:
    outcome = play({"steps": STEPS}, origin="made")

    assert [(found.step, found.what) for found in outcome.disagreements] == [(6, "livepatch")]
    assert [error.step for error in outcome.unplayed] == [1, 2, 4]
    assert str(outcome) == "1 disagreement, but 3 things can't be played: 4 of 6 steps were played"


def test_replay_raises_the_first_of_them() -> None:
    with pytest.raises(RecordError, match=r"^made: step 1 "):
        replay({"steps": STEPS}, origin="made")


def test_the_command_tells_them_and_exits_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "made.json").write_text(json.dumps({"steps": STEPS}), encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["replay", str(tmp_path / "made.json"), "--arch", "arm64"])

    assert main() == 2
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("made arm64: 1 disagreement, but 3 things can't be played")
    assert sum(line.startswith("  can't be played: ") for line in lines) == 3


def test_unfamiliar_words_of_a_look_are_told() -> None:
    outcome = play(
        {"steps": [step("the wobbly one", state={"free": "-1"}), step("three on", state={"free": "-1"})]}
    )

    assert [note.problem for note in outcome.notes] == [
        "taken as a look, though these words are not familiar: wobbly"
    ]


def test_a_null_tells_nothing_of_what_was_given_back() -> None:
    assert replay({"steps": [{"action": "load module viccore"}, {"action": "load module victim"}]}) == []


class TestAPatchThatIsKnownByItsRefusal:
    REFUSED = klp("Livepatch patch (lp_x) is not compatible with the already installed livepatches.")

    def steps(self, installed: str, returned: object, *dmesg: str) -> list[dict[str, Any]]:
        return [
            step(f"load module {installed}", None),
            step("2 s later"),
            step("load module lp_x", returned, *dmesg),
        ]

    def what(self, installed: str) -> list[tuple[int, str]]:
        found = play({"steps": self.steps(installed, "-EINVAL", self.REFUSED)}).disagreements
        return [(one.step, one.what) for one in found if one.step == 3 and one.what in ("returned", "dmesg")]

    def test_is_refused_where_a_state_is_in_use(self) -> None:
        assert self.what("lp_s1v1") == []

    def test_is_not_refused_where_none_is(self) -> None:
        assert self.what("lp_cmd1") == [(3, "returned"), (3, "dmesg")]


@pytest.mark.parametrize(
    "line",
    [
        "failed to set ftrace filter for function 'vic_beta' (-12)",
        "failed to register ftrace handler for function 'vic_beta' (-16)",
        "failed to find location for function 'vic_beta'",
        "kallsyms size lookup failed for 'vic_beta'",
        "symbol 'vic_beta' not found in symbol table",
        "failed to patch object 'victim'",
        "pre-patch callback failed for object 'victim'",
    ],
)
def test_every_line_that_refuses_a_patch_tells_something_of_it(line: str) -> None:
    outcome = play({"steps": [helpers(), step("load module lp_x", "-EINVAL", klp(line))]})

    assert not outcome.unplayed
    assert outcome.disagreements, "nothing is in its way here"


@pytest.mark.parametrize(("offset", "returned"), [(0, 0), (5, 0)])
def test_offsets_of_kprobes_are_those_of_x86_64(offset: int, returned: object) -> None:
    steps = [helpers(), step(f"load module kp_user (fn=vic_alpha off={offset})", returned)]

    assert replay({"steps": steps}, arch="x86_64") == []
    assert replay({"steps": steps}, arch="arm64") == []


def test_no_instruction_starts_inside_of_the_hook() -> None:
    steps = [helpers(), step("load module kp_user (fn=vic_alpha off=2)", "-EILSEQ")]

    assert replay({"steps": steps}, arch="x86_64") == []


@pytest.mark.parametrize(("arch", "offset"), [("x86_64", 12), ("arm64", 12), ("arm64", 2)])
def test_an_offset_that_only_the_real_code_tells_is_refused(arch: str, offset: int) -> None:
    steps = [helpers(), step(f"load module kp_user (fn=vic_alpha off={offset})", 0)]

    with pytest.raises(RecordError, match=f"nothing tells what is {offset} bytes behind"):
        replay({"steps": steps}, arch=arch)


def test_probes_at_entries_are_ftraces_on_every_port() -> None:
    shell = Userland(boot("arm64"))
    assert [shell.insmod("viccore"), shell.insmod("victim")] == [0, 0]

    assert shell.insmod("kp_user", {"fn": "vic_alpha"}) == 0
    assert str(shell.read("/sys/kernel/debug/kprobes/list")).endswith("[FTRACE]\n")
    assert shell.insmod("kp_user", {"fn": "vic_alpha", "post": "x"}) != -EINVAL
