"""Kprobes inside functions, by breakpoints: the probed instruction is run elsewhere, in a slot.

A slot holds two copies of the instruction, each with a breakpoint behind it. The first is stepped when a post
handler follows; the second when none does, or when the probe was hit within another one.

Source: arch/x86/kernel/kprobes/core.c, can_probe, arch_prepare_kprobe; arch/arm64/kernel/probes/kprobes.c and
decode-insn.c (6.1). Linux emulates jumps, calls and what is relative to the PC, or adjusts the copy; here
such instructions are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from emu.arch.tracing import Poke
from emu.build.decode import Instruction, decode
from emu.ftrace.text_poke import TextPoke
from emu.kernel.bytes import load_bytes
from emu.kernel.errno import EILSEQ, EINVAL, ENOMEM
from emu.kernel.guest import Guest, View
from emu.kernel.kallsyms import Kallsyms, Place, Symbol

SLOT_OWNER = "__builtin__kprobes"
"""Object of the slots' symbols. Source: kernel/kprobes.c, get_insn_slot and KPROBE_INSN_PAGE_SYM (6.1)."""
_COPY_ROOM = 16  # bytes that a copy and its breakpoint take at most
_LONGEST = 15  # bytes of an instruction. Source: Intel SDM vol. 2A, 2.3.11
_ATOMIC_ROOM = 128  # bytes looked back. Source: decode-insn.c, MAX_ATOMIC_CONTEXT_SIZE
_TRANSFERS = frozenset({"jump", "call", "return", "interrupt", "interrupt_return", "relative"})


class KprobeSlots:
    """The slots of one kernel.

    Args:
        guest: the patching CPU.
        kallsyms: where functions begin.
        poke: writes text.
        text_alloc: size -> address in text memory, or 0; asked as fallible step ``text_alloc``.
        text_free: gives it back.
    """

    def __init__(
        self,
        guest: Guest,
        kallsyms: Kallsyms,
        poke: TextPoke,
        *,
        text_alloc: Callable[[int], int],
        text_free: Callable[[int], None],
    ) -> None:
        self._guest, self._kallsyms, self._poke = guest, kallsyms, poke
        self._text_alloc, self._text_free = text_alloc, text_free
        self._probing = guest.port.probing
        self._symbols: dict[int, Symbol] = {}

    def prepare(self, kprobe: View, probed: Mapping[int, bytes]) -> int:
        """Give a kprobe its slot: arch_prepare_kprobe.

        Args:
            kprobe: its ``addr`` is set.
            probed: the original bytes where breakpoints of other probes stand, by address.

        Returns:
            0; -EILSEQ: no instruction starts there; -EINVAL: it is not aligned, is there to trap, or can't be
            run elsewhere, which a line of the log tells; -ENOMEM.
        """
        addr = kprobe["addr"]
        if addr % self._probing.alignment:
            return -EINVAL
        place = self._kallsyms.containing(addr)
        before, found = self._instructions(place, addr, probed) if place is not None else ([], None)
        if found is None:
            return -EILSEQ
        reason = self._refusal(found, before)
        if reason:
            where = self._kallsyms.with_offset(addr)
            self._guest.log(f"klpemu: kprobes: can't run '{found.text}' at {where} elsewhere: {reason}")
            return -EINVAL
        return self._fill(kprobe, load_bytes(self._guest, addr, found.size))

    def _instructions(
        self, place: Place, addr: int, probed: Mapping[int, bytes]
    ) -> tuple[list[Instruction], Instruction | None]:
        """Return what stands before ``addr`` in its function, and there; None where no instruction starts."""
        start = addr - place.offset
        size = min(place.symbol.size, place.offset + _LONGEST)
        code = bytearray(load_bytes(self._guest, start, size))
        for at, original in probed.items():
            if start <= at < start + size - len(original):
                code[at - start : at - start + len(original)] = original
        decoded = decode(self._guest.port, bytes(code), start)
        found = next((instruction for instruction in decoded if instruction.address == addr), None)
        return [instruction for instruction in decoded if instruction.address < addr], found

    def _refusal(self, found: Instruction, before: list[Instruction]) -> str:
        probing = self._probing
        if found.mnemonic in probing.traps:
            return "it is a BUG or WARN"
        if found.groups & _TRANSFERS:
            return "it goes elsewhere itself"
        if probing.unsteppable.fullmatch(found.text):
            return "it depends on where it is, or on interrupts"
        if probing.exclusive is None:
            return ""
        loads, stores = probing.exclusive
        for instruction in reversed(before[-_ATOMIC_ROOM // probing.alignment :]):
            if re.match(stores, instruction.mnemonic):
                break
            if re.match(loads, instruction.mnemonic):
                return "an exclusive load before it waits for its store"
        return ""

    def _fill(self, kprobe: View, original: bytes) -> int:
        guest, trap = self._guest, self._probing.step_trap
        size = 2 * _COPY_ROOM
        at = (
            0
            if guest.fail("text_alloc")
            else guest.callback("text_alloc", lambda: self._text_alloc(size), under_locks=False)
        )
        if not at:
            return -ENOMEM
        plain = at + _COPY_ROOM
        self._poke.early([Poke(address=copy, data=original + trap) for copy in (at, plain)])
        kprobe["ainsn.insn"], kprobe["ainsn.trap"] = at, at + len(original)
        kprobe["ainsn.plain"], kprobe["ainsn.plain_trap"] = plain, plain + len(original)
        kprobe["ainsn.behind"] = kprobe["addr"] + len(original)
        symbol = Symbol(name="kprobe_insn_page", address=at, size=size, object=SLOT_OWNER)
        self._symbols[at] = symbol
        self._kallsyms.add(SLOT_OWNER, [symbol])
        return 0

    def release(self, kprobe: View) -> None:
        """Take a kprobe's slot back; no task may be inside it any more."""
        at = kprobe["ainsn.insn"]
        if not at:
            return
        kprobe["ainsn.insn"] = 0
        self._kallsyms.discard(self._symbols.pop(at))

        def release() -> int:
            self._text_free(at)
            return 0

        self._guest.callback("text_free", release, under_locks=False)

    def arm(self, addr: int) -> bytes:
        """Put a breakpoint at ``addr``, in one store, and return what it hides; all CPUs see it on return."""
        hidden = load_bytes(self._guest, addr, len(self._probing.breakpoint))
        self._poke.early([Poke(address=addr, data=self._probing.breakpoint)])
        return hidden

    def disarm(self, addr: int, hidden: bytes) -> None:
        """Take the breakpoint at ``addr`` away; no CPU comes to it any more on return."""
        self._poke.early([Poke(address=addr, data=hidden)])
