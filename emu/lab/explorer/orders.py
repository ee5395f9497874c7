"""One CPU's events under a memory model: what each is ordered after, by the model's own rules."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from emu.arch.port import Port
from emu.ordering.columns import (
    ARM_ATOMIC,
    CLEAN,
    FETCH,
    GUESS_CACHES,
    INVALIDATE,
    READ,
    SERIAL_FETCH,
    SERIALISE,
    WRITE,
)
from emu.ordering.dependencies import NONE, Deps
from emu.ordering.local_arm64 import ArmOrder
from emu.ordering.local_x86 import TsoOrder
from emu.ordering.models import Model
from emu.ordering.tree import Event

RULES = {Model.SC: 0, Model.TSO: SERIAL_FETCH, Model.ARM64: ARM_ATOMIC | GUESS_CACHES}
"""What the search is told of each model."""

OWN = {"x86_64": Model.TSO, "arm64": Model.ARM64}
"""Each port's own model."""


def fits(model: Model, port: Port) -> bool:
    """Whether a port's code can be looked at under a model."""
    return model is Model.SC or OWN[port.name] is model


class Track:
    """The events of one CPU along one path, and what orders them.

    Args:
        model: that orders them.
    """

    __slots__ = ("_order", "count", "events", "model", "own")

    def __init__(self, model: Model) -> None:
        self.model = model
        self._order: Any = ArmOrder() if model is Model.ARM64 else TsoOrder(total=model is Model.SC)
        self.events: list[Event] = []
        self.count = 0
        self.own: dict[Hashable, Any] = {}

    def copy(self) -> Track:
        """Return a track that goes on independently, with no events yet."""
        new = object.__new__(Track)
        new.model, new._order = self.model, self._order.copy()
        new.events, new.count, new.own = [], self.count, self.own.copy()
        return new

    @property
    def completed(self) -> int:
        """The invalidations that are completed so far."""
        return int(self._order.completed)

    @property
    def fetch_kind(self) -> int:
        """How the fetch of an instruction counts: under sequential consistency it is a read."""
        return READ if self.model is Model.SC else FETCH

    def _add(
        self, kind: int, location: Hashable, value: Any, placed: Any, tag: int, partner: int = -1
    ) -> int:
        self.events.append(
            Event(kind, location, value, placed.local, placed.synced, partner=partner, tag=tag)
        )
        self.count += 1
        assert self.count == placed.number + 1, "each event is placed once"
        return int(placed.number)

    def read(
        self,
        location: Hashable,
        value: Any,
        tag: int,
        *,
        address: Deps = NONE,
        acquire: bool = False,
        locked: bool = False,
        unused: bool = False,
    ) -> tuple[int, Deps]:
        """Add a read; return its index and what its value depends on."""
        if self.model is Model.ARM64:
            placed = self._order.read(location, address, acquire=acquire, unused=unused)
        else:
            placed = self._order.read(location, locked=locked)
        return self._add(READ, location, value, placed, tag), placed.deps

    def fetch(self, location: Hashable, value: Any, tag: int) -> None:
        """Add the fetch of an instruction."""
        if self.model is Model.SC:
            self.read(location, value, tag)
        else:
            self._add(FETCH, location, value, self._order.fetch(location), tag)

    def write(
        self,
        location: Hashable,
        value: Any,
        tag: int,
        *,
        address: Deps = NONE,
        data: Deps = NONE,
        release: bool = False,
        atomic_read: int = -1,
        own_read: int = -1,
        locked: bool = False,
        exclusive: Deps | None = None,
    ) -> int:
        """Add a write.

        Args:
            location, value, tag: of the event.
            address, data: dependencies.
            release: of STLR and STLXR.
            atomic_read: index of the read that makes one atomic access with it.
            own_read: index of the read of the same instruction.
            locked: of an x86 atomic instruction.
            exclusive: it is a store-exclusive, and the load-exclusive's address depends on this.
        """
        self.own[location] = value
        if self.model is not Model.ARM64:
            own = 1 << own_read if own_read >= 0 else 0
            placed = self._order.write(location, locked=locked, own=own, atomic_read=atomic_read)
        elif exclusive is None:
            placed = self._order.write(location, address, data, release=release, atomic_read=atomic_read)
        else:
            choice = exclusive.pick | address.pick
            placed = self._order.write(
                location, address, NONE, release=release, inner=data, choice=choice, atomic_read=atomic_read
            )
        return self._add(WRITE, location, value, placed, tag, partner=atomic_read)

    def ahead(self, *, release: bool) -> int:
        """Return bits of the events that come before any write still to come.

        Args:
            release: it will be one, or have a full barrier before it.
        """
        if self.model is not Model.ARM64:
            return (1 << self.count) - 1  # no write is made visible before what precedes it
        return int(self._order.copy().write(None, release=release).local)

    def branch(self, condition: Deps) -> None:
        """Add a conditional branch."""
        self._order.conditional_branch(condition)

    def barrier(self, kind: str) -> None:
        """Add a barrier: ``full``, ``ld``, ``st``, ``dsb`` or ``isb``."""
        if kind == "isb":
            self.synchronise(0)
        elif kind == "dsb":
            self._order.dsb("full")
        else:
            self._order.dmb(kind)

    def synchronise(self, tag: int) -> None:
        """Add what makes later fetches new ones: a serialising instruction, an exception entry, an ISB."""
        if self.model is Model.TSO:
            self._add(SERIALISE, None, None, self._order.serialise(), tag)
        else:
            self._order.context_synchronisation()

    def clean(self, location: Hashable, tag: int) -> None:
        """Add DC CVAU."""
        self._add(CLEAN, location, None, self._order.clean(location), tag)

    def invalidate(self, location: Hashable, tag: int) -> None:
        """Add IC IVAU."""
        self._add(INVALIDATE, location, None, self._order.invalidate(), tag)
