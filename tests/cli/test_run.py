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
    """Whether a call is still open at the end depends on when that is."""
    open_calls = set()
    for seed in range(1, 7):
        with pytest.raises(SystemExit) as stopped:
            main(["run", "--cpus", "1", "--calls", "300", "--seed", str(seed)])
        text = capsys.readouterr().out.replace("_", "")
        (calls,) = re.findall(r"^x8664, 1 CPU, .*: (\d+) calls, \d+ instructions$", text, re.MULTILINE)
        ((all_of, audited, of_all, one, others),) = re.findall(
            r"^ok: (?:all (\d+)|(\d+) of (\d+)) calls audited"
            r"(?: \(the other (?:(was)|(\d+) were) still open at the end\))?, none inc",
            text,
            re.MULTILINE,
        )
        left = int(others or bool(one))
        open_calls.add(min(left, 2))

        assert stopped.value.code == 0
        assert int(calls) == int(all_of or of_all) == int(all_of or audited) + left
        assert others != "1"
    assert len(open_calls) > 1
