"""Grace periods of the patching CPU, and memory that is freed after one."""

from __future__ import annotations

from emu.kernel.guest import Guest


class Rcu:
    """Waits for grace periods; frees what was handed over before such a wait began.

    Source: kernel/rcu/ (6.1): call_rcu only promises "after a grace period"; here that is the next one
    somebody waits for.
    """

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._waiting: list[tuple[int, str]] = []

    def free_later(self, address: int, what: str) -> None:
        """Free ``address`` after a grace period, as ``call_rcu`` would; 0 is nothing."""
        if address:
            self._waiting.append((address, what))

    def synchronize(self, what: str) -> None:
        """Wait until every reader that may hold an old pointer is done: synchronize_rcu."""
        ready, self._waiting = self._waiting, []
        self._guest.synchronize_rcu(what)
        for address, name in ready:
            self._guest.free(address, name)

    def synchronize_tasks(self, what: str) -> None:
        """Wait until no task can be preempted inside a trampoline: synchronize_rcu_tasks."""
        self._guest.synchronize_rcu_tasks(what)

    def barrier(self, what: str) -> None:
        """Wait until everything handed over so far is freed: rcu_barrier."""
        if self._waiting:
            self.synchronize(what)
