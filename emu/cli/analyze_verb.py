"""``klpemu analyze``: what a recorded run holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from emu.cli.exits import DONE, NO

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from emu.analysis import Audit
    from emu.trace.run import Run

SCHEMA = "klpemu.analyze/1"
FINDINGS = 20
"""How many findings of the audit the tables show; all are counted."""


@click.command(name="analyze")
@click.argument("run", metavar="RUN")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(run: str, as_json: bool) -> int:
    """Say what the recording in directory RUN holds: versions, costs, and whether it is consistent.

    Exits with 1 when a call ran a version that it must not have run.
    """
    from emu.trace.reader import load_run

    loaded = load_run(run)
    if as_json:
        from emu.analysis import report_of

        report = report_of(loaded)
        head = {**loaded.meta, "schema": SCHEMA, "notes": list(loaded.notes), "log": list(loaded.log)}
        print(json.dumps({**head, **report}, indent=2))
        return DONE if report["audit"]["passed"] else NO
    from emu.analysis import audit

    found = audit(loaded, limit=FINDINGS)
    _print([_meta_table(loaded), *_tables(loaded, found)], _verdict(loaded, found))
    return DONE if found.passed else NO


def _tables(run: Run, found: Audit) -> Iterator[Table]:
    from emu.analysis import (
        audit_table,
        cost,
        cost_tables,
        stage_facts,
        stages_table,
        summarize,
        summary_tables,
    )

    yield from summary_tables(summarize(run))
    yield from (table for table in cost_tables(cost(run)) if table.row_count)
    if (stages := stages_table(stage_facts(run))).row_count:
        yield stages
    yield audit_table(found)


def _meta_table(run: Run) -> Table:
    from rich.table import Table

    table = Table(title="run", title_justify="left", box=None, pad_edge=False, show_header=False)
    for key, value in run.meta.items():
        if isinstance(value, (str, bool, int)):
            table.add_row(key, _cell(f"{value:_}" if _is_count(key, value) else str(value)))
    for patch in run.meta["patches"][1:]:
        functions = ", ".join(f"{old} -> {new}" for old, new in patch["functions"].items())
        table.add_row(f"patch {patch['index']}", _cell(f"{patch['name']}: {functions}"))
    table.add_row("tasks", f"{len(run.meta['tasks']):_}")
    made_with = ", ".join(f"{name} {version}" for name, version in run.meta["versions"].items())
    table.add_row("made with", _cell(made_with))
    return table


def _is_count(key: str, value: object) -> bool:
    return type(value) is int and key != "seed"


def _verdict(run: Run, found: Audit) -> list[str]:
    broken = sum(found.counts.values())
    kinds = ", ".join(f"{rule} {count:_}" for rule, count in found.counts.items() if count)
    verdict = f"NOT OK: {broken:_} calls inconsistent ({kinds})" if broken else "ok: no call inconsistent"
    checked = f"{found.checked:_} checked"
    left = f", {found.unchecked:_} could not be" if found.unchecked else ""
    notes = dict.fromkeys((*run.notes, *found.notes))
    return [
        *(f"note: {note}" for note in notes),
        f"{verdict}; {checked}{left}",
        f"digest {run.meta['digest'] or 'none: the run is not complete'}",
    ]


def _print(tables: list[Table], lines: list[str]) -> None:
    """Print tables and lines behind them."""
    from emu.analysis import printable
    from emu.cli.run_text import print_tables

    print_tables(tables)
    for line in lines:
        print(printable(line))


def _cell(text: str) -> Text:
    """Return text from a file as rich takes it literally."""
    from rich.text import Text

    from emu.analysis import printable

    return Text(printable(text), overflow="fold")
