"""What a CPU's local order is told of values, and tells of events."""

from __future__ import annotations

from typing import NamedTuple


class Deps(NamedTuple):
    """The reads that a value depends on: through data flow alone, and through choices as well."""

    plain: int
    pick: int

    def __or__(self, other: tuple[int, ...]) -> Deps:
        """Return the dependencies of a value made of two."""
        return Deps(self.plain | other[0], self.pick | other[1])


NONE = Deps(0, 0)


class Placed(NamedTuple):
    """An event's place in its CPU's order.

    Args:
        number: among the CPU's events.
        local: the earlier events that it is ordered after.
        synced: the earlier instruction cache invalidations that a barrier ordered before it.
        deps: of a read: what the value depends on.
    """

    number: int
    local: int
    synced: int
    deps: Deps
