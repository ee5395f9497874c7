"""A recorded run, wherever it was recorded: all that analysis sees."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emu.trace.code import CodeBlock
from emu.trace.meta import Meta, Symbol


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Run:
    """The tables of a run and what is known about it.

    Args:
        calls: dtype `CALLS`, read-only; a memory map if the run was loaded.
        events: dtype `EVENTS`, likewise.
        meta: the contents of ``meta.json``.
        symbols: by name.
        log: the kernel log, a line each.
        code: what came into memory after boot, in order: modules, patches, trampolines, PLTs.
        notes: what a user should know about this copy: cut short, not finished ...
        damage: those of the notes that tell of rows that were lost since they were recorded.
        path: the directory it was loaded from; None if it was recorded in memory.
    """

    calls: NDArray[np.void]
    events: NDArray[np.void]
    meta: Meta
    symbols: Mapping[str, Symbol]
    log: tuple[str, ...]
    code: tuple[CodeBlock, ...] = ()
    notes: tuple[str, ...] = ()
    damage: tuple[str, ...] = ()
    path: Path | None = None

    @property
    def complete(self) -> bool:
        """Whether the run was recorded to its end."""
        return self.meta["complete"]
