"""The cycle models of a machine's CPUs: their arrays, rows of instructions, and what Python tells them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from emu.build.decode import decode_lite
from emu.machine import state as s
from emu.machine.access import clock
from emu.machine.memory import TEXT_SIZE, text_address, text_offset
from emu.machine.timed import on_time
from emu.timing import (
    NONE,
    CpuModel,
    RowTable,
    UncoveredInstructionError,
    cpu_words,
    drain,
    new_cpu,
    new_shared,
    poke_text,
    send_ipi,
    step,
    zeros,
)
from emu.timing.layout import T_CLOCK, T_INSTRUCTIONS, T_L1D_MISSES, T_MISPREDICTS

if TYPE_CHECKING:
    from emu.machine.engine import Engine

_AHEAD = 16
"""Instructions that are decoded at a time."""
_LONGEST = 15
"""Bytes of the longest instruction of any port. Source: Intel SDM vol. 2A, 2.3.11."""
_UNCOVERED = -1
"""In place of a row: the model can't tell, which matters only if the instruction completes."""


class CycleClocks:
    """One CPU model on every CPU of a machine.

    Args:
        engine: the machine.
        model: of its port.
        text: each CPU's private copy of text, uint8 arrays of shape ``(TEXT_SIZE,)``.
    """

    def __init__(self, engine: Engine, model: CpuModel, text: list[NDArray[np.uint8]]) -> None:
        self.model, self._engine, self._text = model, engine, text
        cpus, ctl = engine.cpus, engine.ctl
        self._rows = RowTable(model)
        self._shared = new_shared(model)
        # one block, which the host may put on large pages
        self._models = zeros(cpus * cpu_words(model)).reshape(cpus, -1)
        for cpu in range(cpus):
            self._models[cpu] = new_cpu(model, cpu, cpus)
        self._rows_at = np.zeros((cpus, TEXT_SIZE), np.int32)
        for block, own, rows in zip(engine.blocks, self._models, self._rows_at, strict=True):
            block[s.CPU_TIME], block[s.CPU_ROWS_AT] = own.ctypes.data, rows.ctypes.data
            block[[s.CPU_LOADED, s.CPU_STORED]] = NONE
        ctl[s.CTL_TIME], ctl[s.CTL_TIME_SHARED] = on_time.address, self._shared.ctypes.data
        ctl[s.CTL_TIME_ROWS] = self._rows.array.ctypes.data
        # Nobody sees a store of another CPU sooner than its line can move: no order is lost by that lead
        ctl[s.CTL_LEAD] = model.parameters["line_transfer"]
        ctl[s.CTL_TIME_LATENCY] = model.parameters["ipi_deliver"]

    def decode(self, cpu: int) -> None:
        """Find the rows of the instructions from a CPU's PC on, for every CPU that fetches the same there.

        Raises:
            UncoveredInstructionError: the CPU has executed what the model can't tell the cycles of.
        """
        block = self._engine.blocks[cpu]
        uncovered = int(block[s.CPU_UNCOVERED])
        if uncovered:
            block[s.CPU_UNCOVERED] = 0
            self._rows.index(self._instruction(cpu, uncovered))
        first = text_offset(int(block[s.CPU_PC]))
        code = self._text[cpu][first : first + _AHEAD * _LONGEST].tobytes()
        found = decode_lite(self._engine.port, code, text_address(first), count=_AHEAD)
        offsets, rows, end = [first], [_UNCOVERED], first + 1
        for at, (address, size, _, _) in enumerate(found):
            offset = first + address - text_address(first)
            end = offset + size
            offsets[at:], rows[at:] = [offset], [self._row(code[offset - first : end - first])]
        for other, text in enumerate(self._text):
            if other == cpu or text[first:end].tobytes() == code[: end - first]:
                self._rows_at[other, offsets] = rows
        self._engine.ctl[s.CTL_TIME_ROWS] = self._rows.array.ctypes.data

    def _row(self, code: bytes) -> int:
        try:
            return 1 + self._rows.index(code)
        except UncoveredInstructionError:
            return _UNCOVERED

    def _instruction(self, cpu: int, address: int) -> bytes:
        first = text_offset(address)
        code = self._text[cpu][first : first + _LONGEST].tobytes()
        found = decode_lite(self._engine.port, code, address, count=1)
        return code[: found[0][1]] if found else code

    def run_as(self, cpu: int, code: bytes, *, load: int = NONE, store: int = NONE) -> None:
        """Let a CPU take as long as the instruction ``code`` with these addresses would."""
        row, pc = self._rows.index(code), int(self._engine.blocks[cpu, s.CPU_PC])
        self._engine.ctl[s.CTL_TIME_ROWS] = self._rows.array.ctypes.data
        own = self._own(cpu)
        step(own, self._shared, self._rows.array, row, pc, pc + len(code), load, store, NONE)
        self._set(cpu)

    def poke(self, cpu: int, address: int, size: int) -> None:
        """``cpu`` stores into text."""
        poke_text(self._own(cpu), self._shared, address, size)
        self._set(cpu)

    def serialise(self, cpu: int) -> None:
        """``cpu`` starts to fetch again when all is complete."""
        drain(self._own(cpu))
        self._set(cpu)

    def send_ipi(self, cpu: int) -> int:
        """``cpu`` sends an interrupt; return the clock at which it arrives."""
        arrival = int(send_ipi(self._own(cpu)))
        self._set(cpu)
        return arrival

    def counters(self, cpu: int) -> dict[str, int]:
        """Return what a CPU has counted: ``instructions``, ``mispredictions``, ``misses`` of L1D."""
        own = self._own(cpu)
        return {
            "instructions": int(own[T_INSTRUCTIONS]),
            "mispredictions": int(own[T_MISPREDICTS]),
            "misses": int(own[T_L1D_MISSES]),
        }

    def _own(self, cpu: int) -> NDArray[np.int64]:
        return self._models[cpu]

    def _set(self, cpu: int) -> None:
        block = self._engine.blocks[cpu]
        block[s.CPU_CLOCK_OFFSET] = max(self._models[cpu, T_CLOCK], clock(block)) - block[s.CPU_INSNS]
