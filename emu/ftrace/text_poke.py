"""Rewriting kernel text: queued pokes of live text, and plain ones before it is live.

Which steps a poke takes, and in which order, is the port's (``emu.arch.<port>.poke``); each has a stable
name in `step_names`, so that a run may leave one out.

Source: arch/x86/kernel/alternative.c, text_poke_queue, text_poke_finish, text_poke_bp (6.1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from emu.arch.port import Port
from emu.arch.tracing import Poke, Step, StepKind
from emu.kernel.guest import Guest
from emu.kernel.kallsyms import Kallsyms
from emu.machine.operations import Barrier

BOOT_SYNC = "sync after early"
"""The one sync at the end of `TextPoke.early`."""


def step_names(port: Port) -> Mapping[str, str]:
    """Return the name of every step of a poke on ``port``, with what goes wrong when it is left out."""
    return {
        **port.tracing.step_names,
        BOOT_SYNC: "a CPU that runs already may have fetched the text as the compiler made it",
        "trampoline": "the private copy is missing",
        "trampoline ops pointer": "the private copy hands its handler no ops",
        "sync after trampoline": "a CPU may have fetched what the memory held before",
    }


class TextPoke:
    """The queue of pokes.

    Args:
        guest: the patching CPU.
        kallsyms: knows where the data is that breakpoint handlers look in.
    """

    def __init__(self, guest: Guest, kallsyms: Kallsyms) -> None:
        self._guest, self._tracing = guest, guest.port.tracing
        self._queue: list[Poke] = []
        self._shield, self._room = 0, 1
        if self._tracing.shield:
            (symbol,) = kallsyms.find(None, self._tracing.shield)
            self._shield = symbol.address
            self._room = (symbol.size - self._tracing.shield_header) // self._tracing.shield_entry
            assert self._room > 0, f"{symbol.name} has {symbol.size} bytes, too few for one entry"

    def queue(self, address: int, data: bytes) -> None:
        """Have ``data`` written at ``address`` once the queue is full, out of order or finished."""
        out_of_order = bool(self._queue) and address <= self._queue[-1].address
        if out_of_order or len(self._queue) == self._room:
            self.finish()
        self._queue.append(Poke(address=address, data=data))

    def finish(self) -> None:
        """Write what is queued."""
        if self._queue:
            pokes, self._queue = self._queue, []
            self._play(self._tracing.poke_steps(pokes, self._shield))

    def poke(self, address: int, data: bytes) -> None:
        """Write ``data`` at ``address`` now, while CPUs may be running it: text_poke_bp."""
        self.finish()
        self.queue(address, data)
        self.finish()

    def early(self, pokes: Sequence[Poke]) -> None:
        """Write text that no CPU runs yet: no protocol, one sync at the end."""
        if pokes:
            self._play(self._tracing.early_steps(pokes))
            self._guest.sync_cores(BOOT_SYNC)

    def _play(self, steps: Sequence[Step]) -> None:
        for step in steps:
            self._play_step(step)

    def _play_step(self, step: Step) -> None:
        guest, size = self._guest, len(step.data)
        match step.kind:
            case StepKind.STORE:
                guest.store(step.address, int.from_bytes(step.data, "little"), size, what=step.what)
            case StepKind.TEXT_STORE:
                guest.text_store(step.address, step.data, step.what)
            case StepKind.WMB:
                guest.barrier(Barrier.WMB, step.what)
            case StepKind.DSB:
                guest.barrier(Barrier.DSB, step.what)
            case StepKind.ISB:
                guest.barrier(Barrier.ISB, step.what)
            case StepKind.CACHE_CLEAN:
                guest.cache_clean(step.address, size)
            case StepKind.CACHE_INVALIDATE:
                guest.cache_invalidate(step.address, size)
            case StepKind.SYNC:
                guest.sync_cores(step.what)
            case StepKind.RELEASE:
                self._release(step)

    def _release(self, step: Step) -> None:
        # handlers take the count up while they look: the entries are theirs too until it is 0
        holders = self._guest.atomic_add(step.address, -1, what=step.what)
        while holders:
            self._guest.wait_while(step.address, holders, "bp_desc wait")
            holders = self._guest.load(step.address)
