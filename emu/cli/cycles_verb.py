"""``klpemu cycles``: cycles of a piece of code, predicted and measured."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from emu.cli.exits import DONE
from emu.units import counted

if TYPE_CHECKING:
    from emu.lab.cycles.host import Measured
    from emu.lab.cycles.piece import Piece
    from emu.lab.cycles.predict import Line, Prediction

SCHEMA = "klpemu.cycles/1"
DEFAULT_MODELS = {"x86_64": "zen4", "arm64": "neoverse-n1"}

_UNITS = {"loop": "iteration of the loop", "iteration": "iteration", "call": "call"}


@click.command(name="cycles")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--arch", help="Port of the code; of an ELF file its own, of sources x86_64 if not given.")
@click.option(
    "--cpu-model", "cpu_model", metavar="NAME", help="See 'klpemu list cpu-models'; or a .toml file."
)
@click.option(
    "--entry", metavar="SYM", help="Function to call; the only global one if not given, else .text."
)
@click.option("--loop", metavar="SYM", help="Measure the loop that begins at SYM, not the whole function.")
@click.option("--native", is_flag=True, help="Run the same bytes on this CPU, too. The code can do anything.")
@click.option("--compare", is_flag=True, help="Two files side by side, per stage.")
@click.option("--view", is_flag=True, help="Show every instruction of an iteration in the pipeline.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(
    files: tuple[Path, ...],
    arch: str | None,
    cpu_model: str | None,
    entry: str | None,
    loop: str | None,
    native: bool,
    compare: bool,
    view: bool,
    as_json: bool,
) -> int:
    """Predict the cycles of the code in FILE: assembly (.s, .S), C, an object or an ELF file.

    The code is called as a function: rdi (x0) = iterations, rsi (x1) = a zeroed, page-aligned area of
    64 KiB; it returns normally. Without --loop the whole function is taken, per iteration; code that
    ignores the number of iterations is taken per call. Lines are what one iteration spends at each symbol.
    """
    if len(files) != (2 if compare else 1):
        raise click.UsageError("--compare takes two files" if compare else "one FILE, or --compare and two")
    documents = [_one(path, arch, cpu_model, entry, loop, native) for path in files]
    if as_json:
        plain = [_document(*found) for found in documents]
        print(json.dumps({"schema": SCHEMA, "compare": plain} if compare else plain[0], indent=2))
        return DONE
    for found in documents:
        _print(*found, view=view)
    if compare:
        _print_compared(documents)
    return DONE


def _one(
    path: Path, arch: str | None, cpu_model: str | None, entry: str | None, loop: str | None, native: bool
) -> tuple[Piece, Prediction, Measured | None]:
    from emu.compiled import is_compiled
    from emu.lab.cycles.host import host_model, measure
    from emu.lab.cycles.piece import read_piece
    from emu.lab.cycles.predict import Predictor

    piece = read_piece(path, arch, entry)
    model = DEFAULT_MODELS[piece.port.name] if cpu_model is None else cpu_model
    predictor = Predictor(piece, model)
    if not is_compiled("step.step"):
        print("compiling the cycle model; once after an installation", file=sys.stderr)
    found = predictor.predict(loop)
    measured = measure(piece, once=found.unit == "call") if native else None
    if measured is not None and host_model() != model:
        print(f"this host is no {model}: {measured.cpu}", file=sys.stderr)
    return piece, found, measured


def _print(piece: Piece, found: Prediction, measured: Measured | None, *, view: bool) -> None:
    from emu.lab.cycles.stages import stages

    click.echo(
        f"{piece.path}: {found.cycles:.2f} cycles per {_UNITS[found.unit]} on {found.cpu_model}, "
        f"{found.instructions:.2f} instructions, {found.mispredicts:.2f} mispredictions"
    )
    if measured is not None:
        error = (
            f"; predicted {100 * (found.cycles / measured.cycles - 1):+.1f} %" if measured.cycles > 0 else ""
        )
        click.echo(
            f"  measured on {measured.cpu}: {measured.cycles:.2f} cycles, "
            f"{measured.low:.2f} to {measured.high:.2f} in {counted(measured.samples, 'sample')} "
            f"({measured.rejected} disturbed){error}"
        )
    spent = stages(piece, found)
    width = max((len(name) for name in spent), default=0)
    for name, cycles in spent.items():
        click.echo(f"  {name:<{width}}  {cycles:>6}")
    if view:
        click.echo()
        _print_view(piece, found.lines)


def _print_view(piece: Piece, lines: tuple[Line, ...]) -> None:
    click.echo("  fetch dispatch ready issue complete retire  instruction")
    before = ""
    for line in lines:
        stretch = piece.stretch_at(line.address)
        if line.symbol or stretch != before:  # it begins, or is returned to
            click.echo(f"{stretch}:")
        before = stretch
        waits = _waits(line)
        text = (
            f"  {line.fetch:>5} {line.dispatch:>8} {line.ready:>5} {line.issue:>5} {line.complete:>8} "
            f"{line.retire:>6}  {line.text:<40}  {waits}"
        )
        click.echo(text.rstrip())


def _waits(line: Line) -> str:
    from emu.timing import Wait

    words = {
        Wait.WIDTH: "width", Wait.FETCH: "fetch", Wait.MISPREDICT: "mispredicted branch before",
        Wait.CODE: "code not in cache", Wait.ROB: "reorder buffer", Wait.QUEUE: "load or store queue",
        Wait.MICROCODE: "microcode", Wait.DRAIN: "serialising", Wait.SOURCE: "register",
        Wait.ADDRESS: "address", Wait.FORWARD: "store it loads from", Wait.FORWARD_FAIL: "failed forwarding",
        Wait.CACHE: "cache", Wait.OTHER_CPU: "another CPU's line", Wait.PORT: "port",
        Wait.LOCK: "lock or barrier",
        Wait.SCHEDULER: "scheduler",
    }  # fmt: skip
    parts = []
    if line.dispatch_wait in words:
        parts.append(f"dispatch: {words[Wait(line.dispatch_wait)]}")
    if line.issue_wait in words:
        parts.append(f"issue: {words[Wait(line.issue_wait)]}")
    if line.mispredicted:
        parts.append("mispredicted")
    return ", ".join(parts)


def _print_compared(documents: list[tuple[Piece, Prediction, Measured | None]]) -> None:
    from emu.lab.cycles.stages import stages

    spent = [stages(piece, found) for piece, found, _ in documents]
    names = list(dict.fromkeys([*spent[0], *spent[1]]))
    width = max((len(name) for name in names), default=5)
    click.echo()
    click.echo(f"  {'stage':<{width}}  {'first':>8}  {'second':>8}  {'change':>8}")
    for name in names:
        first, second = (stage.get(name, 0) for stage in spent)
        click.echo(f"  {name:<{width}}  {first:>8}  {second:>8}  {second - first:>+8}")
    before, after = (found.cycles for _, found, _ in documents)
    click.echo(f"  {'together':<{width}}  {before:>8.2f}  {after:>8.2f}  {after - before:>+8.2f}")


def _document(piece: Piece, found: Prediction, measured: Measured | None) -> dict[str, object]:
    from emu.lab.cycles.stages import stages
    from emu.timing import Wait

    native = None
    if measured is not None:
        native = {
            "cycles_per_iteration": measured.cycles,
            "low": measured.low,
            "high": measured.high,
            "samples": measured.samples,
            "rejected": measured.rejected,
            "cpu": measured.cpu,
        }
    return {
        "schema": SCHEMA,
        "file": str(piece.path),
        "arch": piece.port.name,
        "cpu_model": found.cpu_model,
        "unit": found.unit,
        "cycles_per_iteration": found.cycles,
        "instructions_per_iteration": found.instructions,
        "mispredicts_per_iteration": found.mispredicts,
        "native": native,
        "stages": stages(piece, found),
        "instructions": [
            {
                "address": line.address,
                "text": line.text,
                "symbol": line.symbol,
                "fetch": line.fetch,
                "dispatch": line.dispatch,
                "ready": line.ready,
                "issue": line.issue,
                "complete": line.complete,
                "retire": line.retire,
                "dispatch_wait": Wait(line.dispatch_wait).name.lower(),
                "issue_wait": Wait(line.issue_wait).name.lower(),
                "mispredicted": line.mispredicted,
            }
            for line in found.lines
        ],
    }
