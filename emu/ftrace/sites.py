"""The ftrace sites: one record per call that the compiler put at a function's entry.

Source: kernel/trace/ftrace.c, ftrace_process_locs, ftrace_location (6.1); arch/*/kernel/ftrace.c,
ftrace_init_nop, ftrace_call_adjust.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from emu.arch.tracing import Poke
from emu.build.memory_map import TEXT_WINDOWS
from emu.ftrace.flags import RecordFlags
from emu.ftrace.text_poke import TextPoke
from emu.kernel.bytes import load_bytes
from emu.kernel.errno import EINVAL
from emu.kernel.guest import Guest
from emu.kernel.kallsyms import Kallsyms


@dataclass(slots=True, kw_only=True, eq=False)
class DynFtrace:
    """One site: ``struct dyn_ftrace``.

    Args:
        ip: what handlers get as ``ip``: the address of the call when it is on.
        nop: the off state of its bytes.
        module: who owns it; None = vmlinux.
        old_style: the call stands behind the prologue, and its only trampoline is ``mcount_caller``.
        flags, count: users.
        target: what it calls now; 0 = off.
    """

    ip: int
    nop: bytes
    module: str | None = None
    old_style: bool = False
    flags: RecordFlags = field(default_factory=lambda: RecordFlags(0))
    count: int = 0
    target: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a function may be live-patched: ``ip``, or 0 and the ``reason`` why nowhere."""

    ip: int
    reason: str = ""


class Sites:
    """All records, by address."""

    def __init__(self, guest: Guest, kallsyms: Kallsyms, poke: TextPoke) -> None:
        self._guest, self._kallsyms, self._poke = guest, kallsyms, poke
        self._records: dict[int, DynFtrace] = {}
        stubs = [kallsyms.find(None, name) for name in guest.port.stub_names]
        self._stubs = {symbol.address: symbol.name for found in stubs for symbol in found}

    def ftrace_init(self, locations: Sequence[int]) -> int:
        """Switch off the vmlinux sites at ``locations``, the ``__mcount_loc`` table; 0 or -EINVAL."""
        return self.process_locs(None, locations)

    def ftrace_module_init(self, module: str, locations: Sequence[int]) -> int:
        """Switch off the sites of a module that is being loaded; 0 or -EINVAL."""
        return self.process_locs(module, locations)

    def process_locs(self, module: str | None, locations: Sequence[int]) -> int:
        """Make a record for each of ``locations`` and put its bytes into the off state.

        Returns:
            0, or -EINVAL when there is no call or NOP where the table says; then nothing is changed.
        """
        made, pokes = [], []
        for location in sorted(locations):
            record, poke = self._examine(module, location)
            if record is None:
                return -EINVAL
            made.append(record)
            pokes += poke
        self._poke.early(pokes)
        for record in made:
            self._records[record.ip] = record
        return 0

    def _examine(self, module: str | None, location: int) -> tuple[DynFtrace | None, list[Poke]]:
        port, site = self._guest.port, self._guest.port.site
        code = load_bytes(self._guest, location, max(site.poke_offset + site.poke_size, len(site.nop)))
        entry = location + site.poke_offset
        stub = self._stub_called(port.call_target(location, code))
        if stub:
            # the compiler's own call: __fentry__ before the prologue, mcount or _mcount behind it
            old_style = "mcount" in stub
            at = location if old_style else entry
            record = DynFtrace(ip=at, nop=site.nop, module=module, old_style=old_style)
            return record, [Poke(address=at, data=site.nop)]
        if code == site.prologue + site.nop or site.nops.fullmatch(code):
            pokes = [Poke(address=location, data=site.prologue)] if site.prologue else []
            if code[site.poke_offset :] != site.nop:
                # of whichever NOPs the compiler chose, one instruction remains, which a poke replaces whole
                pokes.append(Poke(address=entry, data=site.nop))
            return DynFtrace(ip=entry, nop=site.nop, module=module), pokes
        where = self._kallsyms.with_offset(location)
        self._guest.log(f"ftrace: no call of a stub and no nop at {where}: {code.hex(' ')}")
        return None, []

    def _stub_called(self, target: int | None) -> str:
        """Return the name of the entry stub at ``target``, maybe a PLT entry on the way there; or ""."""
        if target in self._stubs:
            return self._stubs[target]
        plt_entry = self._guest.port.tracing.plt_entry
        if target is None or plt_entry is None or not any(target in window for window in TEXT_WINDOWS):
            return ""
        entries = {plt_entry(address): name for address, name in self._stubs.items()}
        size = len(next(iter(entries), b""))
        return entries.get(load_bytes(self._guest, target, size), "")

    def ftrace_release_mod(self, module: str) -> frozenset[int]:
        """Forget the records of a module that goes, in use or not, and return their addresses."""
        gone = frozenset(record.ip for record in self._records.values() if record.module == module)
        for ip in gone:
            del self._records[ip]
        return gone

    def records(self) -> list[DynFtrace]:
        """Return all records in address order."""
        return [self._records[ip] for ip in sorted(self._records)]

    def behind(self, location: int) -> int:
        """Return the address behind the site that the ``__mcount_loc`` table has at ``location``."""
        site = self._guest.port.site
        is_old_style = location in self._records and self._records[location].old_style
        return location + (0 if is_old_style else site.poke_offset) + site.poke_size

    def record_at(self, ip: int) -> DynFtrace | None:
        """Return the record whose ``ip`` this is, or None."""
        return self._records.get(ip)

    def locate(self, ip: int) -> int:
        """Return the site that ``ip`` means, or 0.

        That is ``ip`` itself when it is a site, or the site in the function whose first byte ``ip`` is.

        Source: kernel/trace/ftrace.c, ftrace_location (6.1).
        """
        if ip in self._records:
            return ip
        place = self._kallsyms.containing(ip)
        if place is None or place.offset:
            return 0
        inside = [site for site in self._records if ip <= site < ip + place.symbol.size]
        return min(inside, default=0)

    def ftrace_location(self, ip: int) -> int:
        """Return `locate` of ``ip``; fallible step ``ftrace_location``."""
        return 0 if self._guest.fail("ftrace_location") else self.locate(ip)

    def entry_site(self, function: int) -> Entry:
        """Return the site at ``function``'s entry: nothing but landing pads may stand before it.

        Behind a prologue the frame is built already, so another function can't take over from there.
        """
        ip = self.ftrace_location(function)
        if not ip:
            return Entry(0, "it has no ftrace site")
        record = self._records[ip]
        if record.old_style:
            return Entry(0, f"its site is {ip - function:#x} bytes in, behind the prologue")
        start = function
        for pad in self._guest.port.site.landing_pads:
            if load_bytes(self._guest, start, len(pad)) == pad:
                start += len(pad)
        if ip != start + self._guest.port.site.poke_offset:
            return Entry(0, f"its site is {ip - function:#x} bytes in, not at its entry")
        return Entry(ip)
