"""klp relocations: filling in what a patch module refers to, when that is there.

Source: kernel/livepatch/core.c, klp_resolve_symbols, klp_apply_section_relocs (6.1), klp_clear_object_relocs
(6.3); kernel/module/main.c, apply_relocations; arch/x86/kernel/module.c, arch/arm64/kernel/module.c.
"""

from __future__ import annotations

import re

from emu.arch.tracing import Poke
from emu.build.contents import VMLINUX
from emu.build.elf.relocate import MACHINES, insert, value_of
from emu.build.klp import SECTION_PREFIX, SYMBOL_PREFIX, KlpRelocation, KlpSection
from emu.ftrace import TextPoke
from emu.kernel.errno import EINVAL, ENOEXEC
from emu.kernel.guest import Guest
from emu.kernel.kallsyms import Kallsyms
from emu.kernel.modules import KlpInfo, Module, Modules
from emu.livepatch.flavour import Flavour
from emu.livepatch.log import Log
from emu.livepatch.symbols import KSYM_NAME_LEN, MODULE_NAME_LEN, klp_find_object_symbol
from emu.units import unsigned64

_OBJECT = rf"([^.]{{1,{MODULE_NAME_LEN - 1}}})"
_SECTION = re.compile(re.escape(SECTION_PREFIX) + _OBJECT)
_SYMBOL = re.compile(rf"{re.escape(SYMBOL_PREFIX)}{_OBJECT}\.([^,]{{1,{KSYM_NAME_LEN - 1}}}),\s*(\d+)")


