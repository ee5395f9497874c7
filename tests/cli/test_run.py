"""``klpemu run``: what its help promises, and the words of its answer."""

from __future__ import annotations

import re

import pytest

from emu.cli.main import main
from emu.cli.run_verb import command
from emu.lab.scenario import Scenario

SCENARIO = Scenario(name="x")
WITHOUT = {"out", "as_json", "scenario", "is_fixed"}


def test_help_tells_the_default_of_every_option_that_has_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    told = " ".join(capsys.readouterr().out.split())

    for option in (parameter.name for parameter in command.params if parameter.name not in WITHOUT):
        expected = {"timing": "off", "ordering": "sc"}.get(str(option)) or getattr(SCENARIO, str(option))
        assert re.search(rf"--{option} .*?\[default: {expected}[];]", told), option


def test_the_default_schedule_of_exact_mode_is_the_one_that_help_tells() -> None:
    assert SCENARIO.with_options({"mode": "exact"}).schedule == "random"


def test_one_is_not_several_and_every_call_is_accounted_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["run", "--cpus", "1", "--calls", "300"])
    text = capsys.readouterr().out
    calls = int(re.findall(r"^x86_64, 1 CPU, .*: ([\d_]+) calls, [\d_]+ instructions$", text, re.M)[0])
    audited, of_all, others = re.findall(
        r"^ok: ([\d_]+) of ([\d_]+) calls audited \(the other (\d+) were still open at the end\), none inc",
        text,
        re.M,
    )[0]

    assert stopped.value.code == 0
    assert calls == int(of_all) == int(audited) + int(others)
