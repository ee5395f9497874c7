"""Every litmus test of the corpus has the verdict that its reason gives."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from emu.ordering.litmus import run_text
from tests.litmus.corpus import HERE, entries, file_of

FOLDERS = ["generated/x86_64", "generated/aarch64", "generated/ifetch", "by_hand"]
LEAST = {"generated/x86_64": 150, "generated/aarch64": 300, "generated/ifetch": 150, "by_hand": 70}


def files(folder: str) -> list[Path]:
    return sorted((HERE / folder).glob("*.litmus"))


def header(text: str, key: str) -> str:
    match = re.search(rf"^{key}=(.*)$", text, re.MULTILINE)
    return match[1] if match else ""


@pytest.mark.parametrize("folder", FOLDERS)
class TestCorpus:
    def test_verdicts_are_the_derived_ones(self, folder: str) -> None:
        wrong = {}
        for path in files(folder):
            text = path.read_text(encoding="utf-8")
            result = run_text(text, path.name)
            if result.verdict != header(text, "Expect") or not result.complete:
                wrong[path.name] = result.verdict

        assert wrong == {}

    def test_there_are_enough_and_each_has_its_reason(self, folder: str) -> None:
        texts = [path.read_text(encoding="utf-8") for path in files(folder)]

        assert len(texts) >= LEAST[folder]
        assert all(header(text, "Reason") for text in texts)
        assert {header(text, "Expect") for text in texts} == {"Allowed", "Forbidden"}


def test_generated_files_are_what_the_generator_writes() -> None:
    assert {file_of(entry): entry.text for entry in entries()} == {
        path: path.read_text(encoding="utf-8") for folder in FOLDERS[:3] for path in files(folder)
    }


@pytest.mark.parametrize("path", files("by_hand"), ids=lambda path: path.stem)
def test_flags_are_those_that_the_file_names(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    assert ",".join(run_text(text, path.name).flags) == header(text, "Flags")
