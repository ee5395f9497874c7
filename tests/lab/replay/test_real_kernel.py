"""What a real kernel did, the machine does: every record, replayed on every port."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest

from emu.arch import PORTS
from emu.lab.replay import load_record, replay

RECORDS = sorted((Path(__file__).parents[2] / "reference" / "real-kernel").glob("*.json"))


def test_there_are_records() -> None:
    assert len(RECORDS) == 37


@pytest.mark.parametrize("arch", sorted(PORTS))
@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_the_machine_does_what_the_real_kernel_did(path: Path, arch: str) -> None:
    found = replay(load_record(path), arch=arch)

    assert not found, "\n".join(map(str, found))


def otherwise(value: object) -> object:
    """Return something that a kernel which behaved otherwise would have shown."""
    match value:
        case {"first_bytes": _, "call_target": _}:
            return value  # that is how the record tells which function it is
        case {"first_bytes": first_bytes, "address": address}:
            return {"first_bytes": first_bytes, "address": address, "call_target": "0x1"}
        case dict() if not value:
            return {"alpha": "alpha:lp_none", "enabled": "1"}
        case dict():
            return {key: otherwise(inner) for key, inner in value.items()}
        case []:
            return ["f (1) \tsomething else"]
        case [str(first), *rest]:
            return [otherwise(first), *rest]
        case [int(first)]:
            return [first, 15]  # of gates; the first is where the task that is told something goes
        case [int(first), *rest]:
            return [first + 10, *rest]
        case str() if value.startswith("0x"):
            return value  # addresses are each machine's own
        case str() if re.fullmatch(r"([0-9a-f]{2} )+[0-9a-f]{2}", value):
            return value.replace("e8", "90")
        case str() if "(1)" in value:
            return value.replace("(1)", "(7)")
        case str() if value in ("0", "1"):
            return "1" if value == "0" else "0"
        case str():
            return f"{value}!"
        case int():
            return value + 10
    return value


def changed(record: dict[str, Any]) -> tuple[set[tuple[int, str]], dict[str, Any]]:
    """Return the record with everything in it changed, and where: (step, what)."""
    other, places = copy.deepcopy(record), set()
    for number, step in enumerate(other["steps"], 1):
        step["dmesg"].insert(0, "something else")
        for place, whats in ((step, ["returned"]), (step["observed"], list(step["observed"]))):
            for what in whats:
                before = place[what]
                place[what] = otherwise(before)
                if place[what] != before:
                    places.add((number, what))
        places.add((number, "dmesg"))
    return places, other


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_whatever_is_changed_in_a_record_is_noticed(path: Path) -> None:
    places, other = changed(json.loads(path.read_text(encoding="utf-8")))

    noticed = {(found.step, found.what) for found in replay(other)}

    assert sorted(places - noticed) == []


def test_the_documentation_has_a_line_for_every_record() -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (\d+) \| (\d+) \| (\w+) \| (\w+) \|$", page, re.MULTILINE)

    assert [row[0] for row in rows] == [path.stem for path in RECORDS]
    for (_, steps, lines, looks, *agree), path in zip(rows, RECORDS, strict=True):
        record = load_record(path)
        assert int(steps) == len(record.steps)
        assert int(lines) == sum(len(step.dmesg) for step in record.steps)
        assert int(looks) == sum(len(step.observed) for step in record.steps)
        assert agree == ["yes", "yes"]
