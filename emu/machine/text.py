"""Tables that describe every text byte to native code: instruction starts, lengths, classes, probes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emu.arch.port import Port
from emu.build.decode import decode_lite
from emu.build.memory_map import TEXT_WINDOWS
from emu.machine.memory import TEXT_SIZE, text_offset
from emu.machine.state import (
    CLASS_FENCE,
    CLASS_HALT,
    CLASS_SERIAL,
    CLASS_SERIAL_BEFORE,
    CLASS_SHADOW,
    PROBE_A,
    PROBE_B,
    PROBE_KIND,
    PROBE_WORDS,
    ProbeKind,
)  # fmt: skip

_MAX_PROBES = 1 << 15
_LONGEST = 15
"""Bytes of the longest instruction of any port. Source: Intel SDM vol. 2A, 2.3.11."""


class TextTables:
    """What the loop knows about text, one entry per byte of all text windows.

    Args:
        port: whose code it is.
        fences: whether to look for fences.

    Attributes:
        starts: uint8, shape ``(TEXT_SIZE,)``: 1 where an instruction starts.
        index: int32, shape ``(TEXT_SIZE + 1,)``: instructions that start before a byte.
        length: uint8, shape ``(TEXT_SIZE,)``: bytes of the instruction that starts there.
        classes: uint8, shape ``(TEXT_SIZE + 1,)``: ``CLASS_*`` bits.
        fences: int32, shape ``(TEXT_SIZE + 1,)``: fences that start before a byte, if looked for.
        probe: int32, shape ``(TEXT_SIZE,)``: row in `probes`, 0 = none.
        probes: int64, shape ``(n, PROBE_WORDS)``.
        regions: uint8, shape ``(TEXT_SIZE,)``: 1 + ``PART_*`` of what runs there, 0 = it depends.
    """

    def __init__(self, port: Port, *, fences: bool = False) -> None:
        self._port, self._looks_for_fences = port, fences
        self.starts = np.zeros(TEXT_SIZE, np.uint8)
        self.index = np.zeros(TEXT_SIZE + 1, np.int32)
        self.length = np.zeros(TEXT_SIZE, np.uint8)
        self.classes = np.zeros(TEXT_SIZE + 1, np.uint8)
        self.fences = np.zeros(TEXT_SIZE + 1 if fences else 1, np.int32)
        self.probe = np.zeros(TEXT_SIZE, np.int32)
        self.probes = np.zeros((_MAX_PROBES, PROBE_WORDS), np.int64)
        self.regions = np.zeros(TEXT_SIZE, np.uint8)
        self._free_rows = list(range(_MAX_PROBES - 1, 0, -1))

    def describe(self, pieces: list[tuple[int, bytes]]) -> None:
        """Decode code at its addresses and enter it in the tables.

        Args:
            pieces: (address, code); data between code decodes as far as it looks like code.
        """
        lowest = TEXT_SIZE
        for base, code in pieces:
            start = text_offset(base)
            assert start >= 0, f"{base:#x} is not text"
            lowest = min(lowest, start)
            self.starts[start : start + len(code)] = 0
            self.length[start : start + len(code)] = 0
            self.classes[start : start + len(code)] = 0
            self._decode(base, code)
        self._count(self.starts, self.index, lowest)
        if self._looks_for_fences:
            self._count((self.classes[:-1] & CLASS_FENCE) != 0, self.fences, lowest)

    @staticmethod
    def _count(marks: NDArray[np.generic], before: NDArray[np.int32], lowest: int) -> None:
        """Count the marks before each byte from offset ``lowest`` on."""
        np.cumsum(marks[lowest:], dtype=np.int32, out=before[lowest + 1 :])
        before[lowest + 1 :] += before[lowest]

    def redescribe(self, address: int, code: bytes) -> None:
        """Decode code that was stored over other text, unless it lies within one known instruction."""
        start, size = self.instruction_at(address)
        if start + size < address + len(code):
            self.describe([(address, code)])

    def instruction_at(self, address: int) -> tuple[int, int]:
        """Return address and size of the known instruction around ``address``; size 0 if there is none."""
        offset = text_offset(address)
        for back in range(min(offset + 1, _LONGEST)):
            if self.starts[offset - back]:
                size = int(self.length[offset - back])
                return (address - back, size) if back < size else (address, 0)
        return address, 0

    def _decode(self, base: int, code: bytes) -> None:
        at = 0
        while at < len(code):
            for address, size, mnemonic, operands in decode_lite(self._port, code[at:], base + at):
                offset = text_offset(address)
                if self._looks_for_fences and self._port.memory_order.is_fence(mnemonic, operands):
                    self.classes[offset] |= CLASS_FENCE
                self.starts[offset] = 1
                self.length[offset] = size
                if mnemonic in self._port.serialising:
                    self.classes[offset] |= CLASS_SERIAL
                    self.classes[offset + size] |= CLASS_SERIAL_BEFORE
                elif mnemonic in self._port.halting:
                    self.classes[offset] |= CLASS_HALT
                elif mnemonic in self._port.shadowing:
                    self.classes[offset] |= CLASS_SHADOW
                at = address + size - base
            at += 1 if len(self._port.trap) == 1 else 4 - at % 4

    def set_probe(self, address: int, kind: ProbeKind, argument: int = 0, *, end: int = 0) -> None:
        """Make the machine notice landings (or traps) at ``address``, instead of what it noticed before.

        Args:
            argument: depends on the kind.
            end: of the code of a function that is entered there.
        """
        offset = text_offset(address)
        assert offset >= 0, f"{address:#x} is not text"
        row = int(self.probe[offset]) or self._free_rows.pop()
        self.probes[row] = 0
        self.probes[row, PROBE_KIND] = kind
        self.probes[row, PROBE_A] = argument
        self.probes[row, PROBE_B] = end
        self.probe[offset] = row

    def clear_probe(self, address: int) -> None:
        """Forget the probe at ``address``, if any."""
        offset = text_offset(address)
        row = int(self.probe[offset])
        if row:
            self.probe[offset] = 0
            self._free_rows.append(row)

    def set_region(self, start: int, end: int, part: int) -> None:
        """Say which part of a call (``PART_*``) runs in the text from ``start`` up to ``end``."""
        offset = text_offset(start)
        assert offset >= 0, f"{start:#x} is not text"
        self.regions[offset : offset + end - start] = 1 + part

    def clear_probes(self, address: int, size: int) -> None:
        """Forget every probe and region in a range of text."""
        offset = text_offset(address)
        self.regions[offset : offset + size] = 0
        for place in np.flatnonzero(self.probe[offset : offset + size]).tolist():
            self.clear_probe(address + place)


def windows() -> list[tuple[int, int, int]]:
    """Return (base, size, offset in a text array) of every text window."""
    rows, offset = [], 0
    for window in TEXT_WINDOWS:
        rows.append((window.base, window.size, offset))
        offset += window.size
    return rows
