"""What one instruction does to registers and stack, and where control goes, as far as unwinding cares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from emu.kernel.unwind.state import CFA, Kind, State, Value


@dataclass(frozen=True, slots=True)
class Sum:
    """A register plus a constant, bytes."""

    register: str
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Load:
    """The 8 bytes at a register plus a constant."""

    register: str
    offset: int


@dataclass(frozen=True, slots=True)
class Aligned:
    """A register, rounded down to a multiple of ``alignment`` bytes."""

    register: str
    alignment: int


Expression = Sum | Load | Aligned | None
"""A value that is written; None: not understood."""


@dataclass(frozen=True, slots=True)
class Store:
    """``size`` bytes stored at a register plus a constant; ``value`` is that of 8 bytes, else None."""

    register: str
    offset: int
    size: int
    value: Expression = None


class Flow(Enum):
    """Where control goes behind an instruction."""

    NEXT = auto()
    BRANCH = auto()
    """To the target, or on."""
    JUMP = auto()
    CALL = auto()
    RETURN = auto()
    TRAP = auto()
    """On, if it stands where the kernel WARNs."""
    STOP = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One instruction. All that it reads, it reads before it writes.

    Args:
        writes: what each register becomes.
        stores: what goes to memory.
        flow: where control goes.
        target: address that a branch, jump or call goes to, None where a register or memory says.
    """

    writes: Mapping[str, Expression] = field(default_factory=dict)
    stores: tuple[Store, ...] = ()
    flow: Flow = Flow.NEXT
    target: int | None = None


def carry_out(effect: Effect, state: State, *, sp: str, moved: Value) -> State:
    """Return the state behind an instruction.

    Args:
        effect: of it.
        state: in front of it.
        sp: the stack pointer's name.
        moved: what to call the stack pointer when it becomes something that is not understood.
    """
    if state.kind is None:
        return state
    registers = dict(state.registers)
    for name, expression in effect.writes.items():
        value = _value(expression, state)
        if value is None and name == sp:
            value = moved
            if isinstance(expression, Sum):  # a copy: the two stay the same
                registers[expression.register] = (moved[0], moved[1] - expression.offset)
        if value is None:
            registers.pop(name, None)
        else:
            registers[name] = value
    slots = dict(state.slots)
    for store in effect.stores:
        _put(slots, state, store)
    after = State(state.kind, registers, slots)
    depth = after.depth(sp)
    for at in [at for at in slots if depth is not None and at < depth]:
        del slots[at]  # below the stack pointer anybody may write
    return after


def _value(expression: Expression, state: State) -> Value | None:
    match expression:
        case Sum(register, offset) if register in state.registers:
            base, known = state.registers[register]
            return base, known + offset
        case Load(register, offset):
            depth = state.depth(register)
            return None if depth is None else state.slots.get(depth + offset)
        case Aligned(register, alignment):
            depth = state.depth(register)
            if depth is not None and state.kind is Kind.FIRST and depth % alignment == 0:
                return CFA, depth  # a stack begins at a page
    return None


def _put(slots: dict[int, Value], state: State, store: Store) -> None:
    """Forget what a store overwrites, and note what it puts there.

    A store through a pointer that is not known to point into the frame leaves what was saved there alone.
    """
    depth = state.depth(store.register)
    if depth is None:
        return
    start = depth + store.offset
    for at in [at for at in slots if at < start + store.size and start < at + 8]:
        del slots[at]
    value = _value(store.value, state)
    if value is not None:
        slots[start] = value
