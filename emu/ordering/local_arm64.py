"""Arm: what of one CPU's own events is ordered before what (locally-hardware-required-ordered-before).

The order depends on one CPU alone, so it is worked out once per path of its program, event
after event. Sets of events are ints, one bit per event of the CPU. Dependencies are carried
along as such sets: with each register and memory value go the reads that it was made from, once
through data flow alone ("plain") and once through choices as well ("pick").

Source: Arm ARM DDI 0487, section B2.3, "Definition of the Arm memory model"; names follow it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from emu.ordering.dependencies import NONE, Deps, Placed


class _Stored(NamedTuple):
    """The last write to a location, as its CPU's program order has it."""

    deps: Deps
    address_or_data: int
    exclusive_read: int


def _joined(events: int, sets: list[int]) -> int:
    """Return a set of events with the sets that belong to each of them."""
    joined = rest = events
    while rest:
        low = rest & -rest
        joined |= sets[low.bit_length() - 1]
        rest ^= low
    return joined


class ArmOrder:
    """Order of the events of one CPU along one path; copied where paths part."""

    __slots__ = (
        "_acquires",
        "_address_before_write",
        "_cleans",
        "_cleans_by_line",
        "_closed_lob",
        "_closed_local",
        "_context",
        "_control",
        "_dmb_full",
        "_dmb_ld",
        "_dmb_st",
        "_dsb_all",
        "_fetches",
        "_invalidations",
        "_memory",
        "_memory_by_location",
        "_pick_address_before_write",
        "_pick_control",
        "_pick_sources",
        "_reads",
        "_releases",
        "_stored",
        "_writes",
        "completed",
        "count",
    )  # fmt: skip

    def __init__(self) -> None:
        self.count = 0
        self.completed = 0
        self._closed_lob: list[int] = []
        self._closed_local: list[int] = []
        self._pick_sources: list[int] = []
        self._memory_by_location: dict[int, int] = {}
        self._cleans_by_line: dict[int, int] = {}
        self._stored: dict[int, _Stored] = {}
        self._memory = self._reads = self._writes = self._fetches = 0
        self._cleans = self._invalidations = 0
        self._acquires = self._releases = 0
        self._dmb_full = self._dmb_ld = self._dmb_st = 0
        self._dsb_all = 0
        self._context = 0
        self._control = self._pick_control = 0
        self._address_before_write = self._pick_address_before_write = 0

    def copy(self) -> ArmOrder:
        """Return an order that goes on independently."""
        new = object.__new__(ArmOrder)
        new.count = self.count
        new.completed = self.completed
        new._closed_lob = self._closed_lob[:]
        new._closed_local = self._closed_local[:]
        new._pick_sources = self._pick_sources[:]
        new._memory_by_location = self._memory_by_location.copy()
        new._cleans_by_line = self._cleans_by_line.copy()
        new._stored = self._stored.copy()
        new._memory = self._memory
        new._reads = self._reads
        new._writes = self._writes
        new._fetches = self._fetches
        new._cleans = self._cleans
        new._invalidations = self._invalidations
        new._acquires = self._acquires
        new._releases = self._releases
        new._dmb_full = self._dmb_full
        new._dmb_ld = self._dmb_ld
        new._dmb_st = self._dmb_st
        new._dsb_all = self._dsb_all
        new._context = self._context
        new._control = self._control
        new._pick_control = self._pick_control
        new._address_before_write = self._address_before_write
        new._pick_address_before_write = self._pick_address_before_write
        return new

    def _place(self, lob: int, pick: int, *, write: bool, fetch: bool) -> tuple[int, int, int]:
        """Close the order over one more event; return its number, what precedes it, what is synced."""
        index = self.count
        self.count = index + 1
        synced = self._context
        if not fetch:
            synced |= self._dsb_all
        synced &= self._invalidations
        closed = _joined(lob, self._closed_lob)
        self._closed_lob.append(closed)
        self._pick_sources.append(pick | self._pick_control)
        local = _joined(closed, self._pick_sources) if write else closed
        local = _joined(local, self._closed_local)
        self._closed_local.append(local)
        return index, local, synced

    def read(
        self, location: int, address: Deps = NONE, *, acquire: bool = False, acquire_pc: bool = False,
        unused: bool = False, after: int = 0, own: int = 0,
    ) -> Placed:  # fmt: skip
        """Add a data read.

        Args:
            location: read.
            address: dependencies of the address.
            acquire: of LDAR, LDAXR, atomics with acquire.
            acquire_pc: of LDAPR.
            unused: the value goes to XZR in an atomic instruction (NoRet).
            after: bits of accesses of the same instruction that come before.
            own: bits of those that do not.
        """
        stored = self._stored.get(location)
        deps = address
        lob = (
            address.plain | self._acquires | self._dmb_full | self._dmb_ld | self._dsb_all | self._context
            | self._fetches | self._cleans_by_line.get(location, 0)
        )  # fmt: skip
        if acquire:
            lob |= self._releases
        lob = lob & ~own | after
        if stored is not None:
            deps = address | stored.deps
            lob |= stored.address_or_data
            if acquire or acquire_pc:
                lob |= stored.exclusive_read
        index, local, synced = self._place(lob, deps.pick, write=False, fetch=False)
        bit = 1 << index
        self._memory |= bit
        self._memory_by_location[location] = self._memory_by_location.get(location, 0) | bit
        if not unused:
            self._reads |= bit
        if acquire or acquire_pc:
            self._acquires |= bit
        self._address_before_write |= address.plain
        self._pick_address_before_write |= address.pick
        return Placed(index, local, synced, Deps(deps.plain | bit, deps.pick | bit))

    def write(
        self,
        location: int,
        address: Deps = NONE,
        data: Deps = NONE,
        *,
        release: bool = False,
        inner: Deps = NONE,
        choice: int = 0,
        data_choice: int = 0,
        atomic_read: int = -1,
        after: int = 0,
        own: int = 0,
        together: tuple[int, ...] = (),
        acquire_release: bool = False,
    ) -> Placed:
        """Add a data write, or a write to code.

        Args:
            location: written.
            address: dependencies of the address.
            data: dependencies of the stored registers.
            release: of STLR, STLXR, atomics with release.
            inner: dependencies of a read of the same instruction that the stored value is made from.
            choice: reads that the decision to write depends on (of CAS, STXR).
            data_choice: the part of those that came through registers counted as data (of CAS).
            atomic_read: index of the read that makes one atomic access with this write.
            after: bits of accesses of the same instruction that come before.
            own: bits of those that do not.
            together: locations of the single-copy atomic access that it is a piece of; none: its own alone.
            acquire_release: the read has acquire and the write has release.
        """
        deps = Deps(
            address.plain | data.plain | inner.plain,
            address.pick | data.pick | inner.pick | choice | data_choice,
        )
        lob = (
            address.plain | data.plain | self._control | self._address_before_write
            | address.pick | data.pick | data_choice | self._pick_control | self._pick_address_before_write
            | self._memory_by_location.get(location, 0) | self._cleans_by_line.get(location, 0)
            | self._acquires | self._dmb_full | self._dmb_ld | self._dmb_st | self._dsb_all | self._context
            | self._fetches
        )  # fmt: skip
        exclusive = 0
        for place in together:
            lob |= self._memory_by_location.get(place, 0)
        if release:
            lob |= self._memory
        lob = lob & ~own | after
        if atomic_read >= 0:
            exclusive = 1 << atomic_read
            lob |= exclusive
        index, local, synced = self._place(lob, deps.pick, write=True, fetch=False)
        bit = 1 << index
        self._memory |= bit
        self._memory_by_location[location] = self._memory_by_location.get(location, 0) | bit
        self._writes |= bit
        if release:
            self._releases |= bit
        if acquire_release:
            self._acquires |= bit  # every later access comes after it, as after an acquire
        self._stored[location] = _Stored(deps, address.plain | data.plain, exclusive)
        self._address_before_write |= address.plain
        self._pick_address_before_write |= address.pick
        return Placed(index, local, synced, NONE)

    def enter(self, locations: Iterable[int] = ()) -> tuple[int, int]:
        """Add the entry of a single-copy atomic access that is made in pieces.

        Args:
            locations: of the pieces of a read.

        Returns:
            Its number, and the earlier reads of these locations; if there are any, one more event was added
            that comes after them.
        """
        index = self.count
        hazards = 0
        for location in locations:
            hazards |= self._memory_by_location.get(location, 0) & ~self._writes
        for _ in range(2 if hazards else 1):
            self.count += 1
            self._closed_lob.append(0)
            self._closed_local.append(0)
            self._pick_sources.append(0)
        return index, hazards

    def fetch(self, location: int) -> Placed:
        """Add the fetch of an instruction that some CPU may write."""
        del location
        index, local, synced = self._place(self._context, 0, write=False, fetch=True)
        self._fetches |= 1 << index
        return Placed(index, local, synced, NONE)

    def clean(self, line: int, address: Deps = NONE) -> Placed:
        """Add DC CVAU."""
        lob = (
            address.plain | address.pick | self._control | self._pick_control | self._dmb_full | self._dsb_all
            | self._context | self._fetches | self._memory_by_location.get(line, 0)
            | self._cleans_by_line.get(line, 0)
        )  # fmt: skip
        index, local, synced = self._place(lob, address.pick, write=False, fetch=False)
        self._cleans |= 1 << index
        self._cleans_by_line[line] = self._cleans_by_line.get(line, 0) | 1 << index
        return Placed(index, local, synced, NONE)

    def invalidate(self, address: Deps = NONE) -> Placed:
        """Add IC IVAU or IC IALLU."""
        lob = (
            address.plain | address.pick | self._control | self._pick_control | self._dsb_all | self._context
            | self._fetches
        )  # fmt: skip
        index, local, synced = self._place(lob, address.pick, write=False, fetch=False)
        self._invalidations |= 1 << index
        return Placed(index, local, synced, NONE)

    def dmb(self, kind: str) -> None:
        """Add DMB; ``kind`` is ``full``, ``ld`` or ``st``."""
        if kind == "full":
            self._dmb_full = self._memory | self._cleans
        elif kind == "ld":
            self._dmb_ld = self._reads
        else:
            self._dmb_st = self._writes

    def dsb(self, kind: str) -> None:
        """Add DSB; ``kind`` is ``full``, ``ld`` or ``st``."""
        if kind == "full":
            self._dsb_all |= self._memory | self._fetches | self._cleans | self._invalidations
            self.completed |= self._invalidations
        elif kind == "ld":
            self._dsb_all |= self._reads
        else:
            self._dsb_all |= self._writes

    def context_synchronisation(self) -> None:
        """Add ISB, exception entry or exception return: an instruction fetch barrier."""
        self._context |= (
            self._control | self._pick_control | self._address_before_write | self._pick_address_before_write
            | self._dsb_all
        )  # fmt: skip

    def conditional_branch(self, condition: Deps) -> None:
        """Add a conditional branch."""
        self._control |= condition.plain
        self._pick_control |= condition.pick
