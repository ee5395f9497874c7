"""The single operations that an installation consists of, and who plays them.

Livepatch and ftrace code in Python changes the guest only through these. Each
is one step of the patching CPU: between any two of them every other CPU may run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum, auto
from typing import Protocol


class OpKind(IntEnum):
    """What one operation does."""

    LOAD = auto()
    STORE = auto()
    ATOMIC_ADD = auto()
    SET_BIT = auto()
    CLEAR_BIT = auto()
    BARRIER = auto()
    TEXT_STORE = auto()
    CACHE_CLEAN = auto()
    CACHE_INVALIDATE = auto()
    SYNC = auto()
    WAIT = auto()
    ALLOC = auto()
    FREE = auto()
    LOG = auto()
    CALLBACK = auto()
    CALL = auto()
    MARK = auto()


class Barrier(IntEnum):
    """Which barrier a BARRIER operation is."""

    WMB = auto()
    RMB = auto()
    MB = auto()
    DSB = auto()
    ISB = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One thing a WAIT waits for: the u64 at ``address``, compared with ``value``.

    ``at_least`` false: done when the value differs; true: done when it is at least ``value``.
    """

    address: int
    value: int
    at_least: bool = False
    who: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One step of the patching CPU.

    Args:
        kind: what it does.
        what: its name in reports and for dropping it on purpose, e.g. ``"func->transition"``.
        address: guest address it concerns; of a MARK its first operand, ``value`` being the second; of a CALL
            the guest function, ``args`` being its arguments.
        size: bytes.
        value: stored value, event argument, or what an ATOMIC_ADD adds (modulo 2^(8 * size); a full barrier
            on either side; its result is the new value), or the bit number of a SET_BIT or CLEAR_BIT.
        data: bytes of a TEXT_STORE.
        barrier: of a BARRIER.
        until: of a WAIT: what must hold, asked for when the wait begins; all of it must come true.
        under_locks: of a CALLBACK: it stands for work under locks of the kernel that other CPUs have held, so
            all that they did before is seen, and what it does is seen by them.
        line: of a LOG.
        call: of a CALLBACK or ALLOC/FREE done by Python at that moment; its result is returned.
    """

    kind: OpKind
    what: str = ""
    address: int = 0
    size: int = 0
    value: int = 0
    data: bytes = b""
    barrier: Barrier | None = None
    until: Callable[[], Sequence[Condition]] | None = None
    under_locks: bool = True
    line: str = ""
    call: Callable[[], int] | None = None
    args: tuple[int, ...] = ()


class Player(Protocol):
    """Plays operations one by one; LOAD, ATOMIC_ADD, ALLOC, CALL and CALLBACK yield something."""

    def play(self, operation: Operation) -> int:
        """Play ``operation`` as the patching CPU's next step and return its result, 0 if it has none."""
        ...
