"""Text as it came into memory and as it stood in the end: a run's text pokes are played again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from emu.trace.code import CodeBlock
from emu.trace.run import Run
from emu.trace.schema import EventKind

WHOLE_POKE = 8
"""A TEXT_POKE event carries its first 8 bytes, so longer ones can't be played again."""


@dataclass(slots=True, eq=False)
class Text:
    """One block of code.

    Args:
        block: as it came.
        now: its bytes after what has been played of the run.
        is_gone: whether it has been unloaded since.
    """

    block: CodeBlock
    now: bytearray = field(init=False)
    is_gone: bool = False

    def __post_init__(self) -> None:
        self.now = bytearray(self.block.code)

    def bytes(self, address: int, size: int, *, linked: bool = False) -> bytes:
        """Return what stands at an address, or what stood there at first."""
        at = address - self.block.address
        return bytes((self.block.code if linked else self.now)[at : at + size])

    def holds(self, address: int, size: int) -> bool:
        """Tell whether a range of addresses lies in the block."""
        return self.block.address <= address and address + size <= self.block.address + len(self.now)


def play(run: Run, texts: Sequence[Text]) -> int:
    """Play what a run did to its text, in ``texts``; return how many pokes could not be.

    Args:
        run: recorded, complete or not.
        texts: in order of arrival.
    """
    kinds = (EventKind.TEXT_POKE, EventKind.MODULE_UNLOAD)
    rows, ignored = run.events[np.isin(run.events["kind"], kinds)], 0
    for row in rows[np.argsort(rows["seq"], kind="stable")]:
        address, size = int(row["a"]), int(row["b"])
        there = [
            t for t in texts if t.block.seq <= int(row["seq"]) and t.holds(address, size) and not t.is_gone
        ]
        if not there:
            continue
        if row["kind"] == EventKind.MODULE_UNLOAD:
            name = there[-1].block.name
            for text in texts:  # its PLT goes with it
                text.is_gone |= text.block.name == name and text.block.seq <= int(row["seq"])
        elif size > WHOLE_POKE:
            ignored += 1
        else:
            at = address - there[-1].block.address
            there[-1].now[at : at + size] = int(row["c"]).to_bytes(8, "little")[:size]
    return ignored
