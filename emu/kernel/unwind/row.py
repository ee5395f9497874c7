"""How to get from one frame to the one above it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from emu.kernel.unwind.rules import Rules
from emu.kernel.unwind.state import PC, Kind, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One boundary's way up.

    Args:
        kind: what is above.
        base, offset: the CFA is this register plus this constant.
        places: for registers of the frame above, and `PC`: the word on the stack that holds it, by its
            distance from the CFA, or the register that holds it.
    """

    kind: Kind
    base: str
    offset: int
    places: Mapping[str, int | str]


def row_of(rules: Rules, state: State) -> Row | None:
    """Return the way up from a boundary, None if it is not known for sure."""
    if state.kind is None:
        return None
    for base in (rules.sp, rules.fp):
        depth = state.depth(base)
        if depth is not None:
            break
    else:
        return None
    places = {} if state.kind is Kind.FIRST else _places(rules, state, state.kind)
    if state.kind is not Kind.FIRST and PC not in places:
        return None
    return Row(kind=state.kind, base=base, offset=-depth, places=places)


def _places(rules: Rules, state: State, kind: Kind) -> dict[str, int | str]:
    """Return where what is known of the frame above is, on the stack rather than in registers.

    Of several words that hold a register, the lowest is in the ``pt_regs`` that handlers are given and may
    change; a plain function goes by the word that it stored first.
    """
    handed_on = kind in (Kind.SITE, Kind.EXCEPTION)
    wanted = rules.preserved if kind is Kind.CALL else {*rules.general}
    places: dict[str, int | str] = {}
    for register, (base, offset) in state.registers.items():
        if offset == 0 and (base in wanted or base == PC):
            places[base] = register
    for at, (base, offset) in sorted(state.slots.items(), reverse=handed_on):
        if offset == 0 and (base in wanted or base == PC):
            places[base] = at
    return places
