"""What ``klpemu run`` prints for people."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from emu.analysis import audited, breakdown, breakdown_table, printable, stages_table, table_of, text_of
from emu.lab.defects import DEFECTS
from emu.units import counted

if TYPE_CHECKING:
    from emu.lab.run import Outcome, StepResult

_FINDINGS_SHOWN = 3


def print_outcome(outcome: Outcome) -> None:
    """Print a finished scenario: what ran, versions by CPU, costs, sites, log, digest, and anything wrong."""
    _print_lines(*_headline(outcome), "")
    meta = outcome.run.meta
    tables = (
        _versions(outcome), stages_table(outcome.facts["stages"]),
        breakdown_table(breakdown(outcome.run), f"{meta['arch']} on {meta['timing']}"), _sites(outcome),
    )  # fmt: skip
    print_tables([table for table in tables if table.row_count])
    where = str(outcome.out) if outcome.out is not None else "not kept (--out DIR keeps it)"
    _print_lines(
        "kernel log",
        *(f"  {line}" for line in outcome.run.log),
        "",
        *_files_read(outcome),
        _verdict(outcome),
        *_wrong_results(outcome),
        *_findings(outcome),
        *(() if outcome.stopped.ok else outcome.stopped.lines()),
        *_story(outcome),
        f"digest {outcome.run.meta['digest']}   trace {where}",
    )


def print_tables(tables: list[Table]) -> None:
    """Print tables, a blank line behind each: drawn for the terminal's width, or as plain text in a pipe."""
    if not sys.stdout.isatty():
        print(text_of(tables))
        return
    console = Console(highlight=False, soft_wrap=False)
    for table in tables:
        console.print(table)
        console.print()


def _print_lines(*lines: str) -> None:
    for line in lines:
        print(printable(line))


def _headline(outcome: Outcome) -> tuple[str, str]:
    meta, scenario = outcome.run.meta, outcome.scenario
    timing = "" if meta["timing"] == "off" else f"timing {meta['timing']}, "
    flaw = f"; defect {scenario.defect}: {DEFECTS[scenario.defect].what}" if scenario.defect else ""
    return (
        f"{scenario.name}: {' '.join(scenario.description.split()) or scenario.image}{flaw}",
        f"{meta['arch']}, {counted(meta['cpus'], 'CPU')}, {meta['mode']} mode, {timing}"
        f"schedule {meta['schedule']}, seed {meta['seed']}: {counted(meta['calls'], 'call')}, "
        f"{meta['instructions']:_} instructions",
    )


def _files_read(outcome: Outcome) -> Iterator[str]:
    """Yield what steps read, and when."""
    read = [step for step in outcome.steps if step.text is not None]
    if read:
        yield "files read"
        for step in read:
            yield f"  after {counted(step.step.after_calls, 'call')} {step.step.subject}"
            yield from (f"    {line}" for line in (step.text or "").splitlines())
        yield ""


def _versions(outcome: Outcome) -> Table:
    by_version = outcome.facts["by_version"]
    rows = {**outcome.facts["by_cpu"], "all": by_version}
    return table_of(
        "calls by version",
        ["CPU", *by_version, "all"],
        [
            [name, *(f"{counts.get(version, 0):_}" for version in by_version), f"{sum(counts.values()):_}"]
            for name, counts in rows.items()
        ],
    )


def _sites(outcome: Outcome) -> Table:
    """Return the bytes of each site at the start, and after what changed them: a step, or an early stop."""
    return table_of("first bytes of the site", ["function", "after", "bytes"], _site_rows(outcome), text=3)


def _site_rows(outcome: Outcome) -> Iterator[tuple[str, str, str]]:
    for function, code in outcome.sites_before.items():
        yield function, "the start", code.hex(" ")
        before = code
        for step in outcome.steps:
            if (now := step.sites[function]) != before:
                yield function, _told(step), now.hex(" ")
            before = now
        if (now := outcome.sites_at_end[function]) != before:
            yield function, "the end", now.hex(" ")


def _told(step: StepResult) -> str:
    why = f" ({'; '.join(step.reasons)})" if step.reasons else ""
    refusal = f": {step.answer}{why}" if step.result < 0 else ""
    return f"{step.step}{refusal}"


def _verdict(outcome: Outcome) -> str:
    audit = outcome.facts["audit"]
    broken = sum(audit["counts"].values())
    calls = audited(audit["checked"], audit["unchecked"], audit["notes"])
    parts = [
        f"{calls}, {f'{broken:_}' if broken else 'none'} inconsistent",
        _some(outcome.bad_results, "wrong result"),
        _some(outcome.run.meta["warnings"], "WARN"),
    ]
    refused = [_told(step) for step in outcome.steps if step.result < 0]
    return f"{'ok' if outcome.ok else 'NOT OK'}: {', '.join([*parts, *refused])}"


def _wrong_results(outcome: Outcome) -> Iterator[str]:
    """Yield the first wrong results, and how many more there were."""
    for wrong in outcome.wrong_results:
        yield f"  wrong: {wrong}"
    more = outcome.bad_results - len(outcome.wrong_results)
    if more:
        yield f"  and {more:_} more"


def _findings(outcome: Outcome) -> Iterator[str]:
    """Yield the first calls that were inconsistent."""
    for finding in outcome.facts["audit"]["findings"][:_FINDINGS_SHOWN]:
        yield f"  {finding}"


def _story(outcome: Outcome) -> Iterator[str]:
    """Yield what led to the first thing that went wrong."""
    if outcome.story:
        yield "what led to it, in order"
        yield from (f"  {moment}" for moment in outcome.story)


def _some(number: int, what: str) -> str:
    return counted(number, what) if number else f"no {what}s"
