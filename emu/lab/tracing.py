"""Putting counting ftrace_ops on functions of a machine, as a tracer would."""

from __future__ import annotations

from emu.errors import UnknownNameError
from emu.ftrace import Ftrace, FtraceOps, OpsFlags
from emu.kernel.errno import ENOENT, ENOMEM
from emu.kernel.installer import Job
from emu.kernel.kernel import Kernel
from emu.structs import FTRACE_OPS


class Tracing:
    """Counting handlers on traced functions.

    Args:
        kernel, ftrace: of the machine.
    """

    def __init__(self, kernel: Kernel, ftrace: Ftrace) -> None:
        self._kernel, self._ftrace = kernel, ftrace
        self._users: dict[str, list[FtraceOps]] = {}

    def add(self, function: str, *, save_regs: bool = False, ipmodify: bool = False) -> Job[int]:
        """Have the patching CPU register one more counting ops on ``function``.

        Args:
            save_regs: ask for every register.
            ipmodify: claim the right to change the instruction pointer (it does not).

        Returns:
            A job whose result is 0 or a negative errno.
        """
        flags = OpsFlags.DYNAMIC
        flags |= OpsFlags.SAVE_REGS if save_regs else OpsFlags(0)
        flags |= OpsFlags.IPMODIFY if ipmodify else OpsFlags(0)
        address = self._address(function)
        return self._kernel.installer.submit(
            f"trace {function}", lambda: self._register(function, address, flags)
        )

    def remove(self, function: str) -> Job[int]:
        """Have the patching CPU unregister the newest counting ops on ``function``: 0 or -ENOENT."""
        self._address(function)
        return self._kernel.installer.submit(f"untrace {function}", lambda: self._unregister(function))

    def hits(self, function: str) -> int:
        """Return how often the counting handlers on ``function`` have been called."""
        offset = FTRACE_OPS.offset("hits")
        memory = self._kernel.engine.memory
        return sum(memory.load(ops.address + offset) for ops in self._users.get(function, []))

    def _address(self, function: str) -> int:
        found = [
            symbol.address
            for owner in self._ftrace.kallsyms.objects()
            for symbol in self._ftrace.kallsyms.find(owner, function)
        ]
        if not found:
            raise UnknownNameError("function", function, sorted(self._kernel.image.sites))
        return found[0]

    def _register(self, function: str, address: int, flags: OpsFlags) -> int:
        guest = self._kernel.guest
        place = guest.alloc(FTRACE_OPS.size, "ftrace_ops")
        if not place:
            return -ENOMEM
        ops = self._ftrace.ops(place)
        ops.view["func"] = self._kernel.image.address("ftrace_count_hits")
        ops.view["flags"] = flags
        ret = self._ftrace.ftrace_set_filter_ip(ops, address) or self._ftrace.register_ftrace_function(ops)
        if ret:
            self._ftrace.ftrace_set_filter_ip(ops, address, remove=True)
            guest.free(place, "ftrace_ops")
            return ret
        self._users.setdefault(function, []).append(ops)
        return 0

    def _unregister(self, function: str) -> int:
        users = self._users.get(function)
        if not users:
            return -ENOENT
        ops = users.pop()
        ret = self._ftrace.unregister_ftrace_function(ops)
        if not ret:
            self._ftrace.ftrace_set_filter_ip(ops, self._address(function), remove=True)
            self._ftrace.rcu.barrier("ops of the tracer")
            self._kernel.guest.free(ops.address, "ftrace_ops")
        return ret
