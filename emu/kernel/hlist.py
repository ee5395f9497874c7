"""Lists with one pointer as their head, for hash tables whose readers hold no lock.

Source: include/linux/rculist.h, hlist_add_head_rcu; include/linux/list.h, __hlist_del (6.1).
"""

from __future__ import annotations

from collections.abc import Iterator

from emu.kernel.guest import Guest
from emu.machine.operations import Barrier


def hlist_add_head_rcu(guest: Guest, node: int, head: int) -> None:
    """Insert ``node`` first; readers see it whole: the head is stored behind a write barrier."""
    first = guest.load(head)
    guest.store(node, first, what="hlist_add_head_rcu node->next")
    guest.store(node + 8, head, what="hlist_add_head_rcu node->pprev")
    guest.barrier(Barrier.WMB, "rcu_assign_pointer")
    guest.store(head, node, what="hlist_add_head_rcu head->first")
    if first:
        guest.store(first + 8, node, what="hlist_add_head_rcu first->pprev")


def hlist_del_init_rcu(guest: Guest, node: int) -> None:
    """Unlink ``node``; its next stays for readers that are on it, and its pprev of 0 says that it is off."""
    following, before = guest.load(node), guest.load(node + 8)
    guest.store(before, following, what="hlist_del *pprev")
    if following:
        guest.store(following + 8, before, what="hlist_del next->pprev")
    guest.store(node + 8, 0, what="hlist_del_init_rcu node->pprev")


def hlist_nodes(guest: Guest, head: int) -> Iterator[int]:
    """Yield node addresses, first to last; the next is loaded before the body runs (``_safe``)."""
    node = guest.load(head)
    while node:
        following = guest.load(node)
        yield node
        node = following
