"""What does a traced call cost on arm64 as tracers are added, next to what was published for hardware?

Published: Linux commit baaf553d3bc3 ("arm64: Implement HAVE_DYNAMIC_FTRACE_WITH_CALL_OPS"), overhead in ns
of an empty function called in a loop, measured in a VM on an Apple M1 with samples/ftrace/ftrace-ops.c: each
tracer is an ftrace_ops of its own, in one array, whose function does nothing; relevant ones are on the
function called, irrelevant ones on another. Here: the same loop, functions and ops on one CPU of the model
apple-m1, and of a Neoverse for comparison. Compared are cycles at the M1's clock, and quotients to one
relevant and one irrelevant tracer without CALL_OPS: with what was published less the ticks that other tasks
had of it (`arm64_published`), and with what was published as it stands, for runs made as those were, beside
another task (`arm64_turns`). No parameter was fitted to these numbers.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from numpy.typing import NDArray

from benchmarks.arm64_published import (
    CALLS,
    GHZ,
    TOTALS,
    UNTRACED,
    Key,
    Line,
    line_without_turns,
    overhead,
)
from benchmarks.arm64_tracees import LOOP, RELEVANT, address, traced
from benchmarks.arm64_turns import SCALE, WORK, Turns, run_beside_another
from benchmarks.harness import Result, Table, Target, main
from emu.build.contents import Call
from emu.trace.schema import PARTS

MODEL = "apple-m1"
OTHER = "neoverse-v2"
_BASE: Key = (False, 1, 1)
_NEAR = 0.25
"""How far off a quotient may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """One call of the traced function, on average: cycles from one to the next, and what they went into.

    Args:
        cycles: from call to call.
        instructions, mispredictions, misses: as many; misses are those of the first data cache.
        parts: cycles by `emu.trace.schema.PARTS`.
    """

    cycles: float
    instructions: float
    mispredictions: float
    misses: float
    parts: dict[str, float]


def cost_of_call(call_ops: bool, relevant: int, irrelevant: int, *, model: str, calls: int = 1_500) -> Cost:
    """Return what one call of the traced function costs with these tracers."""
    loop = Call(fn=LOOP, args=(500,), expected=0)
    machine = traced((call_ops, relevant, irrelevant), model=model, tick=50_000, workers=1, calls=[loop])
    since, clocks = machine.furthest_clock(), machine.kernel.engine.clocks
    assert clocks is not None, "there is a CPU model"
    before = clocks.counters(0)
    report = machine.run(calls=calls)
    assert report.ok, report.lines()
    after, rows = clocks.counters(0), machine.trace.calls
    mine = rows[(rows["site"] == address(machine, "tracees", RELEVANT)) & (rows["enter"] > since)]
    return Cost(
        cycles=_trimmed(np.diff(np.sort(mine["enter"]).astype(np.int64))),
        **{name: (after[name] - before[name]) / len(mine) for name in after},
        parts={name.removesuffix("_cycles"): _trimmed(mine[name]) for name in PARTS},
    )


