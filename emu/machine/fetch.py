"""Stale instruction fetch: when a store to text reaches each CPU's own copy of it.

x86-64: a store is in every cache at once, but a CPU may go on executing what it
fetched before, byte by byte, until it serialises (Intel SDM vol. 3A, 9.1.3).
arm64: the store must be cleaned to the point of unification (DC CVAU, DSB), the
instruction caches invalidated (IC IVAU, DSB), and then each CPU needs a context
synchronisation event (Arm ARM DDI 0487, B2.4.4). Until then a CPU may see either.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from emu.machine import state as s
from emu.machine.memory import text_address, text_offset
from emu.machine.stale import fetch_anew, refresh_range, synchronise_fetch
from emu.machine.state import Fetch

if TYPE_CHECKING:
    from emu.machine.engine import Engine

_REMEMBERED = 64
"""Text stores that reports can look back at."""


class FetchModel:
    """Text as each CPU fetches it.

    Args:
        engine: whose CPUs.
        text: each CPU's private copy of text, uint8 arrays of shape ``(TEXT_SIZE,)``.
        policy: what happens between a store and the synchronisation that forces it.
    """

    def __init__(self, engine: Engine, text: list[NDArray[np.uint8]], policy: Fetch) -> None:
        self._engine, self._text = engine, text
        self._ranges = np.zeros((engine.cpus, s.STALE_MAX, s.STALE_WORDS), np.int64)
        for block, ranges in zip(engine.blocks, self._ranges, strict=True):
            block[s.CPU_STALE_RANGES] = ranges.ctypes.data
        self._poked: deque[tuple[int, bytes]] = deque(maxlen=_REMEMBERED)
        self.policy = policy

    @property
    def policy(self) -> Fetch:
        """What happens between a store and the synchronisation that forces it."""
        return Fetch(int(self._engine.ctl[s.CTL_FETCH]))

    @policy.setter
    def policy(self, policy: Fetch) -> None:
        self._engine.ctl[s.CTL_FETCH] = policy

    def load(self, address: int, code: bytes) -> None:
        """Put code where no CPU has fetched from yet: every CPU sees it at once."""
        self._engine.memory.write(address, code)
        offset = text_offset(address)
        for block in self._engine.blocks:
            refresh_range(self._engine.ctl, block, offset, len(code))

    def store(self, address: int, code: bytes) -> None:
        """A CPU stores to text that others may be executing."""
        start, size = self._engine.tables.instruction_at(address)
        self._poked.append((start, self._engine.memory.read(start, max(size, address + len(code) - start))))
        self._engine.memory.write(address, code)
        offset, size = text_offset(address), len(code)
        for block, ranges in zip(self._engine.blocks, self._ranges, strict=True):
            for part, length in self._stale_parts(address, offset, size):
                count = int(block[s.CPU_STALE])
                if count == s.STALE_MAX:  # as if the CPU had long fetched it anew
                    fetch_anew(self._engine.ctl, block, *(int(x) for x in ranges[0, :2]))
                    ranges[:-1] = ranges[1:].copy()
                    count -= 1
                stage = s.STAGE_READY if self._engine.port.text_is_coherent else s.STAGE_STORED
                ranges[count] = (part, length, stage)
                block[s.CPU_STALE] = count + 1
            self._refresh_all_but_stale(block, offset, size)

    def _stale_parts(self, address: int, offset: int, size: int) -> list[tuple[int, int]]:
        """Return the (offset, size) parts of a store that other CPUs do not see yet."""
        head = 1 if self._engine.tables.starts[offset] else 0
        if not self._engine.port.text_is_coherent:
            return [(offset, size)] if self.policy in (Fetch.RANDOM, Fetch.STALE) else []
        match self.policy:
            case Fetch.RANDOM | Fetch.STALE:
                return [(offset, size)]
            case Fetch.EAGER:
                return []
            case Fetch.HEAD:
                return [(offset + head, size - head)] if size > head else []
            case Fetch.TAIL:
                return [(offset, head)] if head else []

    def _refresh_all_but_stale(self, block: NDArray[np.int64], offset: int, size: int) -> None:
        """Let the CPU see the bytes of a store that the policy does not hold back."""
        stale = np.zeros(size, bool)
        for low, length, _ in self._ranges[block[s.CPU_INDEX], : block[s.CPU_STALE]]:
            stale[max(low - offset, 0) : max(low + length - offset, 0)] = True
        for index in np.flatnonzero(~stale):
            fetch_anew(self._engine.ctl, block, offset + int(index), 1)

    def clean(self, address: int, size: int) -> None:
        """DC CVAU: begin to clean; complete at the next DSB."""
        self._advance(address, size, s.STAGE_STORED, s.STAGE_CLEANING)

    def invalidate(self, address: int, size: int) -> None:
        """IC IVAU: begin to invalidate what has been cleaned; complete at the next DSB."""
        self._advance(address, size, s.STAGE_CLEANED, s.STAGE_INVALIDATING)

    def data_barrier(self) -> None:
        """DSB ISH: cache maintenance begun before it is complete."""
        for done, begun in ((s.STAGE_CLEANED, s.STAGE_CLEANING), (s.STAGE_READY, s.STAGE_INVALIDATING)):
            stages = self._ranges[:, :, s.STALE_STAGE]
            stages[stages == begun] = done

    def _advance(self, address: int, size: int, expected: int, stage: int) -> None:
        offset = text_offset(address)
        overlap = (self._ranges[:, :, s.STALE_OFFSET] < offset + size) & (
            self._ranges[:, :, s.STALE_OFFSET] + self._ranges[:, :, s.STALE_SIZE] > offset
        )
        stages = self._ranges[:, :, s.STALE_STAGE]
        stages[overlap & (stages == expected)] = stage

    def synchronise(self, cpu: int) -> None:
        """A context synchronisation event on ``cpu``."""
        synchronise_fetch(self._engine.ctl, self._engine.blocks[cpu])

    def seen_by(self, cpu: int, address: int, size: int) -> bytes:
        """Return the text that ``cpu`` fetches at ``address``."""
        offset = text_offset(address)
        return self._text[cpu][offset : offset + size].tobytes()

    def outdated(self, cpu: int) -> list[int]:
        """Return the instructions that ``cpu`` fetches otherwise than memory holds them, by address."""
        starts = set()
        for part, size, _ in self._ranges[cpu, : self._engine.blocks[cpu, s.CPU_STALE]]:
            seen = self._text[cpu][part : part + size]
            if seen.tobytes() != self._engine.memory.text[part : part + size].tobytes():
                starts.add(self._engine.tables.instruction_at(text_address(int(part)))[0])
        return sorted(starts)

    def last_poked(self) -> tuple[int, list[bytes]]:
        """Return the instruction stored to last, 0 if none, and what memory held there before each store."""
        last = self._poked[-1][0] if self._poked else 0
        return last, [held for start, held in self._poked if start == last]
