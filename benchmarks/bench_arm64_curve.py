"""What does a traced call cost on arm64 as tracers are added, next to what was published for hardware?

Published: Linux commit baaf553d3bc3 ("arm64: Implement HAVE_DYNAMIC_FTRACE_WITH_CALL_OPS"), overhead in ns
of an empty function called in a loop, measured on one machine with samples/ftrace/ftrace-ops.c: each
tracer is an ftrace_ops of its own whose function does nothing; relevant ones are on the function called,
irrelevant ones on another. Here: the same loop, functions and ops on one CPU of one CPU model. Cycles
have no nanoseconds, so what is compared are quotients to one relevant and one irrelevant tracer without
CALL_OPS. Nothing was fitted to these numbers.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from benchmarks.harness import Result, Table, Target, main
from emu.build.asm.assembler import Unit
from emu.build.contents import Call
from emu.ftrace import OpsFlags
from emu.lab.machine import Machine
from emu.structs import FTRACE_OPS

MODEL = "neoverse-v2"
_BASE = (False, 1, 1)

# (CALL_OPS, relevant, irrelevant) -> overhead, ns
PUBLISHED = {
    (False, 1, 0): 13.4,
    _BASE: 63.7,
    (False, 1, 100): 1063.0,
    (True, 1, 0): 1.86,
    (True, 1, 1): 1.86,
    (True, 1, 100): 1.86,
    (True, 2, 0): 64.0,
    (True, 10, 0): 186.0,
    (True, 100, 0): 1035.0,
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


def cycles_per_call(
    call_ops: bool, relevant: int, irrelevant: int, *, model: str = MODEL, calls: int = 1_500
) -> float:
    """Return the cycles from one call of the traced function to the next, median."""
    machine = Machine(
        arch="arm64", cpus=1, workers=1, users=0, timing=model, call_ops=call_ops, tick=50_000, seed=1
    )
    sources = {
        "tracee_irrelevant": _TRACEE.format(name="tracee_irrelevant"),
        "tracee_relevant": _TRACEE.format(name="tracee_relevant"),
        "call_tracee": _LOOP,
    }
    machine.add_module(
        "curve",
        [Unit(name=name, text=text, origin=name) for name, text in sources.items()],
        calls=[Call(fn="call_tracee", args=(500,), expected=0)],
    )
    assert machine.wait(machine.load("curve")) == 0
    guest, ftrace = machine.kernel.guest, machine.ftrace

    def site_of(name: str) -> int:
        return machine.kallsyms.find("curve", name)[0].address

    def register() -> int:
        for name, count in (("tracee_relevant", relevant), ("tracee_irrelevant", irrelevant)):
            for _ in range(count):
                ops = ftrace.ops(guest.alloc(FTRACE_OPS.size, "ftrace_ops"))
                ops.view["func"] = machine.kernel.image.address("ftrace_stub")
                ops.view["flags"] = OpsFlags.DYNAMIC
                assert ftrace.ftrace_set_filter_ip(ops, site_of(name)) == 0
                assert ftrace.register_ftrace_function(ops) == 0
        return 0

    assert machine.wait(machine.kernel.installer.submit("register", register)) == 0
    since = machine.furthest_clock()
    report = machine.run(calls=calls)
    assert report.ok, report.lines()
    rows = machine.trace.calls
    mine = rows[(rows["site"] == site_of("tracee_relevant")) & (rows["enter"] > since)]
    return float(np.mean(np.sort(np.diff(np.sort(mine["enter"]).astype(np.int64)))[: len(mine) * 9 // 10]))


def measure(quick: bool) -> Result:
    """Go through the published configurations."""
    untraced = cycles_per_call(False, 0, 0)
    wanted = {key: ns for key, ns in PUBLISHED.items() if not quick or max(key[1:]) < 100}
    found = {key: cycles_per_call(*key) - untraced for key in wanted}
    rows, targets, data = [], [], []
    for key, ns in wanted.items():
        ours, theirs = found[key] / found[_BASE], ns / PUBLISHED[_BASE]
        error = ours / theirs - 1
        what = f"{'CALL_OPS' if key[0] else 'no CALL_OPS'}, {key[1]} relevant, {key[2]} irrelevant"
        rows.append(
            (
                what,
                f"{ns:,.1f}",
                f"{found[key]:,.1f}",
                f"{theirs:.3f}",
                f"{ours:.3f}",
                f"{100 * error:+.0f} %",
            )
        )
        data.append(
            {"call_ops": key[0], "relevant": key[1], "irrelevant": key[2], "cycles": found[key], "ns": ns}
        )
        if key != _BASE:
            targets.append(
                Target(
                    wanted=f"{what}: quotient within 25 % of the published",
                    found=f"{100 * error:+.0f} %",
                    met=abs(error) <= 0.25,
                )
            )
    table = Table(
        title=f"Overhead of a traced call, {MODEL}; untraced {untraced:.1f} cycles, published {UNTRACED} ns",
        columns=("tracers", "published, ns", "here, cycles", "published quotient", "here", "off by"),
        rows=tuple(rows),
    )
    return Result(
        tables=(table,), data={"model": MODEL, "untraced": untraced, "rows": data}, targets=tuple(targets)
    )


if __name__ == "__main__":
    main(__doc__, measure)
