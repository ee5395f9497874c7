"""What the patching CPU asks of the others, and how they answer: syncs and grace periods.

Request number k is a word that the patching CPU stores to; each other CPU answers, in its own time,
by storing to a word of its own, with full barriers around both. A sync can be answered between any two
events, for it is an interrupt; a grace period where the CPU holds no reference.
"""

from __future__ import annotations

from collections.abc import Hashable

SYNC = "sync"
"""Take an interrupt: fetch instructions anew."""
STOP_MACHINE = "stop_machine"
"""The same, and then wait, with interrupts off, until the next request: nothing else happens meanwhile."""
QUIESCENT = "rcu"
"""Pass a point without preemption disabled: nobody is inside a handler."""
TASKS = "tasks"
"""Pass a point where the task switches voluntarily: nobody is inside a trampoline either."""

ANYWHERE = frozenset({SYNC, STOP_MACHINE})
"""What can be answered inside a handler."""
PREEMPTIBLE = ANYWHERE | {QUIESCENT}
"""Inside a trampoline."""
BETWEEN = PREEMPTIBLE | {TASKS}
"""Between two calls."""

_ANSWER = "answer of CPU"


def request(number: int) -> Hashable:
    """Return the location of a request."""
    return f"request {number}"


def ack(number: int, cpu: int) -> Hashable:
    """Return the location of a CPU's answer to it."""
    return f"{_ANSWER}{cpu} to request {number}"


def is_ack(location: Hashable) -> bool:
    """Whether a location is that of an answer."""
    return isinstance(location, str) and location.startswith(_ANSWER)
