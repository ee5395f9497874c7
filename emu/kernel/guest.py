"""The guest as code on the patching CPU sees it: loads, stores, barriers, allocation, waiting.

Everything in ``emu.ftrace`` and ``emu.livepatch`` reads and writes the guest through a
`Guest`, so that its text reads like the kernel's and every effect is one operation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from emu.arch.port import Port
from emu.machine.operations import Barrier, Condition, Operation, OpKind, Player
from emu.structs import Struct


@dataclass(frozen=True, slots=True)
class View:
    """One guest struct at one address: ``view["member"]`` loads, ``view["member"] = x`` stores."""

    guest: Guest
    struct: Struct
    address: int

    def __getitem__(self, member: str) -> int:
        m = self.struct.members[member]
        return self.guest.load(self.address + m.offset, m.size)

    def __setitem__(self, member: str, value: int) -> None:
        m = self.struct.members[member]
        self.guest.store(self.address + m.offset, value, m.size, what=f"{self.struct.name}->{member}")

    def at(self, member: str) -> int:
        """Return the address of ``member``."""
        return self.address + self.struct.offset(member)


class Guest:
    """Operations of the patching CPU, by the kernel's names.

    Args:
        port: whose instructions and barriers these are.
        player: plays them.
        allocate: (size, what) -> address or 0; called at the moment of the ALLOC operation.
        release: (address) -> None; poisons at the moment of the FREE operation.
        fail: consulted once per fallible step, by its name ("alloc", "filter", "register" ...):
            returns the (positive) errno with which it fails on purpose, or 0.
        grace_period: (flavour "rcu" or "tasks") -> what a wait started now must see.
    """

    def __init__(
        self,
        port: Port,
        player: Player,
        *,
        allocate: Callable[[int, str], int],
        release: Callable[[int], None],
        grace_period: Callable[[str], Sequence[Condition]],
        fail: Callable[[str], int] = lambda _step: 0,
    ) -> None:
        self.port, self.player, self.fail = port, player, fail
        self._allocate, self._release, self._grace_period = allocate, release, grace_period

    def view(self, struct: Struct, address: int) -> View:
        """Return ``struct`` at ``address``."""
        return View(self, struct, address)

    def load(self, address: int, size: int = 8) -> int:
        """Load ``size`` bytes, little endian, unsigned."""
        return self.player.play(Operation(kind=OpKind.LOAD, address=address, size=size))

    def store(self, address: int, value: int, size: int = 8, *, what: str = "") -> None:
        """Store the low ``size`` bytes of ``value``."""
        self.player.play(Operation(kind=OpKind.STORE, address=address, size=size, value=value, what=what))

    def atomic_add(self, address: int, delta: int, size: int = 8, *, what: str = "") -> int:
        """Add ``delta`` in one step, with a full barrier on either side, and return the new value."""
        return self.player.play(
            Operation(kind=OpKind.ATOMIC_ADD, address=address, size=size, value=delta, what=what)
        )

    def set_bit(self, address: int, bit: int, *, what: str) -> None:
        """Set a bit of the u64 at ``address`` in one step."""
        self.player.play(Operation(kind=OpKind.SET_BIT, address=address, value=bit, what=what))

    def clear_bit(self, address: int, bit: int, *, what: str) -> None:
        """Clear a bit of the u64 at ``address`` in one step."""
        self.player.play(Operation(kind=OpKind.CLEAR_BIT, address=address, value=bit, what=what))

    def wait_while(self, address: int, value: int, what: str) -> None:
        """Wait until the u64 at ``address`` is seen to differ from ``value``."""
        changed = [Condition(address=address, value=value, who=what)]
        self.player.play(Operation(kind=OpKind.WAIT, until=lambda: changed, what=what))

    def barrier(self, barrier: Barrier, what: str) -> None:
        """Order memory operations; ``what`` names the pair, for reports and for dropping it."""
        self.player.play(Operation(kind=OpKind.BARRIER, barrier=barrier, what=what))

    def text_store(self, address: int, data: bytes, what: str) -> None:
        """Store instruction bytes in one access; CPUs may fetch the old ones until they synchronise."""
        self.player.play(
            Operation(kind=OpKind.TEXT_STORE, address=address, size=len(data), data=data, what=what)
        )

    def cache_clean(self, address: int, size: int) -> None:
        """DC CVAU over the range."""
        self.player.play(Operation(kind=OpKind.CACHE_CLEAN, address=address, size=size, what="dc cvau"))

    def cache_invalidate(self, address: int, size: int) -> None:
        """IC IVAU over the range."""
        self.player.play(Operation(kind=OpKind.CACHE_INVALIDATE, address=address, size=size, what="ic ivau"))

    def sync_cores(self, what: str) -> None:
        """Send every other CPU a sync IPI, serialise this one, wait until all have answered."""
        self.player.play(Operation(kind=OpKind.SYNC, what=what))

    def synchronize_rcu(self, what: str) -> None:
        """Wait until every CPU has passed a quiescent state."""
        self._wait("rcu", what)

    def synchronize_rcu_tasks(self, what: str) -> None:
        """Wait until every task has switched voluntarily, slept, idled or been in user text."""
        self._wait("tasks", what)

    def wait_for(self, conditions: Callable[[], Sequence[Condition]], what: str) -> None:
        """Wait until all of what ``conditions`` returns, asked when the wait begins, has come true."""
        self.player.play(Operation(kind=OpKind.WAIT, until=conditions, what=what))

    def _wait(self, flavour: str, what: str) -> None:
        self.player.play(Operation(kind=OpKind.WAIT, until=lambda: self._grace_period(flavour), what=what))

    def alloc(self, size: int, what: str) -> int:
        """Return the address of ``size`` zeroed bytes, 0 when there is no room (fallible step ``alloc``)."""
        if self.fail("alloc"):
            return 0
        return self.player.play(
            Operation(kind=OpKind.ALLOC, size=size, what=what, call=lambda: self._allocate(size, what))
        )

    def free(self, address: int, what: str) -> None:
        """Give memory back; it is poisoned and fenced off at once."""

        def release() -> int:
            self._release(address)
            return 0

        self.player.play(Operation(kind=OpKind.FREE, address=address, what=what, call=release))

    def log(self, line: str) -> None:
        """Append ``line`` to the kernel log."""
        self.player.play(Operation(kind=OpKind.LOG, line=line))

    def callback(self, what: str, call: Callable[[], int], *, under_locks: bool = True) -> int:
        """Run Python code as one step of the patching CPU and return what it returns.

        Args:
            what: its name.
            call: the code.
            under_locks: see `Operation`; otherwise it orders its accesses itself, or makes none.
        """
        return self.player.play(
            Operation(kind=OpKind.CALLBACK, what=what, call=call, under_locks=under_locks)
        )

    def call(self, function: int, args: tuple[int, ...] = (), *, what: str) -> int:
        """Have the patching task call a guest function and return its result, an unsigned u64."""
        return self.player.play(Operation(kind=OpKind.CALL, address=function, args=args, what=what))

    def mark(self, what: str, a: int, b: int = 0) -> None:
        """Record an event of kind ``what`` (ENABLE, SETTLED, DISABLE ...) with operands ``a`` and ``b``."""
        self.player.play(Operation(kind=OpKind.MARK, what=what, address=a, value=b))

    def list_init(self, head: int) -> None:
        """INIT_LIST_HEAD."""
        self.store(head, head, what="list init next")
        self.store(head + 8, head, what="list init prev")

    def list_add(self, node: int, head: int) -> None:
        """Insert ``node`` first, for lists that are walked by their writers only."""
        self._link(node, head, self.load(head))

    def list_add_tail(self, node: int, head: int) -> None:
        """Insert ``node`` last, for lists that are walked by their writers only."""
        self._link(node, self.load(head + 8), head)

    def _link(self, node: int, before: int, following: int) -> None:
        self.store(following + 8, node, what="list_add next->prev")
        self.store(node, following, what="list_add node->next")
        self.store(node + 8, before, what="list_add node->prev")
        self.store(before, node, what="list_add prev->next")

    def list_add_rcu(self, node: int, head: int) -> None:
        """Insert ``node`` first; readers see it whole: ``head->next`` is stored behind a write barrier."""
        first = self.load(head)
        self.store(node, first, what="list_add_rcu node->next")
        self.store(node + 8, head, what="list_add_rcu node->prev")
        self.barrier(Barrier.WMB, "rcu_assign_pointer")
        self.store(head, node, what="list_add_rcu head->next")
        self.store(first + 8, node, what="list_add_rcu first->prev")

    def list_del(self, node: int) -> None:
        """Unlink ``node`` and poison both its pointers."""
        self._unlink(node)
        self.store(node, LIST_POISON1, what="list_del node->next poison")
        self.store(node + 8, LIST_POISON2, what="list_del node->prev poison")

    def list_del_rcu(self, node: int) -> None:
        """Unlink ``node``; its next stays for readers still on it, its prev is poisoned."""
        self._unlink(node)
        self.store(node + 8, LIST_POISON2, what="list_del_rcu node->prev poison")

    def _unlink(self, node: int) -> None:
        following, before = self.load(node), self.load(node + 8)
        self.store(following + 8, before, what="list_del next->prev")
        self.store(before, following, what="list_del prev->next")

    def list_nodes(self, head: int) -> Iterator[int]:
        """Yield node addresses, first to last; the next is loaded before the body runs (``_safe``)."""
        node = self.load(head)
        while node != head:
            following = self.load(node)
            yield node
            node = following


LIST_POISON1 = 0xDEAD000000000100
LIST_POISON2 = 0xDEAD000000000122
"""Source: include/linux/poison.h with CONFIG_ILLEGAL_POINTER_VALUE=0xdead000000000000."""
