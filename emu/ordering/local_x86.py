"""x86 and sequential consistency: what of one CPU's own events is ordered before what.

x86-TSO keeps program order except from a write to a later read; MFENCE between the two, or a
locked access at either end, restores it. LFENCE and SFENCE order nothing here that is not
ordered anyway: memory is write-back, and LFENCE does not drain the store buffer (Intel SDM
vol. 3A, 9.2.2 and 9.2.5; Sewell et al., "x86-TSO", CACM 2010).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from emu.ordering.dependencies import NONE, Deps, Placed


class TsoOrder:
    """Order of the events of one CPU along one path; copied where paths part."""

    __slots__ = (
        "_all",
        "_fetches",
        "_locked_writes",
        "_reads",
        "_serial",
        "_total",
        "_writes",
        "_writes_fenced",
        "completed",
        "count",
    )

    def __init__(self, total: bool = False) -> None:
        self.count = 0
        self.completed = 0
        self._total = total
        self._reads = self._writes = self._locked_writes = self._writes_fenced = self._all = 0
        self._fetches = self._serial = 0

    def copy(self) -> TsoOrder:
        """Return an order that goes on independently."""
        new = object.__new__(TsoOrder)
        for name in TsoOrder.__slots__:
            setattr(new, name, getattr(self, name))
        return new

    def _place(self, local: int, own: int, pieces: int) -> Placed:
        index = self.count
        self.count = index + 1
        local = self._all & ~pieces if self._total else local & ~own | self._fetches | self._serial
        self._all |= 1 << index
        return Placed(index, local, 0, Deps(1 << index, 1 << index))

    def read(
        self, location: int, address: Deps = NONE, *, locked: bool = False, own: int = 0, **arm: Any
    ) -> Placed:
        """Add a data read.

        Args:
            location: read.
            address: not looked at: dependencies order nothing that is not ordered anyway.
            locked: of an atomic instruction.
            own: bits of the events of the same instruction: they are not ordered before it.
            arm: what only the Arm model looks at; ``acquire`` of an atomic among it.
        """
        del location, address, arm
        before = self._reads | self._writes_fenced | self._locked_writes
        placed = self._place(before | self._writes if locked else before, own, own)
        self._reads |= 1 << placed.number
        return placed

    def write(
        self,
        location: int,
        address: Deps = NONE,
        data: Deps = NONE,
        *,
        locked: bool = False,
        own: int = 0,
        atomic_read: int = -1,
        **arm: Any,
    ) -> Placed:
        """Add a data write.

        Args:
            location: written.
            address: not looked at.
            data: not looked at.
            locked: of an atomic instruction.
            own: bits of the events of the same instruction: they are not ordered before it.
            atomic_read: the same of an Arm instruction; makes it a locked one.
            arm: what only the Arm model looks at.
        """
        del location, address, data, arm
        placed = self._place(self._reads | self._writes, own, own & self._writes)
        self._writes |= 1 << placed.number
        if locked or atomic_read >= 0:
            self._locked_writes |= 1 << placed.number
        return placed

    def enter(self, locations: Iterable[int] = ()) -> tuple[int, int]:
        """Add the entry of a single-copy atomic access in pieces; return its number, and no hazards."""
        del locations
        index = self.count
        self.count = index + 1
        return index, 0

    def fence(self) -> None:
        """Add MFENCE."""
        self._writes_fenced = self._writes

    def dmb(self, kind: str) -> None:
        """Add an Arm barrier; only a full one orders a write before a read."""
        if kind == "full":
            self.fence()

    dsb = dmb

    def context_synchronisation(self) -> None:
        """Add an Arm ISB: nothing to order."""

    def conditional_branch(self, condition: Deps) -> None:
        """Add a conditional branch: nothing to order."""

    def fetch(self, location: int) -> Placed:
        """Add the fetch of an instruction that some CPU may write: before all that follows it."""
        del location
        return self._mark(self._all if self._total else self._serial, "_fetches")

    def serialise(self) -> Placed:
        """Add a serialising instruction: all before it is done, nothing after it has been fetched."""
        self._writes_fenced = self._writes
        return self._mark(self._all, "_serial")

    def clean(self, line: int, address: Deps = NONE) -> Placed:
        """Add an Arm cache clean: nothing to order."""
        del line, address
        return self._mark(0, "")

    def invalidate(self, address: Deps = NONE) -> Placed:
        """Add an Arm cache invalidation: nothing to order."""
        del address
        return self._mark(0, "")

    def _mark(self, local: int, kind: str) -> Placed:
        index = self.count
        self.count = index + 1
        if kind:
            setattr(self, kind, getattr(self, kind) | 1 << index)
            self._all |= 1 << index
        return Placed(index, local, 0, NONE)
