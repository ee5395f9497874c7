"""``klpemu run``: what its help promises, and the words of its answer."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from emu.cli.main import main
from emu.cli.run_verb import command
from emu.lab.scenario import Scenario

SCENARIO = Scenario(name="x")
ZEN4 = Path(__file__).parents[2] / "emu/timing/models/zen4.toml"
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


def _faster(folder: Path) -> Path:
    """Write a CPU model that differs from zen4 by loads that take no time."""
    text = ZEN4.read_text("utf-8")
    changed, count = re.subn(r"(?m)^(load_latency = \{ value = )\d+", r"\g<1>0", text)
    assert count == 1
    path = folder / "faster.toml"
    path.write_text(changed, "utf-8")
    return path


def _run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    with pytest.raises(SystemExit) as stopped:
        main(["run", *arguments, "--calls", "300", "--json"])
    out, err = capsys.readouterr()
    assert stopped.value.code == 0, err
    document: dict[str, Any] = json.loads(out)
    return document


def test_timing_takes_a_file_with_a_cpu_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = _faster(tmp_path)
    mine, shipped = (_run(["--timing", timing], capsys) for timing in (str(model), "zen4"))
    # per instruction: how long a run goes on depends on when its patch happens to settle
    assert mine["cycles"] / mine["instructions"] < 0.95 * shipped["cycles"] / shipped["instructions"]


def test_where_the_file_lies_is_no_part_of_the_digest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digests = set()
    for folder in (tmp_path / "here", tmp_path / "there"):
        folder.mkdir()
        digests.add(_run(["--timing", str(_faster(folder))], capsys)["digest"])
    assert len(digests) == 1


def test_a_scenario_names_a_file_with_a_cpu_model_beside_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, scenario = _faster(tmp_path), tmp_path / "mine.toml"
    for text in ("timing = 'faster.toml'", "[x86_64]\ntiming = 'faster.toml'"):
        scenario.write_text(f"name = 'mine'\n{text}\n", "utf-8")
        assert _run([str(scenario)], capsys)["timing"] == str(model)
    scenario.write_text("name = 'mine'\ntiming = 'slower.toml'\n", "utf-8")
    with pytest.raises(SystemExit) as stopped:
        main(["run", str(scenario)])
    error = capsys.readouterr().err
    assert stopped.value.code == 2
    assert f"{tmp_path}/slower.toml: can't be read: No such file or directory" in error
    assert len(error.splitlines()) == 1


def test_a_model_of_another_port_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["run", "--arch", "arm64", "--timing", str(_faster(tmp_path))])
    assert stopped.value.code == 2
    assert "faster.toml' is no arm64 CPU; it can be off, " in capsys.readouterr().err
