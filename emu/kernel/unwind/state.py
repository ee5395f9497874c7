"""What is known at one instruction boundary: what registers and stack slots hold, told by the frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

Value = tuple[str, int]
"""A base and bytes added to it. Bases are `CFA`, `PC`, and registers: what these hold in the frame above."""

CFA = "cfa"
"""Canonical frame address: what the stack pointer is once a called function has returned; of an exception,
the end of the registers that were saved; of the first frame on a stack, the stack's top."""
PC = "pc"
"""Where the frame above goes on: the return address, or what was interrupted."""


class Kind(Enum):
    """What is above a frame."""

    CALL = auto()
    """A caller, behind its call."""
    SITE = auto()
    """A traced function, behind its entry site; or the replacement that a handler has chosen."""
    SWITCHED = auto()
    """The scheduler, behind its call of ``__switch_to``; or where a new task begins."""
    EXCEPTION = auto()
    """What was interrupted, before any of its instructions; or user text."""
    FIRST = auto()
    """Nothing."""


@dataclass(frozen=True, slots=True)
class State:
    """One boundary.

    Args:
        kind: what is above the frame; None: paths meet here that disagree.
        registers: what is known of them, by the port's names.
        slots: the same of words on the stack, by their distance from the CFA.
    """

    kind: Kind | None
    registers: Mapping[str, Value] = field(default_factory=dict)
    slots: Mapping[int, Value] = field(default_factory=dict)

    def depth(self, register: str) -> int | None:
        """Return how far from the CFA ``register`` points, None if that is not known."""
        base, offset = self.registers.get(register, ("", 0))
        return offset if base == CFA else None


NOTHING = State(None)
"""Nothing is known, and nothing ever will be."""


def join(a: State, b: State) -> State:
    """Return what is known whichever way control came."""
    if a == b:
        return a
    if a.kind is not b.kind:
        return NOTHING
    return State(
        a.kind,
        {name: value for name, value in a.registers.items() if b.registers.get(name) == value},
        {at: value for at, value in a.slots.items() if b.slots.get(at) == value},
    )
