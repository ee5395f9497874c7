"""What the operations of an installation cost the CPU that plays them, by the cycle model."""

from __future__ import annotations

from emu.machine.engine import Engine
from emu.machine.operations import Barrier, Operation, OpKind

_LOADS = frozenset({OpKind.LOAD, OpKind.ATOMIC_ADD, OpKind.SET_BIT, OpKind.CLEAR_BIT})
_STORES = frozenset({OpKind.STORE, OpKind.TEXT_STORE, OpKind.ATOMIC_ADD, OpKind.SET_BIT, OpKind.CLEAR_BIT})


def spend_time(engine: Engine, cpu: int, operation: Operation) -> None:
    """Let ``cpu`` take the time of an operation, and other CPUs lose the lines that it stores to.

    A port's ``operations`` say which instruction each is. Allocation, logging and callbacks are Python's and
    take none; waiting and calls take what the guest executes meanwhile.
    """
    clocks = engine.clocks
    if clocks is None:
        return
    kind = operation.kind
    name = operation.barrier.name if operation.barrier is not None else kind.name
    code = engine.port.operations.get(name)
    if code is not None:
        load = operation.address if kind in _LOADS else -1
        store = operation.address if kind in _STORES else -1
        if name == Barrier.MB.name:  # where it is a locked instruction, it is one on the stack
            load = store = engine.read_register(cpu, engine.port.registers.sp)
        clocks.run_as(cpu, code, load=load, store=store)
    if kind is OpKind.TEXT_STORE:
        clocks.poke(cpu, operation.address, operation.size)
    elif kind is OpKind.SYNC or operation.barrier is Barrier.ISB:
        clocks.serialise(cpu)
