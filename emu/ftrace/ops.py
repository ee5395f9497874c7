"""ftrace_ops in guest memory, and the chain of the registered ones.

Source: kernel/trace/ftrace.c, add_ftrace_ops, remove_ftrace_ops (6.1).
"""

from __future__ import annotations

from collections.abc import Iterator

from emu.build.memory_map import KERNEL_DATA
from emu.ftrace.flags import OpsFlags
from emu.ftrace.hashes import Hashes
from emu.kernel.guest import Guest, View
from emu.kernel.kallsyms import Kallsyms
from emu.machine.operations import Barrier
from emu.structs import FTRACE_OPS


class FtraceOps:
    """One ``struct ftrace_ops``: a view with names. Two objects at one address are the same ops."""

    __slots__ = ("address", "view")

    def __init__(self, guest: Guest, address: int) -> None:
        self.address, self.view = address, View(guest, FTRACE_OPS, address)

    def init(self) -> None:
        """Let it use its own filter, once: ftrace_ops_init."""
        if not self.flags & OpsFlags.INITIALIZED:
            self.view["func_hash"] = self.view.at("local_hash.notrace_hash")
            self.set_flags(OpsFlags.INITIALIZED)

    @property
    def flags(self) -> OpsFlags:
        """Its flags, loaded now."""
        return OpsFlags(self.view["flags"])

    def set_flags(self, flags: OpsFlags) -> None:
        """Set ``flags``, leaving the others."""
        self.view["flags"] = self.flags | flags

    def clear_flags(self, flags: OpsFlags) -> None:
        """Clear ``flags``, leaving the others."""
        self.view["flags"] = self.flags & ~flags

    @property
    def func(self) -> int:
        """The handler's address, loaded now."""
        return self.view["func"]

    @property
    def trampoline(self) -> int:
        """The private trampoline's address, 0 = none, loaded now."""
        return self.view["trampoline"]

    @property
    def is_static(self) -> bool:
        """Whether it lies in the kernel's own data, so that it is never freed: is_kernel_core_data."""
        return self.address in KERNEL_DATA


class OpsChain:
    """``ftrace_ops_list``: the registered ops, newest first, ended by ``ftrace_list_end``."""

    def __init__(self, guest: Guest, kallsyms: Kallsyms, hashes: Hashes) -> None:
        self._guest, self._hashes = guest, hashes
        self.head = kallsyms.address_of("ftrace_ops_list")
        self.end = kallsyms.address_of("ftrace_list_end")

    def init(self) -> None:
        """Make it empty, and its end one that is never called."""
        FtraceOps(self._guest, self.end).view["flags"] = OpsFlags.STUB
        self._guest.store(self.head, self.end, what="ftrace_ops_list")

    def __iter__(self) -> Iterator[FtraceOps]:
        address = self._guest.load(self.head)
        while address != self.end:
            ops = FtraceOps(self._guest, address)
            yield ops
            address = ops.view["next"]

    @property
    def first(self) -> int:
        """Address of the newest ops, or of ``ftrace_list_end``."""
        return self._guest.load(self.head)

    def add(self, ops: FtraceOps) -> None:
        """Put ``ops`` first; a walker sees it with its ``next`` in place."""
        ops.view["next"] = self.first
        # pairs with the address dependency of the walk in ftrace_ops_list_func
        self._guest.barrier(Barrier.WMB, "ftrace_ops_list publish")
        self._guest.store(self.head, ops.address, what="ftrace_ops_list")

    def remove(self, ops: FtraceOps) -> bool:
        """Take ``ops`` out; its ``next`` stays for walkers that are on it. False: it was not there."""
        pointer, address = self.head, self.first
        while address != self.end:
            following = FtraceOps(self._guest, address).view["next"]
            if address == ops.address:
                self._guest.store(pointer, following, what="ftrace_ops_list unlink")
                return True
            pointer, address = address + FTRACE_OPS.offset("next"), following
        return False

    def users_of(self, ip: int) -> list[FtraceOps]:
        """Return the registered ops that want the site ``ip``, newest first."""
        return [ops for ops in self if ip in self.filter_of(ops)]

    def filter_of(self, ops: FtraceOps) -> frozenset[int]:
        """Return the sites that ``ops`` wants."""
        return self._hashes.ips(ops.view["local_hash.filter_hash"])
