"""Filters: which sites an ftrace_ops wants, as hash tables in guest memory.

A filter is never changed in place: a new table is made, the pointer to it stored, and the old one freed
after a grace period, because ftrace_ops_test may be walking it. Only a module that goes has its sites
struck out.

Linux allocates a table, its buckets and each entry on their own; here they are one allocation, in that order.

Source: kernel/trace/ftrace.c, alloc_ftrace_hash, __add_hash_entry, dup_hash, free_ftrace_hash_rcu (6.1).
"""

from __future__ import annotations

from collections.abc import Iterable

from emu.ftrace.hash_table import block_size, bucket_of, places, size_bits_for
from emu.kernel.errno import ENOMEM
from emu.kernel.guest import Guest
from emu.kernel.rcu import Rcu
from emu.structs import FTRACE_FUNC_ENTRY, FTRACE_HASH

EMPTY_HASH = 0
"""Address of the empty filter.

In Linux it means "every function"; here an ops names its sites, and none is none.
"""


class Hashes:
    """The filter tables."""

    def __init__(self, guest: Guest, rcu: Rcu) -> None:
        self._guest, self._rcu = guest, rcu
        self._ips: dict[int, tuple[int, ...]] = {EMPTY_HASH: ()}

    def create(self, ips: Iterable[int]) -> int:
        """Return the address of a new table of ``ips``, `EMPTY_HASH` for none, or -ENOMEM."""
        table = tuple(sorted(set(ips)))
        if not table:
            return EMPTY_HASH
        bits = size_bits_for(len(table))
        address = self._guest.alloc(block_size(len(table)), "ftrace_hash")
        if not address:
            return -ENOMEM
        buckets, entries = places(address, len(table))
        view = self._guest.view(FTRACE_HASH, address)
        view["size_bits"], view["buckets"] = bits, buckets
        firsts: dict[int, int] = {}
        for entry, ip in zip(entries, table, strict=True):
            self._guest.view(FTRACE_FUNC_ENTRY, entry)["ip"] = ip
            head = buckets + 8 * bucket_of(ip, bits)
            self._add_head(entry, head, firsts.get(head, 0))
            firsts[head] = entry
        view["count"] = len(table)
        self._ips[address] = table
        return address

    def _add_head(self, entry: int, head: int, first: int) -> None:
        # nobody has seen the table: no order but the barrier before its address is stored
        if first:
            self._guest.store(entry, first, what="hlist_add_head node->next")
            self._guest.store(first + 8, entry, what="hlist_add_head first->pprev")
        self._guest.store(head, entry, what="hlist_add_head head->first")
        self._guest.store(entry + 8, head, what="hlist_add_head node->pprev")

    def ips(self, address: int) -> frozenset[int]:
        """Return the sites in the table at ``address``."""
        return frozenset(self._ips[address]) - {0}

    def clear_mod(self, ips: frozenset[int]) -> None:
        """Let no table match ``ips`` any more, which belong to a module that goes.

        Their entries' addresses become 0, which is no site; the table as such stays, so an ops whose sites
        have all gone wants none. Source: kernel/trace/ftrace.c, clear_mod_from_hash (6.1).
        """
        for address, table in self._ips.items():
            for entry, ip in zip(places(address, len(table))[1], table, strict=True):
                if ip in ips:
                    self._guest.view(FTRACE_FUNC_ENTRY, entry)["ip"] = 0
            self._ips[address] = tuple(0 if ip in ips else ip for ip in table)

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
