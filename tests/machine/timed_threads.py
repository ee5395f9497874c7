"""A few threads of machine code on CPUs with a cycle model, without a kernel."""

from __future__ import annotations

from collections.abc import Sequence

from emu.arch import port_named
from emu.build.memory_map import KERNEL_DATA, KERNEL_TEXT
from emu.machine import state as s
from emu.machine.engine import Engine
from emu.machine.registers import engine_cpu
from emu.machine.state import Fetch, Schedule, Stop
from emu.timing import load_cpu_model

SHARED = KERNEL_DATA.base + 0x1000
LINE = 64
_SPACING = 0x1000


def clocks_of(model: str, threads: Sequence[tuple[bytes, dict[str, int]]]) -> list[int]:
    """Run each thread (code, registers) to its end on a CPU of its own, and return the CPUs' clocks then."""
    cpu_model = load_cpu_model(model)
    port = port_named(cpu_model.arch)
    engine = Engine(
        port, cpus=len(threads), slots=[[at] for at in range(len(threads))], exact=True,
        schedule=Schedule.LEAST_CLOCK, fetch=Fetch.STALE, seed=1, quantum=1, tick=0, cpu_model=cpu_model,
    )  # fmt: skip
    pieces = [
        (KERNEL_TEXT.base + _SPACING * at, code + engine_cpu(port).halt)
        for at, (code, _) in enumerate(threads)
    ]
    engine.tables.describe(pieces)
    for cpu, ((address, code), (_, registers)) in enumerate(zip(pieces, threads, strict=True)):
        engine.fetch.load(address, code)
        for name, value in registers.items():
            engine.write_register(cpu, name, value)
        engine.write_register(cpu, port.registers.sp, engine.memory.stacks.base + 0x8000 * cpu + 0x5000)
        engine.blocks[cpu, s.CPU_PC] = address
    assert engine.run(instructions=1_000_000) is Stop.IDLE
    return [engine.clock(cpu) for cpu in range(len(threads))]
