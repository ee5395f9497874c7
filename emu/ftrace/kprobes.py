"""Kprobes: handlers before and behind an instruction of the kernel.

A probe at a function's entry is taken by ftrace where the port has that, and then gets along with livepatch
only without a post handler; any other is a breakpoint, which livepatch does not mind.

Functions carry the kernel's names and return its codes. Source: kernel/kprobes.c (6.1). Not modelled: return
probes, jump optimization, and a second probe at one address (-EEXIST here).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from emu.build.memory_map import KERNEL_TEXT
from emu.ftrace.core import Ftrace
from emu.ftrace.kprobe_ops import KprobeOps
from emu.ftrace.kprobe_slots import KprobeSlots
from emu.ftrace.text_poke import TextPoke
from emu.kernel.errno import EEXIST, EINVAL, ENOENT
from emu.kernel.guest import Guest, View
from emu.kernel.modules import Module, Modules
from emu.kernel.warn import warn_on
from emu.machine.operations import Barrier
from emu.structs import CONSTANTS, KPROBE

GONE, DISABLED, FTRACE = (CONSTANTS[f"KPROBE_FLAG_{name}"] for name in ("GONE", "DISABLED", "FTRACE"))


@dataclass(slots=True, kw_only=True, eq=False)
class Kprobe:
    """A registered probe: its struct, and what Python knows besides.

    Args:
        view: the ``struct kprobe``.
        addr: of the probed instruction.
        by_ftrace: it is at a function's entry, and ftrace takes it.
        hidden: what the breakpoint hides; empty while there is none.
    """

    view: View
    addr: int
    by_ftrace: bool
    hidden: bytes = b""

    @property
    def flags(self) -> int:
        """Its flags, loaded now."""
        return self.view["flags"]


class Kprobes:
    """Kprobes of one kernel.

    Args:
        guest: the patching CPU.
        ftrace: of the kernel.
        modules: of the kernel.
        text_alloc: size -> address in text memory, or 0; asked as fallible step ``text_alloc``.
        text_free: gives it back and fills it with traps.
        warns: a refusal by ftrace is a WARN, too.

    Attributes:
        on_ftrace: whether probes at functions' entries are taken by ftrace; at first as Linux has it.
    """

    def __init__(
        self,
        guest: Guest,
        ftrace: Ftrace,
        modules: Modules,
        *,
        text_alloc: Callable[[int], int],
        text_free: Callable[[int], None],
        warns: bool = False,
    ) -> None:
        self._guest, self._ftrace, self._modules = guest, ftrace, modules
        self._kallsyms = ftrace.kallsyms
        self._probing = guest.port.probing
        self.on_ftrace = self._probing.on_ftrace
        self._table = self._kallsyms.address_of("kprobe_table")
        self._ops = KprobeOps(ftrace, warns=warns)
        self._slots = KprobeSlots(
            guest, self._kallsyms, TextPoke(guest, self._kallsyms), text_alloc=text_alloc, text_free=text_free
        )
        self._probes: dict[int, Kprobe] = {}
        self._all_disarmed = False

    def registered(self) -> list[Kprobe]:
        """Return the registered probes, the newest first."""
        return list(reversed(self._probes.values()))

    # --- registering ----------------------------------------------------------------------------

    def register_kprobe(self, kprobe: int, symbol: str, offset: int = 0) -> int:
        """Have the handlers of a ``struct kprobe`` called at an instruction.

        Args:
            kprobe: its address; handlers and flags are set.
            symbol: the function, the kernel's or a module's.
            offset: of the instruction in it, bytes.

        Returns:
            0; -ENOENT: no such symbol, or its module goes; -EINVAL: it is registered already, or must not be
            probed there; -EILSEQ: no instruction starts there; -EEXIST; -ENOMEM; or why ftrace refuses it:
            -EBUSY where another user changes the instruction pointer.
        """
        addr = self._kprobe_addr(symbol, offset)
        if addr < 0:
            return addr
        view = self._guest.view(KPROBE, kprobe)
        if warn_on(self._guest, any(probe.view.address == kprobe for probe in self._probes.values())):
            return -EINVAL
        ret = self._check_address_safe(addr)
        if ret:
            return ret
        module = self._modules.at(addr)
        if module is not None and not self._modules.try_get(module.name):
            return -ENOENT
        ret = self._register(view, addr)
        if module is not None:
            self._modules.put(module.name)
        return ret

    def _register(self, view: View, addr: int) -> int:
        if addr in self._probes:
            return -EEXIST
        by_ftrace = self._ftrace.sites.record_at(addr) is not None
        view["addr"], view["nmissed"] = addr, 0
        view["flags"] = view["flags"] & DISABLED | (FTRACE if by_ftrace else 0)
        probe = Kprobe(view=view, addr=addr, by_ftrace=by_ftrace)
        ret = 0 if by_ftrace else self._slots.prepare(view, self._hidden())
        if ret:
            return ret
        self._publish(probe)
        if not self._all_disarmed and not view["flags"] & DISABLED:
            ret = self._arm(probe)
            if ret:
                self._unlink(probe)
                self._ftrace.rcu.synchronize("synchronize_rcu")
                self._slots.release(view)
        return ret

    def _hidden(self) -> dict[int, bytes]:
        return {probe.addr: probe.hidden for probe in self._probes.values()}

    def _kprobe_addr(self, symbol: str, offset: int) -> int:
        """Return the address that is meant; at an entry, behind landing pads where ftrace takes it."""
        found = [
            candidate.address
            for owner in self._kallsyms.objects()
            for candidate in self._kallsyms.find(owner, symbol)
        ]
        place = self._kallsyms.containing(found[0] + offset) if found else None
        if place is None:
            return -ENOENT
        start = found[0] + offset - place.offset
        entry = self._ftrace.sites.entry_site(start).ip if self.on_ftrace else 0
        return entry if entry and place.offset == 0 else start + place.offset

    def _check_address_safe(self, addr: int) -> int:
        record = self._ftrace.sites.record_at(addr)
        if record is not None and (record.old_style or not self.on_ftrace):
            return -EINVAL  # it is ftrace's
        place = self._kallsyms.containing(addr)
        if place is None or (addr not in KERNEL_TEXT and self._modules.at(addr) is None):
            return -EINVAL
        names = {
            symbol.name
            for symbol in self._kallsyms.symbols(None)
            if symbol.address <= addr < symbol.address + symbol.size
        }
        return -EINVAL if names & self._probing.blacklist else 0

    def _publish(self, probe: Kprobe) -> None:
        probe.view["hlist.next"] = self._guest.load(self._table)
        # pairs with the address dependency of the walk in get_kprobe
        self._guest.barrier(Barrier.WMB, "kprobe_table publish")
        self._guest.store(self._table, probe.view.address, what="kprobe_table")
        self._probes[probe.addr] = probe

    def _unlink(self, probe: Kprobe) -> None:
        """Take a probe out of the table; its next stays for walkers that are on it."""
        del self._probes[probe.addr]
        pointer, address = self._table, self._guest.load(self._table)
        while address != probe.view.address:
            assert address, f"the kprobe at {probe.view.address:#x} is in the table"
            pointer = address + KPROBE.offset("hlist.next")
            address = self._guest.load(pointer)
        self._guest.store(pointer, probe.view["hlist.next"], what="kprobe_table unlink")

    # --- unregistering --------------------------------------------------------------------------

    def unregister_kprobe(self, kprobe: int) -> None:
        """Have a probe's handlers called no more, if it is registered; none is running on return."""
        probe = next((probe for probe in self._probes.values() if probe.view.address == kprobe), None)
        if probe is None:
            return
        if not self._all_disarmed and not probe.flags & (DISABLED | GONE):
            warn_on(self._guest, self._disarm(probe))
        # Linux leaves the probe's slot for later; here nobody is in it when the probe leaves the table
        if probe.view["ainsn.insn"]:
            self._ftrace.rcu.synchronize_tasks("tasks out of the kprobe's slot")
        self._unlink(probe)
        self._ftrace.rcu.synchronize("synchronize_rcu")
        self._slots.release(probe.view)

    def module_going(self, module: Module) -> None:
        """Let go of the probes in a module that goes: they stay registered, and are never hit again.

        Source: kprobes_module_callback, kill_kprobe.
        """
        for probe in self._probes.values():
            if not module.base <= probe.addr < module.base + module.size:
                continue
            flags = probe.flags
            if probe.by_ftrace and not flags & (DISABLED | GONE) and not self._all_disarmed:
                self._disarm(probe)
            probe.view["flags"] = flags | GONE
            probe.view["post_handler"] = 0
            self._slots.release(probe.view)

    # --- arming ---------------------------------------------------------------------------------

    def _arm(self, probe: Kprobe) -> int:
        if probe.by_ftrace:
            return self._ops.arm(probe.addr, ipmodify=bool(probe.view["post_handler"]))
        probe.hidden = self._slots.arm(probe.addr)
        return 0

    def _disarm(self, probe: Kprobe) -> int:
        if probe.by_ftrace:
            return self._ops.disarm(probe.addr, ipmodify=bool(probe.view["post_handler"]))
        self._slots.disarm(probe.addr, probe.hidden)
        probe.hidden = b""
        return 0

    @property
    def all_disarmed(self) -> bool:
        """Whether kprobes are switched off as a whole."""
        return self._all_disarmed

    def switch(self, *, on: bool) -> int:
        """Arm or disarm all probes: arm_all_kprobes, disarm_all_kprobes; 0, or the first error."""
        if on != self._all_disarmed:
            return 0
        self._all_disarmed = not on
        act = self._arm if on else self._disarm
        errors = [act(probe) for probe in self._probes.values() if not probe.flags & (DISABLED | GONE)]
        self._guest.log(f"kprobes: Kprobes globally {'enabled' if on else 'disabled'}")
        return next(filter(None, errors), 0)
