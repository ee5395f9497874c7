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

    from emu.analysis import Audit, Integrity
    from emu.trace.run import Run

SCHEMA = "klpemu.analyze/1"
FINDINGS = 20
"""How many findings of the audit the tables show; all are counted."""


@click.command(name="analyze")
@click.argument("run", metavar="RUN")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(run: str, as_json: bool) -> int:
    """Say what the recording in directory RUN holds: versions, costs, and whether it is consistent.

    Exits with 1 when a call ran a version that it must not have run, or when rows have been lost or changed
    since they were recorded; what is left of them is analyzed.
    """
    from emu.analysis import audit, integrity, report_of
    from emu.trace.reader import load_run

    loaded = load_run(run)
    state = integrity(loaded)
    if as_json:
        report = report_of(loaded)
        passed = report["audit"]["passed"] and not state.damage
        head = {
            **loaded.meta, "schema": SCHEMA, "ok": passed, "notes": list(loaded.notes),
            "damage": list(state.damage), "digest_verified": state.verified, "log": list(loaded.log),
        }  # fmt: skip
        print(json.dumps({**head, **report}, indent=2))
    else:
        found = audit(loaded, limit=FINDINGS)
        passed = found.passed and not state.damage
        _print([_meta_table(loaded), *_tables(loaded, found)], _verdict(loaded, found, state))
    return DONE if passed else NO


def _tables(run: Run, found: Audit) -> Iterator[Table]:
    from emu.analysis import (
        audit_table,
        breakdown,
        breakdown_table,
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
    if kinds := breakdown(run):
        yield breakdown_table(kinds, f"{run.meta['arch']} on {run.meta['timing']}")
    if not found.passed:
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


def _verdict(run: Run, found: Audit, state: Integrity) -> list[str]:
    from emu.analysis import audited

    broken = sum(found.counts.values())
    kinds = ", ".join(f"{rule} {count:_}" for rule, count in found.counts.items() if count)
    damaged = f"the recording is damaged ({'; '.join(state.damage)}); what is left: " if state.damage else ""
    calls = audited(found.checked, found.unchecked, found.notes)
    notes = dict.fromkeys((*run.notes, *found.notes))
    return [
        *(f"note: {note}" for note in notes),
        f"{'NOT OK' if damaged or broken else 'ok'}: {damaged}{calls}, "
        + (f"{broken:_} inconsistent ({kinds})" if broken else "none inconsistent"),
        _digest(run, state),
    ]


def _digest(run: Run, state: Integrity) -> str:
    match state.verified:
        case None:
            return "digest none: the run is not complete"
        case True:
            return f"digest {state.digest}, verified"
        case False:
            return f"digest {run.meta['digest']} does not fit: that of the rows here is {state.digest}"


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
