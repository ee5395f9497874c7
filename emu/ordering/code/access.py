"""Makes the events of loads and stores: one if all accesses to the place are alike, else one per piece.

The pieces of one single-copy atomic access stand behind an event of their own, the *entry*: what is
observed before one piece is before all of them, so such edges end at the entry. Edges of the CPU's own order
end at the piece itself, since a load may get one of its bytes from an earlier store of its CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from emu.ordering.code.layout import Access, Piece
from emu.ordering.code.thread import Pending, Result, State
from emu.ordering.columns import ENTRY, HAZARD, READ, WRITE
from emu.ordering.dependencies import NONE, Deps
from emu.ordering.tree import Event

Then = Callable[[State, int, Deps], Result]
_Pieces = Sequence[Piece]


def truncated(value: Any, size: int) -> Any:
    """Return what a store of ``size`` bytes leaves of a value."""
    return value & (1 << 8 * size) - 1


def load(state: State, address: int, size: int, then: Then, deps: Deps = NONE, **kind: Any) -> Pending:
    """Return the read of ``size`` bytes.

    Args:
        state: of the CPU.
        address: read.
        size: in bytes.
        then: gets the value and what it depends on.
        deps: of the address.
        kind: of the read, for the order of the CPU's events.
    """
    access = state.code.access(address, size)
    if len(access.pieces) == 1:
        placed = state.order.read(address, deps, **kind)
        event = Event(READ, address, None, placed.local, placed.synced)

        def got(new: State, value: int) -> Result:
            return then(new, truncated(value, size), placed.deps)

        return Pending(event, got)

    def joined(new: State, values: tuple[int, ...], made_from: tuple[Deps, ...]) -> Result:
        return then(new, *_join(access.pieces, values, made_from))

    return _read(state, access, joined, deps, kind)


def load_together(
    state: State, address: int, size: int,
    then: Callable[[State, tuple[int, int], tuple[Deps, Deps]], Result], deps: Deps = NONE, **kind: Any,
) -> Pending:  # fmt: skip
    """Return one single-copy atomic read of two values of ``size`` bytes, one behind the other."""
    pieces = pair_pieces(state, address, size)
    low = state.code.access(address, size).pieces
    high = pieces[len(low) :]

    def joined(new: State, values: tuple[int, ...], made_from: tuple[Deps, ...]) -> Result:
        first = _join(low, values[: len(low)], made_from[: len(low)])
        second = _join(high, values[len(low) :], made_from[len(low) :])
        return then(new, (first[0], second[0]), (first[1], second[1]))

    return _read(state, Access(pieces, True), joined, deps, kind)


def pair_pieces(state: State, address: int, size: int) -> tuple[Piece, ...]:
    """Return the pieces of two accesses of ``size`` bytes, one behind the other."""
    code = state.code
    return code.access(address, size).pieces + code.access(address + size, size).pieces


def last_events(state: State, address: int, size: int) -> int:
    """Return the number of the first event of an access of ``size`` bytes that has just been made."""
    count: int = state.order.count
    return count - len(state.code.access(address, size).pieces)


def bits(first: int, end: int) -> int:
    """Return the events numbered from ``first`` up to ``end``, which is not one of them."""
    return (1 << end) - (1 << first)


def _join(pieces: _Pieces, values: Sequence[int], made_from: Sequence[Deps]) -> tuple[int, Deps]:
    result, deps = 0, NONE
    for piece, value, one in zip(pieces, values, made_from, strict=True):
        result |= truncated(value, piece.size) << 8 * (piece.address - pieces[0].address)
        deps = deps | one
    return result, deps


def enter(state: State, pieces: _Pieces, *, reads: bool) -> int:
    """Make the entry of a single-copy atomic access and return its number.

    A read gets a second one, if earlier reads of its CPU have pieces in common with it: such a read is
    before every write that any piece of this one missed.
    """
    number, hazards = state.order.enter([piece.address for piece in pieces] if reads else ())
    state.events.append(Event(ENTRY, None, None, 0))
    if hazards:
        state.events.append(Event(HAZARD, None, None, hazards))
    return int(number)


def _read(
    state: State, access: Access, then: Callable[[State, tuple[int, ...], tuple[Deps, ...]], Result],
    deps: Deps, kind: dict[str, Any],
) -> Pending:  # fmt: skip
    entry = enter(state, access.pieces, reads=True) if access.single or kind.get("locked") else -1
    behind = 1 << entry if entry >= 0 else 0
    first: int = state.order.count

    def ask(new: State, values: tuple[int, ...], made_from: tuple[Deps, ...]) -> Pending:
        where = access.pieces[len(values)].address
        placed = new.order.read(where, deps, own=bits(first, new.order.count), **kind)

        def got(newer: State, value: int) -> Result:
            known, known_from = (*values, value), (*made_from, placed.deps)
            if len(known) < len(access.pieces):
                return ask(newer, known, known_from)
            return then(newer, known, known_from)

        event = Event(READ, where, None, placed.local | behind, placed.synced, -1, entry)
        return Pending(event, got)

    return ask(state, (), ())


def store(
    state: State, address: int, size: int, value: int, deps: Deps = NONE, data: Deps = NONE, *,
    partner: int = -1, entry: int = -1, together: _Pieces = (), own: int = 0, **kind: Any,
) -> None:  # fmt: skip
    """Do the write of ``size`` bytes.

    Args:
        state: of the CPU.
        address: written.
        size: in bytes.
        value: written; what is above its size is left out.
        deps: of the address.
        data: of the value.
        partner: number of the first piece of the read that makes one atomic access with it; -1: none.
        entry: number of the entry of its single-copy atomic access, if that is more than this write.
        together: all pieces of that access.
        own: bits of the events of the same instruction that are not ordered before it.
        kind: of the write, for the order of the CPU's events.
    """
    access = state.code.access(address, size)
    value = truncated(value, size)
    if len(access.pieces) == 1 and entry < 0:
        if own:
            kind["own"] = own
        if "atomic_read" in kind:
            kind["atomic_read"] = partner
        placed = state.order.write(address, deps, data, **kind)
        _wrote(state, Event(WRITE, address, value, placed.local, placed.synced, partner))
        return
    if entry < 0 and (access.single or kind.get("locked")):
        entry = enter(state, access.pieces, reads=False)
        together = access.pieces
    behind = 1 << entry if entry >= 0 else 0
    locations = tuple(piece.address for piece in together)
    first: int = state.order.count if entry < 0 else entry + 1
    for number, piece in enumerate(access.pieces):
        read = partner + number if partner >= 0 else -1
        if "atomic_read" in kind:
            kind["atomic_read"] = read
        placed = state.order.write(
            piece.address, deps, data, own=own | bits(first, state.order.count),
            together=locations, **kind,
        )  # fmt: skip
        part = truncated(value >> 8 * (piece.address - address), piece.size)
        local = placed.local | behind
        _wrote(state, Event(WRITE, piece.address, part, local, placed.synced, read, entry))


def _wrote(state: State, event: Event) -> None:
    """Record a write, which may be one to code."""
    code, address, value = state.code, event.location, event.value
    assert isinstance(address, int), "code writes to addresses"
    if code.restricts(address, value):
        event = event._replace(restricted=True)
    state.wrote(event)
    if code.is_text(address):
        state.texts = {**state.texts, address: (*state.texts.get(address, ()), value)}
