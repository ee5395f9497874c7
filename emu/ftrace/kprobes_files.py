"""The files of /sys/kernel/debug/kprobes: which probes there are, and the switch for all of them.

Source: kernel/kprobes.c, report_probe, write_enabled_file_bool (6.1).
"""

from __future__ import annotations

from collections.abc import Mapping

from emu.ftrace.kprobes import DISABLED, GONE, Kprobe, Kprobes
from emu.kernel.errno import EINVAL
from emu.kernel.kallsyms import Kallsyms
from emu.kernel.kstrtox import kstrtobool
from emu.kernel.pseudo_files import Directory, PseudoFile, PseudoTree

ROOT = "/sys/kernel/debug/kprobes"


class KprobesFiles(PseudoTree):
    """The tree.

    Args:
        kprobes: of the kernel.
        kallsyms: names of addresses.
    """

    def __init__(self, kprobes: Kprobes, kallsyms: Kallsyms) -> None:
        super().__init__(self._entries, mounted_at=ROOT)
        self._kprobes, self._kallsyms = kprobes, kallsyms

    def _entries(self) -> Mapping[str, PseudoFile | Directory]:
        return {
            "enabled": PseudoFile(
                mode=0o600, show=lambda: f"{int(not self._kprobes.all_disarmed)}\n", store=self._switch
            ),
            "list": PseudoFile(mode=0o400, show=self._list, unwritable=EINVAL),
        }

    def _switch(self, text: str) -> int:
        on = kstrtobool(text)
        if on is None:
            return -EINVAL
        return self._kprobes.switch(on=on) or len(text)

    def _list(self) -> str:
        return "".join(f"{self._line(probe)}\n" for probe in self._kprobes.registered())

    def _line(self, probe: Kprobe) -> str:
        place, flags = self._kallsyms.containing(probe.addr), probe.flags
        name = f"{probe.addr:#x} "
        if place is not None:
            name = f"{place.symbol.name}+{place.offset:#x}  {place.symbol.object or ' '} "
        state = "[GONE]" if flags & GONE else "[DISABLED]" if flags & DISABLED else ""
        return f"{probe.addr:016x}  k  {name}{state}{'[FTRACE]' if probe.by_ftrace else ''}"
