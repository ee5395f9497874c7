"""The examples run, and print what they promise."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
KLPEMU = ("-c", "from emu.cli.main import main; main()")

PROMISES = {
    "port_a_trampoline.py": [
        r"arm64: \d+ instructions from mini_leaf to lp_mini_leaf, interrupted before each of them",
        r"wrong results, registers or stacks: 0; WARNs: 0",
    ],
    "analyse_traces.py": [
        r"original +[\d_]+ +[\d_]+ +[\d_]+",
        r"livepatch-mini +[\d_]+ +[\d_]+ +[\d_]+",
        *(rf"CPU{cpu}: [\d_]+ calls, \d+% patched" for cpu in range(4)),
        r"same seed, same trace: [0-9a-f]{32}",
    ],
    "time_to_converge.py": [
        r"[26] kernel threads per CPU: 8 transitions; half within [\d_]+ cycles, .*, all within .*",
    ],
    "transition_by_hand.py": [
        r"    released by: its return from vic_wait; wake it if it sleeps for good",
        r"reversed: True patches in use: \[\]",
        r"forced: True rmmod: -11",
        r"the sleeper was answered by version 0",
        r"livepatch: 'lp_w1': starting patching transition",
        r"livepatch: forcing remaining tasks to the patched state",
        r"livepatch: 'lp_w1': patching complete",
    ],
    "drop_a_sync.py": [
        r"  CPU\d fetches .* where memory holds .*: it has not synchronised since the text poke",
        r"seed \d+, nothing left out: all is well",
    ],
}


def run(*arguments: str) -> str:
    """Run Python with ``arguments`` where klpemu is checked out, and return what it printed."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.mark.slow
class TestExamples:
    """Each example is documentation that works."""

    @pytest.mark.parametrize("name", PROMISES)
    def test_scripts_end_as_promised(self, name: str) -> None:
        lines = run(str(EXAMPLES / name)).splitlines()
        last = lines[-len(PROMISES[name]) :]
        for line, pattern in zip(last, PROMISES[name], strict=True):
            assert re.fullmatch(pattern, line), line

    def test_the_other_port_goes_through_its_trampoline_too(self) -> None:
        printed = run(str(EXAMPLES / "port_a_trampoline.py"), "x86_64")
        assert printed.endswith("wrong results, registers or stacks: 0; WARNs: 0\n")

    def test_regression_test_passes(self) -> None:
        printed = run("-m", "pytest", "-q", str(EXAMPLES / "regression_test.py"))
        assert "6 passed" in printed.splitlines()[-1]

    def test_scenario_runs_as_its_comment_says(self, tmp_path: Path) -> None:
        scenario, out = EXAMPLES / "my_scenario.toml", tmp_path / "my-run"
        assert "klpemu run examples/my_scenario.toml --out" in scenario.read_text()
        facts = json.loads(run(*KLPEMU, "run", str(scenario), "--out", str(out), "--json"))
        assert facts["ok"]
        assert [step["result"] for step in facts["steps"]] == ["ok"] * 4
        assert facts["by_version"].keys() >= {"original", "livepatch-sample", "livepatch-show"}
        run(*KLPEMU, "analyze", str(out))


def test_every_example_is_run() -> None:
    compared = {"enter_by_jmp.s", "enter_by_ret.s"}  # by the README: tests/test_readme.py
    assert all(f"examples/{name}" in (ROOT / "README.md").read_text(encoding="utf-8") for name in compared)
    others = {"regression_test.py", "my_scenario.toml", *compared}
    assert {path.name for path in EXAMPLES.iterdir() if path.is_file()} == PROMISES.keys() | others


def test_examples_are_short() -> None:
    for path in EXAMPLES.glob("*.py"):
        assert len(path.read_text().splitlines()) <= 40, path.name
