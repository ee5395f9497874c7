"""docs/trace-format.md says what the schema says."""

import json
from dataclasses import fields
from pathlib import Path

import pytest

from emu.analysis import Audit, Bounds, CallCost, Finding, Spread
from emu.trace import CodeBlock
from emu.trace.meta import META_FIELDS
from emu.trace.schema import CALL_COLUMNS, CALL_FLAG_DOCS, EVENT_COLUMNS, EVENT_DOCS, Column
from tests.trace import strategies

PAGE = Path(__file__).parents[2] / "docs" / "trace-format.md"


def tables() -> list[list[tuple[str, ...]]]:
    """Every table of the page: its rows, each a tuple of cells, head first."""
    found: list[list[tuple[str, ...]]] = [[]]
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            found.append([])
        elif not set(line) <= set("|- "):
            found[-1].append(tuple(cell.strip() for cell in line[1:-1].split("|")))
    return [table for table in found if table]


def body_with_head(*head: str) -> list[list[tuple[str, ...]]]:
    return [table[1:] for table in tables() if table[0] == head]


@pytest.mark.parametrize("number", [0, 1], ids=["calls", "events"])
def test_columns_are_those_of_the_schema(number: int) -> None:
    columns: tuple[Column, ...] = (CALL_COLUMNS, EVENT_COLUMNS)[number]

    assert body_with_head("column", "type", "unit", "meaning")[number] == [
        (f"`{column.name}`", f"`{column.format}`", column.unit, column.doc) for column in columns
    ]


def test_flags_are_those_of_the_schema() -> None:
    assert body_with_head("bit", "flag", "meaning") == [
        [(f"`{flag.value:#x}`", f"`{flag.name}`", doc) for flag, doc in CALL_FLAG_DOCS.items()]
    ]


def test_event_kinds_and_operands_are_those_of_the_schema() -> None:
    assert body_with_head("number", "kind", "what happened", "`a`", "`b`", "`c`") == [
        [(str(k.value), f"`{k.name}`", e.doc, e.a, e.b, e.c) for k, e in EVENT_DOCS.items()]
    ]


def test_meta_keys_are_those_of_the_schema() -> None:
    assert body_with_head("key", "type", "meaning") == [
        [(f"`{key}`", f"`{field.type.__name__}`", field.doc) for key, field in META_FIELDS.items()]
    ]


def test_fields_of_code_are_those_that_are_written() -> None:
    written = json.loads(strategies.BLOCK.to_line())

    (rows,) = body_with_head("field", "type", "meaning")
    assert [row[:2] for row in rows] == [
        (f"`{name}`", f"`{type(value).__name__}`") for name, value in written.items()
    ]
    assert [*written] == [field.name for field in fields(CodeBlock)]


def test_every_figure_of_the_analysis_is_explained() -> None:
    text = " ".join(cell for row in body_with_head("figure", "unit", "meaning")[0] for cell in row)
    for result in (Spread, CallCost, Bounds, Audit, Finding):
        for field in fields(result):
            if field.name not in ("findings", "notes", "rule", "what"):
                assert f"{field.name}`" in text, f"{result.__name__}.{field.name}"
