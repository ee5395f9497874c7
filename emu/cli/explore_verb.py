"""``klpemu explore``: every outcome of a patching scenario, or a counterexample."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from emu.cli.exits import DONE, NO
from emu.cli.seconds import Seconds
from emu.errors import EmuError

if TYPE_CHECKING:
    from emu.lab.explorer.mutations import Mutation
    from emu.lab.explorer.report import Report, Violation


@click.command(name="explore")
@click.argument("scenario")
@click.option(
    "--model",
    type=click.Choice(["auto", "sc", "tso", "arm64"]),
    default="auto",
    show_default=True,
    help="Memory model; auto: the port's own.",
)
@click.option(
    "--arch", help="Port.  [default: x86_64 if the scenario is for it; with --drop all: every port]"
)
@click.option(
    "--cpus", type=click.IntRange(1, 2), default=1, show_default=True, help="CPUs that dispatch calls."
)
@click.option(
    "--drop", help="Leave out steps or barriers: names with commas between them, or all, one at a time."
)
@click.option("--seconds", type=Seconds(), help="Stop an exploration after about so long.")
@click.option("--executions", type=click.IntRange(1), help="Stop an exploration after so many executions.")
@click.option(
    "--memory",
    metavar="MIB",
    type=click.IntRange(1),
    default=4096,
    show_default=True,
    help="Stop an exploration once klpemu has so much memory in use.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(
    scenario: str,
    model: str,
    arch: str | None,
    cpus: int,
    drop: str | None,
    seconds: float | None,
    executions: int | None,
    memory: int,
    as_json: bool,
) -> int:
    """Explore SCENARIO (see 'klpemu list explorations'): what CPUs can see while another one patches.

    Prints all outcomes that the memory model allows. If one must not be, prints what each CPU did and saw in
    it; the exit code is then 1. It is 1, too, if a budget ran out.

    incident:NAME explores an incident with its defect, incident:NAME/fixed without it.

    With --drop all, SCENARIO may also be livepatch, pokes or all, which mean several at once.
    """
    if drop == "all":
        if executions is not None:
            raise click.UsageError("--executions does not go with --drop all; --seconds and --memory do")
        return _table(scenario, model, arch, cpus, seconds, memory, as_json=as_json)
    from emu.lab.explorer.catalogue import GROUPS, Shelf, model_for, named
    from emu.lab.explorer.mutations import check_steps
    from emu.lab.explorer.run import explore_scenario
    from emu.ordering.budget import Budget
    from emu.ordering.memory_use import MemoryLimit

    if scenario in GROUPS:
        several = ", ".join(GROUPS[scenario])
        raise EmuError(f"{scenario} means several scenarios, which only --drop all explores: {several}")
    explored = named(scenario)
    port = arch if arch is not None else "x86_64" if "x86_64" in explored.ports else explored.ports[0]
    laboratory = Shelf(cpus).laboratory(explored, port)
    chosen = model_for(port, model)
    wanted = tuple(step.strip() for step in drop.split(",")) if drop is not None else ()
    check_steps(laboratory, wanted)
    with _progress(scenario) as show:
        report = explore_scenario(
            laboratory,
            chosen,
            cpus=cpus,
            dropped=(*explored.dropped, *wanted),
            budget=Budget(seconds=seconds, executions=executions, memory=MemoryLimit(memory), progress=show),
        )
    print(
        json.dumps({**report.to_json(), "scenario": scenario}, indent=2)
        if as_json
        else _text(scenario, report)
    )
    return DONE if report.holds else NO


def _table(
    scenario: str,
    model: str,
    arch: str | None,
    cpus: int,
    seconds: float | None,
    memory: int,
    *,
    as_json: bool,
) -> int:
    from emu.lab.explorer.catalogue import GROUPS, Shelf, model_for, named, ports_for
    from emu.lab.explorer.mutations import mutate
    from emu.lab.explorer.report import SCHEMA
    from emu.ordering.memory_use import MemoryLimit

    subjects = [named(name) for name in GROUPS.get(scenario, (scenario,))]
    ports = [arch] if arch is not None else ports_for(model, subjects[0].ports)
    shelf = Shelf(cpus)
    found: list[Mutation] = []
    for port in ports:
        chosen = model_for(port, model)
        laboratories = [shelf.laboratory(subject, port) for subject in subjects]
        limit = MemoryLimit(memory)
        found += mutate(laboratories, chosen, cpus=cpus, seconds=seconds, memory=limit, tell=_tell)
    complete = all(one.needed is not None for one in found)
    if as_json:
        document = {
            "schema": SCHEMA,
            "scenario": scenario,
            "model": model,
            "cpus": cpus,
            "outcomes": [],
            "violations": [],
            "executions": sum(one.executions for one in found),
            "drops": [one.to_json() for one in found],
            "complete": complete,
        }
        print(json.dumps(document, indent=2))
    else:
        _print_table(found, ports)
    return DONE if complete else NO


def _print_table(found: list[Mutation], ports: list[str]) -> None:
    steps = dict.fromkeys(one.step for one in found)
    cells = {(one.step, one.arch): _cell(one) for one in found}
    rows = [[step, *(cells.get((step, port), "no such step") for port in ports)] for step in steps]
    head = ["left out", *ports]
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    for row in [head, *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print()
    for one in found:
        if one.violation is not None:
            print(f"without {one.step}, {one.arch}, {one.scenario}: {one.violation.what}")
            print("\n".join(_schedule(one.violation)), end="\n\n")


def _cell(one: Mutation) -> str:
    if one.needed is None:
        return f"not decided: {one.executions:_} executions"
    if one.needed:
        return f"needed: {one.scenario}"
    return f"not needed: {one.executions:_} executions, complete"


def _schedule(violation: Violation) -> list[str]:
    return [
        f"  CPU{line.cpu}  {line.what}{f'  [{line.at}]' if line.at else ''}" for line in violation.schedule
    ]


def _text(scenario: str, report: Report) -> str:
    lines = [
        f"{scenario} on {report.arch} under {report.model}: CPU0 patches; "
        + "; ".join(f"CPU{cpu}: {names}" for cpu, names in enumerate(report.programs.split(" | "), 1))
    ]
    if report.dropped:
        lines.append(f"left out: {', '.join(report.dropped)}")
    lines.append("")
    for ending in report.outcomes:
        lines.append(
            f"{ending.executions:>8_}  "
            + "; ".join(f"CPU{cpu}: {text}" for cpu, text in enumerate(ending.cpus))
        )
    lines.append("")
    for one in report.violations:
        lines.append(f"VIOLATED in {one.executions:_} executions: {one.what}")
        if one is report.violations[0]:
            lines += _schedule(one)
        lines.append("")
    done = "complete" if report.complete else f"NOT complete, stopped by {report.stopped_by}"
    verdict = "holds" if report.holds else "violated" if report.violations else "not decided"
    lines.append(
        f"{verdict}: {report.executions:_} executions, {report.steps:_} decisions, {done},"
        f" {report.seconds:.1f} s"
    )
    return "\n".join(lines)


def _tell(line: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)


@contextmanager
def _progress(name: str) -> Iterator[Callable[[int, int], None] | None]:
    """Show progress on a terminal; nothing in a pipe."""
    if not sys.stderr.isatty():
        yield None
        return

    def show(steps: int, executions: int) -> Any:
        _tell(f"{name}: {executions:_} executions, {steps:_} decisions")

    yield show
    _tell("")
