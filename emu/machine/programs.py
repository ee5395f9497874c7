"""Small programs without a kernel: a few threads of machine code over shared words, run under a seed.

For questions to the machine itself: which outcomes does it show under an ordering?
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from emu.arch.port import Port
from emu.build.memory_map import KERNEL_DATA, KERNEL_STACK, KERNEL_TEXT, SLOT_SIZE, STACKS_BASE
from emu.machine import state as s
from emu.machine.engine import Engine
from emu.machine.ordering import scrambled
from emu.machine.registers import engine_cpu
from emu.machine.state import Fetch, Ordering, Schedule, Stop

SHARED_WORDS = KERNEL_DATA.base + 0x1000
"""Where programs may keep what their threads share: a page of data."""
_SPACING = 0x1000
"""Bytes from one thread's code to the next."""
_MARGIN = 64
"""NOPs before and behind a thread's code; it begins at any of those before, so that all places meet."""
_LIMIT = 100_000
"""Instructions of all threads after which a run is given up."""


def code_address(port: Port, thread: int) -> int:
    """Return where the code of a program's thread number ``thread``, from 0, stands."""
    return KERNEL_TEXT.base + _SPACING * thread + _MARGIN * len(port.site.nop)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """What one CPU runs.

    Args:
        code: machine code without branches out of it; it ends with its last byte.
        registers: what is in them at the start, by the port's names; the others hold 0.
    """

    code: bytes
    registers: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run of a program left behind.

    Args:
        registers: of each thread, all by the port's names, unsigned.
        memory: the 8 bytes at each address that was asked for, unsigned.
        complete: every thread came to its end.
    """

    registers: tuple[Mapping[str, int], ...]
    memory: Mapping[int, int]
    complete: bool


class Program:
    """Threads on CPUs of their own; `run` as often as you like.

    Args:
        port: whose code it is.
        threads: 1 to 64.
        ordering: one of the port's.
        observed: registers that outcomes have; None: all.

    Raises:
        ValueError: a thread's code is too long.
    """

    def __init__(
        self,
        port: Port,
        threads: Sequence[Thread],
        ordering: Ordering,
        *,
        observed: Sequence[str] | None = None,
    ) -> None:
        self._threads = threads
        self._engine = Engine(
            port, cpus=len(threads), slots=[[at] for at in range(len(threads))], exact=True,
            schedule=Schedule.RANDOM, fetch=Fetch.STALE, seed=0, quantum=1, tick=0, ordering=ordering,
        )  # fmt: skip
        everything = [name for name in port.registers.all if name != port.registers.pc]
        self._observed = everything if observed is None else list(observed)
        self._nop = len(port.site.nop)
        margin = port.site.nop * _MARGIN
        pieces = [
            (KERNEL_TEXT.base + _SPACING * at, margin + thread.code + margin + engine_cpu(port).halt)
            for at, thread in enumerate(threads)
        ]
        for address, code in pieces:
            if len(code) > _SPACING:
                raise ValueError(
                    f"a thread's code must fit {_SPACING:#x} bytes with its NOPs, not {len(code):#x}"
                )
            self._engine.fetch.load(address, code)
        self._engine.tables.describe(pieces)
        for cpu, thread in enumerate(threads):
            self._engine.write_register(
                cpu, port.registers.sp, STACKS_BASE + SLOT_SIZE * cpu + KERNEL_STACK[1]
            )
            for name, value in thread.registers.items():
                self._engine.write_register(cpu, name, value)
        self._saved = [self._engine.save_cpu(cpu) for cpu in range(len(threads))]
        self._start = self._engine.blocks.copy()

    def run(self, seed: int, memory: Mapping[int, int] | None = None) -> Outcome:
        """Run every thread once, in an order and with landings that come from ``seed``.

        Args:
            seed: same seed, same outcome.
            memory: address in the page at `SHARED_WORDS` -> 8 bytes there at the start; the others are 0.
        """
        engine, memory = self._engine, memory or {}
        engine.restore_blocks(self._start)
        engine.ctl[s.CTL_RANDOM] = scrambled(seed)
        engine.ctl[s.CTL_CURRENT] = -1
        engine.ctl[s.CTL_INSNS_DONE] = engine.ctl[s.CTL_EVENT_COUNT] = 0
        engine.order.restart(seed)
        engine.memory.write(SHARED_WORDS, bytes(0x1000))
        engine.memory.write(STACKS_BASE, bytes(SLOT_SIZE * len(self._threads)))
        for address, value in memory.items():
            engine.memory.store(address, value)
        starts = random.Random(seed)
        for cpu, saved in enumerate(self._saved):
            engine.restore_cpu(cpu, saved)
            skipped = self._nop * starts.randrange(_MARGIN)
            engine.blocks[cpu, s.CPU_PC] = KERNEL_TEXT.base + _SPACING * cpu + skipped
        complete = engine.run(instructions=_LIMIT) is Stop.IDLE
        mask = (1 << 64) - 1
        return Outcome(
            registers=tuple(
                {name: engine.read_register(cpu, name) & mask for name in self._observed}
                for cpu in range(len(self._threads))
            ),
            memory={address: engine.memory.load(address) for address in memory},
            complete=complete,
        )


def run_program(
    port: Port, threads: Sequence[Thread], ordering: Ordering, seed: int, memory: Mapping[int, int]
) -> Outcome:
    """Run a program once; `Program` runs one under many seeds at a fraction of the cost.

    Args:
        port: whose code it is.
        threads: 1 to 64.
        ordering: one of the port's.
        seed: same seed, same outcome.
        memory: address in the page at `SHARED_WORDS` -> 8 bytes there at the start; the others are 0.
    """
    return Program(port, threads, ordering).run(seed, memory)
