"""What does a traced call cost on arm64 as tracers are added, next to what was published for hardware?

Published: Linux commit baaf553d3bc3 ("arm64: Implement HAVE_DYNAMIC_FTRACE_WITH_CALL_OPS"), overhead in ns
of an empty function called in a loop, measured in a VM on an Apple M1 with samples/ftrace/ftrace-ops.c: each
tracer is an ftrace_ops of its own, in one array, whose function does nothing; relevant ones are on the
function called, irrelevant ones on another. Here: the same loop, functions and ops on one CPU of one CPU
model. Cycles have no nanoseconds, so what is compared are quotients to one relevant and one irrelevant
tracer without CALL_OPS. Nothing was fitted to these numbers.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Result, Table, Target, main
from emu.build.asm.assembler import Unit
from emu.build.contents import Call
from emu.ftrace import OpsFlags
from emu.lab.machine import Machine
from emu.structs import FTRACE_OPS
from emu.trace.schema import PARTS

MODELS = ("neoverse-n1", "neoverse-v2")  # cortex-a76 is as neoverse-n1
Key = tuple[bool, int, int]  # CALL_OPS, relevant, irrelevant
_BASE: Key = (False, 1, 1)

PUBLISHED: dict[Key, float] = {  # overhead, ns
    (False, 1, 0): 13.37,
    _BASE: 63.73,
    (False, 1, 2): 74.15,
    (False, 1, 10): 236.92,
    (False, 1, 100): 1063.38,
    (False, 2, 0): 63.62,
    (False, 10, 0): 226.22,
    (False, 100, 0): 1031.99,
    (True, 1, 0): 1.86,
    (True, 1, 1): 1.86,
    (True, 1, 100): 1.87,
    (True, 2, 0): 64.08,
    (True, 10, 0): 185.87,
    (True, 100, 0): 1034.56,
}
UNTRACED = 0.94  # ns, of a call with its loop

_TRACEE = """
	.balign	0x8
	.8byte	0x0
	.global	{name}
{name}:
	.global	__mcount_loc_{name}
__mcount_loc_{name}:
	nop
	nop
	ret
"""
_LOOP = """
	.balign	0x8
	.global	call_tracee
