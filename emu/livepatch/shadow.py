"""Shadow variables: data that livepatches attach to objects from outside.

Functions, order of effects, return values and messages are those of kernel/livepatch/shadow.c (6.1; the
same in 6.17). There is one patching CPU, so klp_shadow_lock has nothing to guard. Messages print
addresses, which Linux hashes: they are no secret here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from emu.kernel.guest import Guest, View
from emu.kernel.hlist import hlist_add_head_rcu, hlist_del_init_rcu, hlist_nodes
from emu.kernel.rcu import Rcu
from emu.kernel.warn import warn
from emu.livepatch.log import Log
from emu.structs import KLP_SHADOW

Constructor = Callable[[int, int], int]
"""(object, address of the data) -> 0, or a negative error that leaves no variable; one step of its CPU."""
Destructor = Callable[[int, int], None]
"""(object, address of the data) -> None; one step of the patching CPU."""

HASH_BITS = 4
"""Of the number of buckets. Linux has 12: a free_all here need not walk 4096 empty lists."""
OBJECT_ALIGN_BITS = 4
"""Lowest address bits, which are the same in most objects.

Linux multiplies by the golden ratio; here buckets, and so what klp_shadow_free_all frees first, go by
address.
"""


class Shadow:
    """The shadow variables of one kernel, in ``klp_shadow_hash``.

    Args:
        guest: the patching CPU.
        rcu: frees them when nobody can be reading them any more.
        log: gets the messages.
    """

    def __init__(self, guest: Guest, rcu: Rcu, log: Log) -> None:
        self._guest, self._rcu, self._log = guest, rcu, log
        self._hash = guest.alloc(8 << HASH_BITS, "klp_shadow_hash")
        assert self._hash, "no room for klp_shadow_hash at boot"

    def klp_shadow_get(self, obj: int, shadow_id: int) -> int:
        """Return the address of the data of (``obj``, ``shadow_id``), 0 when there are none."""
        shadow = self._find(obj, shadow_id)
        return 0 if shadow is None else _data(shadow)

    def klp_shadow_alloc(self, obj: int, shadow_id: int, size: int, ctor: Constructor | None = None) -> int:
        """Attach ``size`` bytes, zero or as ``ctor`` leaves them, and return their address.

        Returns:
            0 when there is one already (a WARN), no memory, or ``ctor`` failed.
        """
        if self.klp_shadow_get(obj, shadow_id):
            warn(
                self._guest,
                f"Duplicate shadow variable {_name(obj, shadow_id)}",
                "kernel/livepatch/shadow.c:165 __klp_shadow_get_or_alloc",
            )
            return 0
        return self._attach(obj, shadow_id, size, ctor)

    def klp_shadow_get_or_alloc(
        self, obj: int, shadow_id: int, size: int, ctor: Constructor | None = None
    ) -> int:
        """Return what `klp_shadow_get` finds; when it finds nothing, do as `klp_shadow_alloc`."""
        return self.klp_shadow_get(obj, shadow_id) or self._attach(obj, shadow_id, size, ctor)

    def _attach(self, obj: int, shadow_id: int, size: int, ctor: Constructor | None) -> int:
        guest = self._guest
        address = guest.alloc(KLP_SHADOW.size + size, "klp_shadow")
        if not address:
            return 0
        shadow = View(guest, KLP_SHADOW, address)
        shadow["obj"], shadow["id"] = obj, shadow_id
        err = guest.callback("shadow ctor", lambda: ctor(obj, _data(shadow))) if ctor is not None else 0
        if err:
            guest.free(address, "klp_shadow")
            self._log.tell(f"Failed to construct shadow variable {_name(obj, shadow_id)} ({err})")
            return 0
        hlist_add_head_rcu(guest, address, self._bucket(obj))
        return _data(shadow)

    def klp_shadow_free(self, obj: int, shadow_id: int, dtor: Destructor | None = None) -> None:
        """Detach the data of (``obj``, ``shadow_id``), if any, and free them after a grace period."""
        shadow = self._find(obj, shadow_id)
        if shadow is not None:
            self._free_struct(shadow, dtor)

    def klp_shadow_free_all(self, shadow_id: int, dtor: Destructor | None = None) -> None:
        """Do so with the data that any object has under ``shadow_id``."""
        for bucket in range(1 << HASH_BITS):
            for shadow in self._in_bucket(self._hash + 8 * bucket):
                if shadow["id"] == shadow_id:
                    self._free_struct(shadow, dtor)

    def _free_struct(self, shadow: View, dtor: Destructor | None) -> None:
        hlist_del_init_rcu(self._guest, shadow.address)
        if dtor is not None:
            destroy, obj = dtor, shadow["obj"]

            def run() -> int:
                destroy(obj, _data(shadow))
                return 0

            self._guest.callback("shadow dtor", run)
        self._rcu.free_later(shadow.address, "klp_shadow")

    def _find(self, obj: int, shadow_id: int) -> View | None:
        for shadow in self._in_bucket(self._bucket(obj)):
            if shadow["obj"] == obj and shadow["id"] == shadow_id:
                return shadow
        return None

    def _in_bucket(self, head: int) -> Iterator[View]:
        return (View(self._guest, KLP_SHADOW, node) for node in hlist_nodes(self._guest, head))

    def _bucket(self, obj: int) -> int:
        return self._hash + 8 * ((obj >> OBJECT_ALIGN_BITS) % (1 << HASH_BITS))


def _data(shadow: View) -> int:
    return shadow.address + KLP_SHADOW.size


def _name(obj: int, shadow_id: int) -> str:
    return f"<{obj:016x}, {shadow_id:x}>"
