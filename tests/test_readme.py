"""The README shows what really happens. Re-record it with ``python tests/test_readme.py``; read the diff."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
SESSION = re.compile(r"(?P<head>```console\n\$ klpemu (?P<input>[^\n]*)\n)(?P<output>.*?)```", re.DOTALL)
REPORT = re.compile(r"(?P<head>```python\n(?P<input>[^`]*)```\n\n```text\n)(?P<output>[^`]*)```", re.DOTALL)


def session(arguments: str) -> str:
    """Return what ``klpemu`` prints for ``arguments`` in a pipe."""
    return report("from emu.cli.main import main; main()", *arguments.split())


def report(code: str, *arguments: str) -> str:
    """Return what Python code prints."""
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


PARTS: list[tuple[re.Pattern[str], Callable[[str], str]]] = [(SESSION, session), (REPORT, report)]


@pytest.mark.parametrize(("part", "shown"), PARTS, ids=["session", "report"])
def test_what_the_readme_shows_is_what_is_printed(part: re.Pattern[str], shown: Callable[[str], str]) -> None:
    found = list(part.finditer(README.read_text(encoding="utf-8")))

    assert found
    for example in found:
        assert example["output"] == shown(example["input"])


def test_what_the_readme_leaves_out_is_noticed() -> None:
    outputs = [found["output"] for found in REPORT.finditer(README.read_text(encoding="utf-8"))]

    assert len(outputs) == 3
    assert not any(output.startswith("stopped:") for output in outputs), "reports of what went wrong"


def test_ci_runs_the_test_command_of_the_readme() -> None:
    readme = README.read_text(encoding="utf-8")
    (command,) = [line for line in readme.splitlines() if line.endswith("pytest -q -n auto")]

    assert command in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


if __name__ == "__main__":
    text = README.read_text(encoding="utf-8")
    for part, shown in PARTS:
        text = part.sub(lambda found: f"{found['head']}{shown(found['input'])}```", text)  # noqa: B023
    README.write_text(text, encoding="utf-8")
