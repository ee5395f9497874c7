"""Results of analysis as tables: for a terminal, and as plain text for a pipe."""

from collections.abc import Iterable, Mapping, Sequence
from io import StringIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from emu.analysis.audit import Audit
from emu.analysis.breakdown import Breakdown
from emu.analysis.cost import GROUPS, CallCost, CostReport
from emu.analysis.report import CostFacts
from emu.analysis.summary import Summary
from emu.units import counted

_WIDE = 10_000  # columns; a pipe has no width, so no cell is ever wrapped or cut


def summary_tables(summary: Summary) -> list[Table]:
    """Return the counts of a run: by function and by CPU, of each version, then a table per other column."""
    functions = _versions("calls by function", "function", summary.by_function, summary)
    functions.add_row("all", *map(_count, summary.by_version.values()), _count(summary.calls))
    by_cpu = {f"CPU {cpu}": counts for cpu, counts in summary.by_cpu.items()}
    rest = (
        _versions("calls by CPU", "CPU", by_cpu, summary),
        _counts("calls by patch state", "state", summary.by_patch_state),
        _counts("calls by flag", "flag", summary.by_flag),
        _counts("events", "kind", summary.by_event),
    )
    return [functions, *(table for table in rest if table.row_count)]


def cost_tables(report: CostReport) -> list[Table]:
    """Return what calls cost: over all functions, then function by function."""
    groups = _table("cost per call", ["group", *_COST_COLUMNS])
    for group, cost in report.groups.items():
        groups.add_row(group, *_cost_cells(cost))
    functions = _table("cost per call, by function", ["function", "group", *_COST_COLUMNS], text=2)
    for name, costs in report.functions.items():
        for group, cost in costs.items():
            functions.add_row(_text(name), group, *_cost_cells(cost))
    if report.left_out:
        groups.caption = _line(f"left out: {counted(report.left_out, 'call')} without a measurable cost")
    return [groups, functions]


def stages_table(stages: Mapping[str, Mapping[str, Mapping[str, CostFacts]]]) -> Table:
    """Return what calls of the functions of each patch cost, stage by stage of its life.

    Columns stand under the cost group they are of; a group that no call belongs to has none.

    Args:
        stages: those of a `Report`: by patch, stage and cost group.
    """
    title = "cost per call of a patch's functions: insns median and p99, cycles median"
    table = _table(title, ["patch", "stage", "calls"], text=2)
    groups = [
        g for g in GROUPS if any(g in costs for reached in stages.values() for costs in reached.values())
    ]
    for group in groups:
        for column in ("insns", "p99", f"{_GROUP_TITLES[group]}\ncycles"):
            table.add_column(column, justify="right", overflow="fold")
    for heading in table.columns:
        heading.vertical = "bottom"
    for patch, reached in stages.items():
        for stage, costs in reached.items():
            cells = [_count(sum(cost["calls"] for cost in costs.values()))]
            for group in groups:
                cells += _stage_cells(costs.get(group))
            table.add_row(_text(patch), stage, *cells)
    return table


def breakdown_table(kinds: Mapping[str, Breakdown], title: str) -> Table:
    """Return what the cycles of calls went into, a line per kind of call: medians, then means.

    Args:
        kinds: of `breakdown`.
        title: what to say above it: of which CPU.
    """
    parts = list(next(iter(kinds.values())).parts) if kinds else []
    table = _table(f"{title}: cycles per call, median and (mean) of each part", ["call", "calls", "whole", *parts])
    for kind, found in kinds.items():
        total = sum(part.total for part in found.parts.values())
        cells = [(found.cycles.median, total)]
        cells += [(part.spread.median, part.total) for part in found.parts.values()]
        texts = [f"{_count(median)} ({total / found.calls:.1f})" for median, total in cells]
        table.add_row(_KIND_TITLES[kind], _count(found.calls), *texts)
    return table


