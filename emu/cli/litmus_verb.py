"""``klpemu litmus``: every outcome of litmus tests."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from emu.cli.complaints import complain
from emu.cli.exits import BAD_INPUT, DONE, NO, SKIPPED
from emu.cli.seconds import Seconds
from emu.errors import EmuError

if TYPE_CHECKING:
    from emu.ordering.litmus import Result

SCHEMA = "klpemu.litmus/1"


@click.command(name="litmus")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--model", type=click.Choice(["auto", "sc", "tso", "arm64"]), default="auto", show_default=True,
    help="Memory model; auto: x86-TSO for X86_64, the Arm model for AArch64.",
)  # fmt: skip
@click.option(
    "--unroll",
    type=click.IntRange(0, 50),
    default=2,
    show_default=True,
    help="How often a backward jump is taken.",
)
@click.option("--max-seconds", type=Seconds(), help="Stop a test after about so long.")
@click.option("--max-executions", type=click.IntRange(1), help="Stop a test after so many executions.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document per test, one per line.")
def command(
    files: tuple[str, ...], model: str, unroll: int, max_seconds: float | None, max_executions: int | None,
    as_json: bool,
) -> int:  # fmt: skip
    """Print all final states that the memory model allows litmus tests, and what they ask.

    Tests are for AArch64 or X86_64. A file that can't be read is told on stderr and the
    others are run all the same; the exit code is then 2, or 4 if all it needs is not modelled.
    With a budget the exit code is 1 if a test was not run to its end.
    """
    from emu.ordering.budget import Budget
    from emu.ordering.litmus import UnsupportedTestError, run_text
    from emu.ordering.models import Model

    chosen = None if model == "auto" else Model(model)
    worst = DONE
    for name in files:
        try:
            written = _text(name)
            _tell_of_compiling()
            budget = Budget(seconds=max_seconds, executions=max_executions, progress=_progress(name))
            result = run_text(written, name, model=chosen, unroll=unroll, budget=budget)
        except UnsupportedTestError as error:
            complain(str(error))
            worst = worst if worst == BAD_INPUT else SKIPPED
            continue
        except EmuError as error:
            complain(str(error))
            worst = BAD_INPUT
            continue
        if not result.complete and worst == DONE:
            worst = NO
        print(
            json.dumps(document(result, name), separators=(",", ":")) if as_json else text(result), flush=True
        )
    return worst


def _text(name: str) -> str:
    try:
        found = Path(name).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise EmuError(f"{name}: not a text file: byte {error.start} is not UTF-8") from None
    except IsADirectoryError:
        raise EmuError(f"{name}: is a directory; name the files in it, such as {name}/*.litmus") from None
    except OSError as error:
        raise EmuError(f"{name}: {(error.strerror or 'can not be read').lower()}") from None
    if "\0" in found:
        raise EmuError(f"{name}: not a text file: byte {found.encode().index(0)} is 0")
    return found


@cache
def _tell_of_compiling() -> None:
    """Say once why the first test takes so long."""
    from emu.compiled import is_compiled

    if not is_compiled("search.search"):
        complain("compiling the explorer, once after installation (about 20 s) ...")


def _progress(name: str) -> Callable[[int, int], None] | None:
    """Return what shows progress on a terminal; None if stderr is none."""
    if not sys.stderr.isatty():
        return None

    def show(steps: int, executions: int) -> None:
        print(f"\r{name}: {executions:_} executions, {steps:_} steps", end="\r", file=sys.stderr, flush=True)

    return show


def document(result: Result, name: str) -> dict[str, Any]:
    """Return a result as the JSON document of the command line.

    Args:
        result: of a test.
        name: of its file.
    """
    return {
        "schema": SCHEMA,
        "name": result.name,
        "arch": result.arch,
        "model": result.model,
        "quantifier": result.quantifier,
        "observation": result.observation,
        "verdict": result.verdict,
        "positive": result.positive,
        "negative": result.negative,
        "states": result.states,
        "flags": result.flags,
        "ms": round(result.ms, 3),
        "condition": result.condition,
        "complete": result.complete,
        "file": name,
    }


def text(result: Result) -> str:
    """Return a result in the form that herd7 prints, with one line per state.

    Args:
        result: of a test.
    """
    kind = {"exists": "Allowed", "~exists": "Forbidden", "forall": "Required"}[result.quantifier]
    met, missed = result.met
    holds = {"exists": met > 0, "~exists": met == 0, "forall": missed == 0}[result.quantifier]
    lines = [f"Test {result.name} {kind}", f"States {len(result.states)}"]
    for state in result.states:
        lines.append(" ".join(_entry(key, value) for key, value in state.items()))
    lines.append("Ok" if holds else "No")
    lines += ["Witnesses", f"Positive: {result.positive} Negative: {result.negative}"]
    lines += [f"Flag {flag}" for flag in result.flags]
    lines.append(f"Condition {result.quantifier} ({result.condition})")
    lines.append(f"Observation {result.name} {result.observation} {met} {missed}")
    lines.append(f"Verdict {result.name} {result.verdict} under {result.model}")
    if not result.complete:
        lines.append(f"Incomplete {result.name}: stopped by a budget")
    lines.append(f"Time {result.name} {result.ms / 1000:.3f}")
    return "\n".join(lines) + "\n"


def _entry(key: str, value: int | str) -> str:
    if key.startswith("Fault("):
        return f"{key};" if value else f"~{key};"
    return f"{key}={value};"
