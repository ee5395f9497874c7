"""Filters: which sites an ftrace_ops wants, as immutable tables in guest memory.

A filter is never changed in place: a new table is made, the pointer to it stored, and the old one freed
after a grace period, because ftrace_ops_list_func may be walking it. Only a module that goes has its sites
struck out.

Source: kernel/trace/ftrace.c, ftrace_hash_move, free_ftrace_hash_rcu (6.1).
"""

from __future__ import annotations

from collections.abc import Iterable

from emu.kernel.errno import ENOMEM
from emu.kernel.guest import Guest
from emu.kernel.rcu import Rcu
from emu.structs import FTRACE_HASH

EMPTY_HASH = 0
"""Address of the empty filter.

In Linux it means "every function"; here an ops names its sites, and none is none.
"""


class Hashes:
    """The filter tables."""

    def __init__(self, guest: Guest, rcu: Rcu) -> None:
        self._guest, self._rcu = guest, rcu
        self._ips: dict[int, frozenset[int]] = {EMPTY_HASH: frozenset()}

    def create(self, ips: Iterable[int]) -> int:
        """Return the address of a new table of ``ips``, `EMPTY_HASH` for none, or -ENOMEM."""
        table = sorted(set(ips))
        if not table:
            return EMPTY_HASH
        size = max(FTRACE_HASH.size, FTRACE_HASH.offset("ips") + 8 * len(table))
        address = self._guest.alloc(size, "ftrace_hash")
        if not address:
            return -ENOMEM
        self._guest.view(FTRACE_HASH, address)["count"] = len(table)
        for i, ip in enumerate(table):
            self._guest.store(address + FTRACE_HASH.offset("ips") + 8 * i, ip, what="ftrace_hash->ips")
        self._ips[address] = frozenset(table)
        return address

    def ips(self, address: int) -> frozenset[int]:
        """Return the sites in the table at ``address``."""
        return self._ips[address]

    def clear_mod(self, ips: frozenset[int]) -> None:
        """Let no table match ``ips`` any more, which belong to a module that goes.

        Their entries become 0, which is no site; the table as such stays, so an ops whose sites have all gone
        wants none. Source: kernel/trace/ftrace.c, clear_mod_from_hash (6.1).
        """
        for address, table in self._ips.items():
            if not table & ips:
                continue
            first = address + FTRACE_HASH.offset("ips")
            for at in range(first, first + 8 * self._guest.view(FTRACE_HASH, address)["count"], 8):
                if self._guest.load(at) in ips:
                    self._guest.store(at, 0, what="ftrace_hash->ips clear")
            self._ips[address] = table - ips

    def free(self, address: int) -> None:
        """Free a table that nobody but its maker has seen."""
        if address != EMPTY_HASH:
            del self._ips[address]
            self._guest.free(address, "ftrace_hash")

    def free_later(self, address: int) -> None:
        """Free a table once no reader can hold it."""
        if address != EMPTY_HASH:
            del self._ips[address]
            self._rcu.free_later(address, "ftrace_hash")