def audit_table(audit: Audit) -> Table:
    """Return the calls that broke a rule: without any, a table of no rows."""
    broken = sum(audit.counts.values())
    title = f"{counted(broken, 'call')} inconsistent"
    table = _table(title, ["rule", "what", "row", "seq", "CPU", "cycle"], text=2)
    for finding in audit.findings:
        numbers = (finding.row, finding.seq, finding.cpu, finding.cycle)
        table.add_row(finding.rule, _text(finding.what), *map(_count, numbers))
    if len(audit.findings) < broken:
        table.caption = _line(f"the first {_count(len(audit.findings))} of {_count(broken)} are shown")
    return table


def audited(checked: int, unchecked: int, notes: Sequence[str]) -> str:
    """Return how many of a run's calls an audit could judge; without notes the others were still open.

    >>> audited(7, 0, []), audited(7, 2, ["later events may be missing"])
    ('all 7 calls audited', '7 of 9 calls audited')
    >>> audited(7, 1, [])
    '7 of 8 calls audited (the other was still open at the end)'
    """
    if not unchecked:
        return f"all {counted(checked, 'call')} audited"
    others = "the other was" if unchecked == 1 else f"the other {unchecked:_} were"
    why = "" if notes else f" ({others} still open at the end)"
    return f"{checked:_} of {counted(checked + unchecked, 'call')} audited{why}"


def table_of(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, text: int = 1) -> Table:
    """Return rows as a table; its first ``text`` columns hold text, the others numbers."""
    table = _table(title, columns, text=text)
    for row in rows:
        table.add_row(*map(_text, row))
    return table


def text_of(tables: Iterable[Table]) -> str:
    """Return tables as plain text: no colour, no lines, nothing wrapped, a blank line between two."""
    texts = []
    for table in tables:
        out = StringIO()
        console = Console(file=out, width=_WIDE, color_system=None, force_terminal=False)
        console.print(table)
        texts.append("\n".join(line.rstrip() for line in out.getvalue().strip("\n").splitlines()))
    return "\n\n".join(texts) + "\n"


def printable(text: str) -> str:
    r"""Return text from a file without control characters.

    >>> print(printable("a\x1b[2Jb"))
    a\x1b[2Jb
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


_GROUP_TITLES = {"unpatched": "site off", "traced": "traced", "patched": "patched"}

_KIND_TITLES = {
    "plain": "plain call", "traced": "traced", "patched": "patched", "transition": "in transition", "nop": "nop",
}  # fmt: skip

_COST_COLUMNS = (
    "calls", "cycles", "p90", "p99", "max", "entry", "p90", "p99", "max", "insns", "p90", "p99", "max",
)  # fmt: skip


def _cost_cells(cost: CallCost) -> list[str]:
    cells = [_count(cost.calls)]
    for spread in (cost.cycles, cost.entry, cost.insns):
        cells += map(_count, (spread.median, spread.p90, spread.p99, spread.max))
    return cells


def _stage_cells(cost: CostFacts | None) -> list[str]:
    if cost is None:
        return ["-"] * 3
    return [_count(cost["insns_median"]), _count(cost["insns_p99"]), _count(cost["median"])]


def _versions(title: str, what: str, rows: Mapping[str, Mapping[str, int]], summary: Summary) -> Table:
    table = _table(title, [what, *summary.by_version, "all"])
    for name, counts in rows.items():
        cells = [counts.get(version, 0) for version in summary.by_version]
        table.add_row(_text(name), *map(_count, cells), _count(sum(counts.values())))
    return table


def _counts(title: str, what: str, counts: Mapping[str, int]) -> Table:
    table = _table(title, [what, "count"])
    for name, count in counts.items():
        table.add_row(_text(name), _count(count))
    return table


def _table(title: str, columns: Sequence[str], *, text: int = 1) -> Table:
    """Return an empty table; its first ``text`` columns hold text, the others numbers."""
    table = Table(title=_line(title), title_justify="left", caption_justify="left", box=None, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(_text(column), justify="left" if index < text else "right", overflow="fold")
    return table


def _line(text: str) -> Text:
    """Return a title or caption, which may be wider than its table."""
    return Text(text, no_wrap=True, overflow="ignore")


def _text(name: str) -> Text:
    """Return a name from a file as it is: neither markup nor a control sequence."""
    return Text(printable(name))


def _count(number: int) -> str:
    return f"{number:_}"
