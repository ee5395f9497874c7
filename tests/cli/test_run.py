"""``klpemu run``: what its help promises."""

from __future__ import annotations

import re

import pytest

from emu.cli.main import main
from emu.cli.run_verb import command
from emu.lab.scenario import Scenario

SCENARIO = Scenario(name="x")
WITHOUT = {"out", "as_json", "scenario"}


def test_help_tells_the_default_of_every_option_that_has_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    told = " ".join(capsys.readouterr().out.split())

    for option in (parameter.name for parameter in command.params if parameter.name not in WITHOUT):
        expected = {"timing": "off", "ordering": "sc"}.get(str(option)) or getattr(SCENARIO, str(option))
        assert re.search(rf"--{option} .*?\[default: {expected}[];]", told), option


def test_the_default_schedule_of_exact_mode_is_the_one_that_help_tells() -> None:
    assert SCENARIO.with_options({"mode": "exact"}).schedule == "random"