def _trimmed(values: NDArray[Any]) -> float:
    """Return the mean without the greatest tenth: ticks, and other calls between two loops."""
    return float(np.mean(np.sort(values)[: len(values) * 9 // 10]))


def measure(quick: bool) -> Result:
    """Go through the published configurations."""
    line = line_without_turns(TOTALS)
    keys = [key for key in TOTALS if not quick or max(key[1:]) < 10]
    tables: list[Table] = []
    targets: list[Target] = []
    data: list[dict[str, object]] = []
    for model in [MODEL] if quick else [MODEL, OTHER]:
        untraced = cost_of_call(False, 0, 0, model=model).cycles
        costs = {key: cost_of_call(*key, model=model) for key in keys}
        overheads = {key: cost.cycles - untraced for key, cost in costs.items()}
        tables += [_cycles(model, untraced, overheads, line), _quotients(model, overheads, line)]
        if model == MODEL:
            runs = {key: run_beside_another(key, cost.cycles, model=model) for key, cost in costs.items()}
            beside = {key: run.total - CALLS * untraced / GHZ for key, run in runs.items()}
            tables += [_runs(runs, beside, line), _parts(model, costs)]
            targets = [
                *_targets(overheads, line, turns=False, of="published without turns of other tasks"),
                *_targets(beside, line, turns=True, of="published as it stands, beside another task"),
            ]
        data += [
            {"model": model, "call_ops": key[0], "relevant": key[1], "irrelevant": key[2]}
            | {"published_ns": overhead(key), "without_turns_ns": overhead(key, line.turns[key])}
            | {"untraced": untraced, "overhead": overheads[key]}
            | asdict(cost)
            for key, cost in costs.items()
        ]
    return Result(tables=tuple(tables), data={"rows": data}, targets=tuple(targets))


def _published(key: Key, line: Line, *, turns: bool) -> float:
    """Return a published overhead in ns, with other tasks' turns in it or without."""
    return overhead(key, 0 if turns else line.turns[key])


def _quotient(key: Key, line: Line, *, turns: bool) -> float:
    return _published(key, line, turns=turns) / _published(_BASE, line, turns=turns)


def _targets(ours: dict[Key, float], line: Line, *, turns: bool, of: str) -> list[Target]:
    found = []
    for key, cost in ours.items():
        off = cost / ours[_BASE] / _quotient(key, line, turns=turns) - 1
        if key != _BASE:
            what = f"{MODEL}, {_name(key)}: quotient within {_NEAR:.0%} of the {of}"
            found.append(Target(wanted=what, found=f"{off:+.0%}", met=abs(off) <= _NEAR))
    return found


def _name(key: Key) -> str:
    return f"{'CALL_OPS' if key[0] else 'no CALL_OPS'}, {key[1]} relevant, {key[2]} irrelevant"


def _cycles(model: str, untraced: float, overheads: dict[Key, float], line: Line) -> Table:
    rows = [
        (
            _name(key),
            *(f"{overhead(key):,.2f}", f"{line.turns[key]}", f"{_published(key, line, turns=False):,.2f}"),
            *(f"{GHZ * _published(key, line, turns=False):,.1f}", f"{ours:,.1f}"),
            f"{ours / (GHZ * _published(key, line, turns=False)) - 1:+.0%}",
        )
        for key, ours in overheads.items()
    ]
    theirs = GHZ * UNTRACED[False] / CALLS
    return Table(
        title=f"Overhead of a traced call, {model}; untraced {untraced:.1f} cycles, published {theirs:.1f}",
        columns=(
            *("tracers", "published, ns", "ticks lost by its run", "without them, ns"),
            *(f"cycles at {GHZ} GHz", "here, cycles", "off by"),
        ),
        rows=tuple(rows),
    )


def _quotients(model: str, overheads: dict[Key, float], line: Line) -> Table:
    rows = []
    for key, cycles in overheads.items():
        ours = cycles / overheads[_BASE]
        theirs = {turns: _quotient(key, line, turns=turns) for turns in (False, True)}
        rows.append(
            (
                *(_name(key), f"{ours:.3f}"),
                *(f"{theirs[False]:.3f}", f"{ours / theirs[False] - 1:+.0%}"),
                *(f"{theirs[True]:.3f}", f"{ours / theirs[True] - 1:+.0%}"),
            )
        )
    return Table(
        title=f"Quotients to {_name(_BASE)}, {model}",
        columns=("tracers", "here", "published without turns", "off by", "published as it stands", "off by"),
        rows=tuple(rows),
    )


def _runs(runs: dict[Key, Turns], beside: dict[Key, float], line: Line) -> Table:
    rows = []
    for key, run in runs.items():
        theirs, ours = _quotient(key, line, turns=True), beside[key] / beside[_BASE]
        rows.append(
            (
                *(_name(key), f"{TOTALS[key] / 1e6:.3f}", f"{line.turns[key]}"),
                *(f"{run.total / 1e6:.3f}", f"{run.lost}", f"{run.total / TOTALS[key] - 1:+.0%}"),
                *(f"{theirs:.3f}", f"{ours:.3f}", f"{ours / theirs - 1:+.0%}"),
            )
        )
    return Table(
        title=f"Runs of {CALLS:,} calls beside a task that computes for {WORK} ticks, {MODEL}; "
        f"simulated at 1 : {SCALE}",
        columns=(
            *("tracers", "published, ms", "ticks lost", "here, ms", "ticks lost", "off by"),
            *("published quotient", "here", "off by"),
        ),
        rows=tuple(rows),
    )


def _parts(model: str, costs: dict[Key, Cost]) -> Table:
    shown = ("save", "handler", "walk", "restore", "mispredict")
    rows = [
        (
            _name(key),
            *(f"{cost.instructions:,.0f}", f"{cost.mispredictions:.1f}", f"{cost.misses:.1f}"),
            *(f"{cost.parts[part]:,.0f}" for part in shown),
        )
        for key, cost in costs.items()
    ]
    return Table(
        title=f"What a call of the traced function went into, {model}; parts in cycles",
        columns=("tracers", "instructions", "mispredictions", "L1D misses", *shown),
        rows=tuple(rows),
    )


if __name__ == "__main__":
    main(__doc__, measure)
