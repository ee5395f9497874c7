"""Decides into which pieces accesses are cut, so that any two pieces are the same bytes or share none.

Which bytes a test accesses is known only once it has run, since addresses may be computed. So all accesses
are whole at first. One that overlaps another, or only part of an initial value or of what the test
observes, raises `FinerError`; then the exploration begins anew with that access known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import NamedTuple


class Piece(NamedTuple):
    """Bytes that are only accessed together: address and size."""

    address: int
    size: int


class Access(NamedTuple):
    """An access as it is made.

    Args:
        pieces: from the lowest address on.
        single: it is single-copy atomic, so whoever sees one piece of it sees all.
    """

    pieces: tuple[Piece, ...]
    single: bool


class FinerError(Exception):
    """An access overlaps others: pieces must be made finer.

    Args:
        accesses: all that are known by now.
    """

    def __init__(self, accesses: frozenset[Piece]) -> None:
        super().__init__()
        self.accesses = accesses


def _overlap(one: Piece, two: Piece) -> bool:
    return one.address < two.address + two.size and two.address < one.address + one.size


class Layout:
    """The pieces of all accesses of a test.

    Args:
        items: initial values.
        shown: places that the test observes.
        line: bytes; accesses inside one line are single-copy atomic; 0: those at a multiple of their size.
        known: accesses that may overlap.
    """

    __slots__ = ("_line", "_made", "_soft", "items", "known", "shown")

    def __init__(
        self, items: Mapping[Piece, int], shown: Iterable[Piece] = (), line: int = 0,
        known: frozenset[Piece] = frozenset(),
    ) -> None:  # fmt: skip
        self.items = dict(items)
        self.shown = tuple(shown)
        self.known = known
        self._line = line
        self._soft = {**dict.fromkeys(self.shown, 0), **self.items}
        self._made = {
            one: Access(pieces, self.single(one)) for one, pieces in _cut(known, self.single).items()
        }

    def finer(self, accesses: frozenset[Piece]) -> Layout:
        """Return a layout in which these accesses may overlap."""
        return Layout(self.items, self.shown, self._line, accesses)

    def single(self, one: Piece) -> bool:
        """Whether an access is single-copy atomic."""
        if self._line:
            return one.address // self._line == (one.address + one.size - 1) // self._line
        return one.address % one.size == 0

    def access(self, address: int, size: int) -> Access:
        """Return how an access is made.

        Raises:
            FinerError: not in these pieces.
        """
        one = Piece(address, size)
        found = self._made.get(one)
        if found is None:
            if self._clashes(one):
                raise FinerError(frozenset(self._made) | {one})
            found = self._made[one] = Access((one,), True)
        return found

    def _clashes(self, one: Piece) -> bool:
        if not self.single(one) or any(_overlap(one, other) for other in self._made):
            return True
        for soft, value in self._soft.items():
            # One that begins where the initial value does, and holds all of it, needs no bytes apart.
            if _overlap(one, soft) and (
                self.known or soft.address != one.address or value >> 8 * one.size != 0
            ):
                return True
        return False

    def size_at(self, location: int) -> int:
        """Return the size of the piece that begins at an address, in bytes."""
        return next(
            piece.size for one in self._made.values() for piece in one.pieces if piece.address == location
        )

    def initial(self, memory: Mapping[int, int]) -> dict[int, int]:
        """Return the initial value of each location.

        Args:
            memory: initial values by address, as the test gives them.
        """
        result = dict(memory)
        for access in self._made.values() if self.known else ():
            for piece in access.pieces:
                if piece.address not in memory or any(_overlap(piece, item) for item in self.items):
                    result[piece.address] = self._initial(piece)
        return result

    def _initial(self, place: Piece) -> int:
        """Return the initial value of some bytes; what the test does not mention is 0."""
        result = 0
        for item, value in self.items.items():
            if _overlap(item, place):
                result |= _moved(value & (1 << 8 * item.size) - 1, item.address - place.address)
        return result & (1 << 8 * place.size) - 1

    def locations(self, place: Piece) -> list[int]:
        """Return the locations that an observed place is made of."""
        return [piece.address for piece in self._parts(place)] or [place.address]

    def reader(self, place: Piece) -> Callable[[Mapping[int, int]], int]:
        """Return what gives the value of an observed place from the last values of its locations."""
        parts = self._parts(place)
        if not parts:
            return lambda memory: memory[place.address]
        rest = self._initial(place)
        for piece in parts:
            rest &= ~_moved((1 << 8 * piece.size) - 1, piece.address - place.address)
        mask = (1 << 8 * place.size) - 1

        def read(memory: Mapping[int, int]) -> int:
            value = rest
            for piece in parts:
                part = memory[piece.address] & (1 << 8 * piece.size) - 1
                value |= _moved(part, piece.address - place.address)
            return value & mask

        return read

    def _parts(self, place: Piece) -> list[Piece]:
        """Return the pieces of an observed place; none: it is not cut."""
        return sorted({
            piece
            for one in self.known
            for piece in self._made[one].pieces
            if _overlap(piece, place)
        })  # fmt: skip


def _moved(value: int, by: int) -> int:
    """Return a value moved up by so many bytes, or down."""
    return value << 8 * by if by >= 0 else value >> -8 * by


def _cut(known: frozenset[Piece], single: Callable[[Piece], bool]) -> dict[Piece, tuple[Piece, ...]]:
    """Cut accesses where others begin or end, and into bytes those that are not single-copy atomic."""
    cuts: set[int] = set()
    for one in known:
        cuts |= {one.address, one.address + one.size}
        if not single(one):
            cuts.update(range(one.address, one.address + one.size))
    result = {}
    for one in known:
        edges = sorted(cut for cut in cuts if one.address <= cut <= one.address + one.size)
        result[one] = tuple(Piece(start, end - start) for start, end in pairwise(edges))
    return result
