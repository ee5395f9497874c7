"""The machine of the arm64 curve: two empty functions, tracers of each, and a loop that calls one of them."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.arm64_published import Key
from emu.build.asm.assembler import Unit
from emu.build.contents import Call
from emu.ftrace import OpsFlags
from emu.lab.machine import Machine
from emu.structs import FTRACE_OPS

RELEVANT, IRRELEVANT = "tracee_relevant", "tracee_irrelevant"
LOOP = "call_tracee"
"""Calls `RELEVANT` as often as its argument says."""
COMPUTE = "compute"
"""Computes for as many cycles as its argument says."""

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
_COMPUTE = """
	.balign	0x8
	.global	compute
compute:
	subs	x0, x0, #0x1
	b.ne	compute
	mov	x0, #0x0
	ret
"""


def traced(
    key: Key, *, model: str, tick: int, workers: int = 0, spare_tasks: int = 0, calls: Sequence[Call] = ()
) -> Machine:
    """Return a machine with one CPU on which the tracers of a row are registered.

    Args:
        key: the row.
        model: of the CPU.
        tick: cycles between ticks.
        workers: kernel threads that make ``calls``, and what else the image offers.
        spare_tasks: room for others.
        calls: see ``workers``.
    """
    call_ops, *counts = key
    machine = Machine(
        arch="arm64", cpus=1, workers=workers, users=0, spare_tasks=spare_tasks, timing=model,
        call_ops=call_ops, tick=tick, seed=1,
    )  # fmt: skip
    names = (RELEVANT, IRRELEVANT)
    machine.add_module("tracees", [_unit(name, _TRACEE.format(name=name)) for name in names])
    machine.add_module("curve", [_unit(LOOP, _LOOP), _unit(COMPUTE, _COMPUTE)], calls=list(calls))
    assert machine.wait(machine.load("tracees")) == 0
    for name, count in zip(names, counts, strict=True):
        _trace(machine, name, count)
    assert machine.wait(machine.load("curve")) == 0  # now it is called
    return machine


def address(machine: Machine, module: str, name: str) -> int:
    """Return where a function of a module is; of a traced one that is its site."""
    return machine.kallsyms.find(module, name)[0].address


def _unit(name: str, text: str) -> Unit:
    return Unit(name=name, text=text, origin=name)


def _trace(machine: Machine, name: str, count: int) -> None:
    """Register so many tracers of a function: one array of ops, as kcalloc makes it in the sample."""
    guest, ftrace, site = machine.kernel.guest, machine.ftrace, address(machine, "tracees", name)

    def register() -> int:
        array = guest.alloc(FTRACE_OPS.size * count, "sample_ops")
        for at in range(array, array + FTRACE_OPS.size * count, FTRACE_OPS.size):
            ops = ftrace.ops(at)
            ops.view["func"] = machine.kernel.image.address("ftrace_stub")
            ops.view["flags"] = OpsFlags.DYNAMIC
            assert ftrace.ftrace_set_filter_ip(ops, site) == 0
            assert ftrace.register_ftrace_function(ops) == 0
        return 0

    if count:
        assert machine.wait(machine.kernel.installer.submit("register", register)) == 0
