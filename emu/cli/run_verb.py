"""``klpemu run``: the main job."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from emu.cli.exits import DONE, NO

if TYPE_CHECKING:
    from emu.lab.scenario import Scenario

DEMONSTRATION = "demo"


def _option(name: str, text: str, default: object, kind: type = str) -> Callable[[Any], Any]:
    """Return an option for a key of scenarios; ``default`` is that of the key, for its help alone."""
    return click.option(name, type=kind, help=f"{text}  [default: {default}]")


@click.command(name="run")
@click.argument("scenario", default=DEMONSTRATION)
@_option("--arch", "Port: x86_64 or arm64.", "x86_64")
@_option("--flavour", "Which Linux livepatch is as in: linux-6.1 or linux-6.17.", "linux-6.1")
@_option("--cpus", "Number of CPUs, 1 to 64.", 4, int)
@_option("--calls", "Traced calls to complete.", 20_000, int)
@_option(
    "--timing",
    "CPU model, see 'klpemu list cpu-models', or a .toml file: every CPU gets a cycle-level clock. "
    "off: one cycle each.",
    "off",
)
@_option(
    "--ordering",
    "Memory model: sc (in order), tso or arm64.",
    "sc; with --mode exact: what the port's hardware may show",
)
@_option("--seed", "Seed of everything that is drawn.", 1, int)
@_option("--mode", "fast, or exact: a switch at any instruction.", "fast; with --timing NAME: exact")
@_option(
    "--schedule",
    "Exact mode: least-clock, random, round-robin or quantum.",
    "quantum; with --mode exact: random; with --timing NAME: least-clock",
)
@_option("--fetch", "Stale instruction fetch: random, stale, eager, head or tail.", "random")
@click.option("--fixed", "is_fixed", is_flag=True, help="Without the scenario's defect.")
@click.option("--out", type=click.Path(path_type=Path), help="Record the trace in this directory.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(
    scenario: str,
    arch: str | None,
    flavour: str | None,
    cpus: int | None,
    calls: int | None,
    timing: str | None,
    ordering: str | None,
    seed: int | None,
    mode: str | None,
    schedule: str | None,
    fetch: str | None,
    is_fixed: bool,
    out: Path | None,
    as_json: bool,
) -> int:
    """Run SCENARIO (a name, see 'klpemu list scenarios', or a .toml file) and say what happened.

    incident:NAME, see 'klpemu list incidents', runs an incident with its defect; with --fixed, or as
    incident:NAME/fixed, without it.

    Without an argument: a demonstration (demo). Four CPUs call kernel functions while a patch is
    enabled and later disabled.

    Options replace what the scenario says; their defaults are for what it does not say.
    """
    from emu.lab.incidents import FIXED, PREFIX, fixed, load_named

    options = {
        "arch": arch, "cpus": cpus, "calls": calls, "seed": seed, "mode": mode, "schedule": schedule,
        "fetch": fetch, "ordering": ordering, "timing": timing, "flavour": flavour,
    }  # fmt: skip
    if scenario.startswith(PREFIX):
        from emu.lab.explorer.incidents import refuse_to_run

        refuse_to_run(scenario)
    loaded = load_named(scenario)
    if is_fixed and not scenario.endswith(f"/{FIXED}"):
        loaded = fixed(loaded)
    chosen = _stretched(loaded.with_options(options), loaded.calls)
    _compile(chosen.on_its_port())
    from emu.lab.run import run_scenario

    with _progress(chosen.calls) as advance:
        outcome = run_scenario(chosen, out=out, progress=advance)
    if as_json:
        print(json.dumps(outcome.to_json(), indent=2))
    else:
        from emu.cli.run_text import print_outcome

        print_outcome(outcome)
    return DONE if outcome.ok else NO


def _stretched(scenario: Scenario, calls: int) -> Scenario:
    """Move the steps in proportion when the number of calls was changed."""
    from dataclasses import replace

    if scenario.calls == calls:
        return scenario
    steps = tuple(
        replace(step, after_calls=step.after_calls * scenario.calls // calls) for step in scenario.steps
    )
    return replace(scenario, steps=steps)


def _compile(chosen: Scenario) -> None:
    """Compile what a run needs and no run before it needed, and say so."""
    from emu.compiled import is_compiled
    from emu.lab.scenario_values import OFF

    if not is_compiled():
        print("klpemu: compiling the engine, once after installation (about 10 s) ...", file=sys.stderr)
        from emu.machine.first_compilation import compile_engine

        compile_engine(exact=chosen.mode == "exact")
    needed = ["ordering_hooks."] if chosen.memory_ordering != "sc" else []
    if chosen.mode == "exact":
        needed.append("hooks.on_instruction" if chosen.timing == OFF else "timed.on_timed_instruction")
    if not all(map(is_compiled, needed)):
        print("klpemu: compiling for this kind of run, once (10 to 20 s) ...", file=sys.stderr)


@contextmanager
def _progress(calls: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on a terminal; nothing in a pipe."""
    if not sys.stderr.isatty():
        yield lambda _calls: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("calls", total=calls)
        yield lambda done: bar.update(task, completed=done)
