"""``python -m emu.lab.replay``: what it prints, and its exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from emu.lab.replay.__main__ import main

RECORD = Path(__file__).parents[2] / "reference" / "real-kernel" / "module_never_comes.json"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["replay", *arguments])
    return main()


def test_agreement_is_0(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, str(RECORD), "--arch", "arm64") == 0
    assert capsys.readouterr().out == "module_never_comes arm64: agrees\n"


def test_disagreement_is_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    record["steps"][0]["returned"] = "-EBUSY"
    (tmp_path / "changed.json").write_text(json.dumps(record), encoding="utf-8")

    assert run(monkeypatch, str(tmp_path / "changed.json"), "--arch", "x86_64") == 1
    assert capsys.readouterr().out == (
        "changed x86_64: 1 disagreement\n"
        "  step 1 (load module lp_never), returned:\n"
        "    real kernel: -EBUSY\n"
        "    here:        0\n"
    )


def test_a_file_that_is_no_record_is_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "none.json").write_text("[", encoding="utf-8")

    assert run(monkeypatch, str(tmp_path / "none.json"), str(RECORD), "--arch", "x86_64") == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"{tmp_path / 'none.json'}: can't be read: ")
    assert captured.out == "module_never_comes x86_64: agrees\n"
