"""How ftrace is wired on a port: the steps of a text poke, private trampolines, PLT entries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, auto


class StepKind(IntEnum):
    """What one step of a text poke does."""

    STORE = auto()
    WMB = auto()
    TEXT_STORE = auto()
    CACHE_CLEAN = auto()
    CACHE_INVALIDATE = auto()
    DSB = auto()
    ISB = auto()
    SYNC = auto()
    RELEASE = auto()
    """Take the u64 at ``address`` down by one atomically and wait until it is 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a text poke.

    Args:
        kind: what it does.
        what: its stable name; every step of one protocol that means the same thing shares it.
        address: where, for the kinds that have a place.
        data: stored bytes, or as many bytes as the cache operation covers.
    """

    kind: StepKind
    what: str
    address: int = 0
    data: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Poke:
    """One site to rewrite: ``data`` shall stand at ``address``."""

    address: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """The code that a private trampoline is copied from.

    Args:
        at: its address.
        code: its bytes, without the final return.
        op_ptr: offset of the instruction that loads the ops pointer.
        call: offset of the call of the handler.
    """

    at: int
    code: bytes
    op_ptr: int
    call: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracing:
    """A port's ftrace wiring.

    Args:
        poke_steps: (pokes, shield) -> the steps that rewrite live text; ``shield`` is the address of
            the data that breakpoint handlers look in, 0 where the port has none.
        early_steps: (pokes) -> the steps that rewrite text no CPU runs yet; one sync must follow.
        step_names: every step's name and what goes wrong without it.
        shield: symbol of that data, empty where the port has none.
        shield_header: bytes of it before the first entry.
        shield_entry: bytes of one entry; 0: one poke at a time.
        trampoline_size: size of a template's code -> bytes that a private copy takes, or None: no copies.
        copy_trampoline: (template, at, ops, func) -> the bytes of a copy placed at ``at``.
        plt_entry: target -> code that jumps there from anywhere, or None: calls always reach.
        ops_literal: site -> address of the ops pointer that lies before the function, or None.
    """

    poke_steps: Callable[[Sequence[Poke], int], list[Step]]
    early_steps: Callable[[Sequence[Poke]], list[Step]]
    step_names: Mapping[str, str]
    shield: str = ""
    shield_header: int = 0
    shield_entry: int = 0
    trampoline_size: Callable[[int], int] | None = None
    copy_trampoline: Callable[[Template, int, int, int], bytes] | None = None
    plt_entry: Callable[[int], bytes] | None = None
    ops_literal: Callable[[int], int] | None = None