class Relocations:
    """Applies them.

    Args:
        guest: the patching CPU.
        kallsyms, modules: of the same kernel.
        poke: writes text.
        log: gets the messages.
        flavour: whether they are taken back.
    """

    def __init__(
        self,
        guest: Guest,
        kallsyms: Kallsyms,
        modules: Modules,
        poke: TextPoke,
        log: Log,
        flavour: Flavour,
    ) -> None:
        self._guest, self._kallsyms, self._modules, self._poke = guest, kallsyms, modules, poke
        self._log, self._flavour = log, flavour
        self._machine = MACHINES[guest.port.machine]

    def apply_relocations(self, module: Module) -> int:
        """Apply what refers to vmlinux, while ``module`` is being loaded: 0, -EINVAL or -ENOEXEC."""
        return self.klp_apply_object_relocs(module, VMLINUX)

    def klp_apply_object_relocs(self, module: Module, object_name: str) -> int:
        """Apply what sections for one object say: 0, -EINVAL (names, symbols) or -ENOEXEC (places)."""
        for section in module.klp_info.sections:
            ret = self._write_section_relocs(module, section, object_name, apply=True)
            if ret:
                return ret
        return 0

    def klp_clear_object_relocs(self, patch: str, object_name: str) -> None:
        """Undo that on a patch module, where the port and the flavour do: the object goes."""
        module = self._modules.find(patch)
        assert module is not None, "a patch in use holds its module"
        if self._flavour.clears_relocations and self._machine.fills_zeros:
            for section in module.klp_info.sections:
                self._write_section_relocs(module, section, object_name, apply=False)

    def _write_section_relocs(
        self, module: Module, section: KlpSection, object_name: str, *, apply: bool
    ) -> int:
        found = _SECTION.match(section.name)
        if found is None:
            self._log.tell(f"section {section.name} has an incorrectly formatted name")
            return -EINVAL
        if found[1] != object_name:
            return 0
        if not apply:
            self._write_relocate_add(module, section, apply=False)
            return 0
        ret = self.klp_resolve_symbols(section, module.klp_info, object_name)
        return ret or self._write_relocate_add(module, section, apply=True)

    def klp_resolve_symbols(self, section: KlpSection, info: KlpInfo, section_object: str) -> int:
        """Look up the symbols of one section; 0, or -EINVAL and a line that says why."""
        for relocation in section.relocations:
            symbol = relocation.symbol
            if not relocation.is_marked:
                self._log.tell(f"symbol {symbol} is not marked as a livepatch symbol")
                return -EINVAL
            found = _SYMBOL.match(symbol)
            if found is None:
                self._log.tell(f"symbol {symbol} has an incorrectly formatted name")
                return -EINVAL
            owner, name, sympos = found[1], found[2], int(found[3])
            if owner == VMLINUX and section_object != VMLINUX:
                self._log.tell(
                    f"invalid access to vmlinux symbol '{name}' from module-specific livepatch "
                    "relocation section"
                )
                return -EINVAL
            place = klp_find_object_symbol(
                self._kallsyms, self._log, None if owner == VMLINUX else owner, name, sympos
            )
            if place is None:
                return -EINVAL
            info.st_values[symbol] = place.address
        return 0

    # --- the ports' part ------------------------------------------------------------------------

    def _write_relocate_add(self, module: Module, section: KlpSection, *, apply: bool) -> int:
        """Write places, or zeros over them, until one can't be: 0 or -ENOEXEC.

        Text is written as text that no CPU runs: nobody can be inside a replacement that is incomplete.
        """
        pokes: list[Poke] = []
        ret = 0
        for relocation in section.relocations:
            symbol = module.klp_info.st_values.get(relocation.symbol, 0)
            ret = self._write(module, relocation, symbol, pokes, apply=apply)
            if ret:
                break
        self._poke.early(pokes)
        return ret

    def _write(
        self, module: Module, relocation: KlpRelocation, symbol: int, pokes: list[Poke], *, apply: bool
    ) -> int:
        rule, place = self._machine.rules[relocation.kind], relocation.place
        x = value_of(rule, symbol=symbol, addend=relocation.addend, place=place, got=relocation.slot)
        if rule.reach is not None and not rule.reach[0] <= x < rule.reach[1] and relocation.plt:
            entry = self._guest.port.tracing.plt_entry
            assert entry is not None, "a port without PLTs reserves no entries"
            self._put(pokes, relocation.plt, entry(symbol + relocation.addend), in_text=True)
            x = relocation.plt - place
        word = self._guest.load(place, rule.size) if rule.size else 0
        if self._machine.fills_zeros and not self._fits(relocation, word, x, apply=apply):
            return -ENOEXEC
        if (rule.reach is not None and not rule.reach[0] <= x < rule.reach[1]) or x % rule.align:
            self._tell_overflow(module, relocation, x)
            return -ENOEXEC
        if relocation.slot:
            held = symbol + (relocation.addend if self._machine.got_addend else 0)
            self._guest.store(relocation.slot, held if apply else 0, what="klp relocation")
        value = insert(rule, word, x) if apply else 0
        if rule.size:
            self._put(pokes, place, value.to_bytes(rule.size, "little"), in_text=relocation.in_text)
        return 0

    def _put(self, pokes: list[Poke], address: int, data: bytes, *, in_text: bool) -> None:
        if in_text:
            pokes.append(Poke(address=address, data=data))
        else:
            value = int.from_bytes(data, "little")
            self._guest.store(address, value, len(data), what="klp relocation")

    def _fits(self, relocation: KlpRelocation, word: int, x: int, *, apply: bool) -> bool:
        """Whether a place holds what x86-64 wants there before it is written; else a line says so."""
        mask = (1 << 8 * self._machine.rules[relocation.kind].size) - 1
        if word == (0 if apply else x & mask):
            return True
        skipping = "Invalid" if self._flavour.clears_relocations else "Skipping invalid"
        existing = "is nonzero" if apply else "does not match expected value"
        self._guest.log(
            f"module: x86/modules: {skipping} relocation target, existing value {existing} for type "
            f"{self._type(relocation)}, loc {relocation.place:016x}, val {unsigned64(x):x}"
        )
        return False

    def _tell_overflow(self, module: Module, relocation: KlpRelocation, x: int) -> None:
        what = f"overflow in relocation type {self._type(relocation)} val {unsigned64(x):x}"
        if self._machine.fills_zeros:
            self._guest.log(f"module: {what}")
            self._guest.log(f"module: `{module.name}' likely not compiled with -mcmodel=kernel")
        else:
            self._guest.log(f"module {module.name}: {what}")

    def _type(self, relocation: KlpRelocation) -> int:
        return next(number for number, name in self._machine.names.items() if name == relocation.kind)