call_tracee:
	stp	x29, x30, [sp, #-0x20]!
	mov	x29, sp
	str	x19, [sp, #0x10]
	mov	x19, x0
.Lagain:
	bl	tracee_relevant
	subs	x19, x19, #0x1
	b.ne	.Lagain
	ldr	x19, [sp, #0x10]
	ldp	x29, x30, [sp], #0x20
	mov	x0, #0x0
	ret
"""


_TRACEES = ("tracee_relevant", "tracee_irrelevant")


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
    machine = Machine(
        arch="arm64", cpus=1, workers=1, users=0, timing=model, call_ops=call_ops, tick=50_000, seed=1
    )
    machine.add_module("tracees", [_unit(name, _TRACEE.format(name=name)) for name in _TRACEES])
    machine.add_module(
        "curve", [_unit("call_tracee", _LOOP)], calls=[Call(fn="call_tracee", args=(500,), expected=0)]
    )
    assert machine.wait(machine.load("tracees")) == 0
    for name, count in zip(_TRACEES, (relevant, irrelevant), strict=True):
        _trace(machine, name, count)
    assert machine.wait(machine.load("curve")) == 0  # now it is called
    since, clocks = machine.furthest_clock(), machine.kernel.engine.clocks
    assert clocks is not None, "there is a CPU model"
    before = clocks.counters(0)
    report = machine.run(calls=calls)
    assert report.ok, report.lines()
    after, rows = clocks.counters(0), machine.trace.calls
    mine = rows[(rows["site"] == _site(machine, _TRACEES[0])) & (rows["enter"] > since)]
    return Cost(
        cycles=_trimmed(np.diff(np.sort(mine["enter"]).astype(np.int64))),
        **{name: (after[name] - before[name]) / len(mine) for name in after},
        parts={name.removesuffix("_cycles"): _trimmed(mine[name]) for name in PARTS},
    )


def _unit(name: str, text: str) -> Unit:
    return Unit(name=name, text=text, origin=name)


def _site(machine: Machine, name: str) -> int:
    return machine.kallsyms.find("tracees", name)[0].address


def _trace(machine: Machine, name: str, count: int) -> None:
    """Register so many tracers of a function: one array of ops, as kcalloc makes it in the sample."""
    guest, ftrace, site = machine.kernel.guest, machine.ftrace, _site(machine, name)

    def register() -> int:
        array = guest.alloc(FTRACE_OPS.size * count, "sample_ops")
        for address in range(array, array + FTRACE_OPS.size * count, FTRACE_OPS.size):
            ops = ftrace.ops(address)
            ops.view["func"] = machine.kernel.image.address("ftrace_stub")
            ops.view["flags"] = OpsFlags.DYNAMIC
            assert ftrace.ftrace_set_filter_ip(ops, site) == 0
            assert ftrace.register_ftrace_function(ops) == 0
        return 0

    if count:
        assert machine.wait(machine.kernel.installer.submit("register", register)) == 0


def _trimmed(values: NDArray[Any]) -> float:
    """Return the mean without the greatest tenth: ticks, and other calls between two loops."""
    return float(np.mean(np.sort(values)[: len(values) * 9 // 10]))


def measure(quick: bool) -> Result:
    """Go through the published configurations."""
    tables: list[Table] = []
    targets: list[Target] = []
    data: list[dict[str, object]] = []
    wanted = [key for key in PUBLISHED if not quick or max(key[1:]) < 10]
    for model in MODELS[:1] if quick else MODELS:
        untraced = cost_of_call(False, 0, 0, model=model).cycles
        costs = {key: cost_of_call(*key, model=model) for key in wanted}
        overheads = {key: cost.cycles - untraced for key, cost in costs.items()}
        quotients = {
            key: (PUBLISHED[key] / PUBLISHED[_BASE], overhead / overheads[_BASE])
            for key, overhead in overheads.items()
        }
        tables += [_quotients(model, untraced, overheads, quotients), _parts(model, costs)]
        targets += [
            Target(
                wanted=f"{model}, {_name(key)}: quotient within 25 % of the published",
                found=_error(theirs, ours),
                met=abs(ours / theirs - 1) <= 0.25,
            )
            for key, (theirs, ours) in quotients.items()
            if key != _BASE
        ]
        data += [
            {"model": model, "call_ops": key[0], "relevant": key[1], "irrelevant": key[2]}
            | {"published_ns": PUBLISHED[key], "untraced": untraced, "overhead": overheads[key]}
            | asdict(cost)
            for key, cost in costs.items()
        ]
    return Result(tables=tuple(tables), data={"rows": data}, targets=tuple(targets))


def _name(key: Key) -> str:
    return f"{'CALL_OPS' if key[0] else 'no CALL_OPS'}, {key[1]} relevant, {key[2]} irrelevant"


def _error(theirs: float, ours: float) -> str:
    return f"{100 * (ours / theirs - 1):+.0f} %"


def _quotients(
    model: str, untraced: float, overheads: dict[Key, float], quotients: dict[Key, tuple[float, float]]
) -> Table:
    rows = [
        (
            _name(key),
            *(f"{PUBLISHED[key]:,.2f}", f"{overhead:,.1f}", f"{theirs:.3f}", f"{ours:.3f}"),
            _error(theirs, ours),
        )
        for (key, overhead), (theirs, ours) in zip(overheads.items(), quotients.values(), strict=True)
    ]
    return Table(
        title=f"Overhead of a traced call, {model}; untraced {untraced:.1f} cycles, published {UNTRACED} ns",
        columns=("tracers", "published, ns", "here, cycles", "published quotient", "here", "off by"),
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
