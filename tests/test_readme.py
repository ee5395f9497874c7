"""The README shows what really happens. Re-record its session with ``python tests/test_readme.py``."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SESSION = re.compile(r"```console\n\$ klpemu (?P<arguments>[^\n]*)\n(?P<output>.*?)```", re.DOTALL)


def session(arguments: str) -> str:
    """Return what ``klpemu`` prints for ``arguments`` in a pipe."""
    code = "from emu.cli.main import main; main()"
    command = [sys.executable, "-c", code, *arguments.split()]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_the_session_in_the_readme_is_what_the_command_prints() -> None:
    found = SESSION.search((ROOT / "README.md").read_text(encoding="utf-8"))

    assert found is not None
    assert found["output"] == session(found["arguments"])


def test_the_report_in_the_readme_is_what_its_code_prints() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(
        r"```python\n(?P<code>[^`]*drop=[^`]*)```\n\n```text\n(?P<output>.*?)```", readme, re.DOTALL
    )

    assert found is not None
    command = [sys.executable, "-c", found["code"]]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert found["output"] == shown


def test_ci_runs_the_test_command_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (command,) = [line for line in readme.splitlines() if line.endswith("pytest -q -n auto")]

    assert command in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


if __name__ == "__main__":
    path = ROOT / "README.md"
    text = path.read_text(encoding="utf-8")
    path.write_text(
        SESSION.sub(
            lambda found: f"```console\n$ klpemu {found['arguments']}\n{session(found['arguments'])}```", text
        ),
        encoding="utf-8",
    )
