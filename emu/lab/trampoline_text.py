"""Text memory of trampolines: everybody who follows what runs there is told what comes and goes."""

from __future__ import annotations

from collections.abc import Sequence

from emu.arch.tracing import Poke
from emu.ftrace import Ftrace
from emu.kernel.kernel import Kernel
from emu.kernel.text_area import TextArea
from emu.lab.recording import Recording
from emu.trace.schema import EventKind


class TrampolineText:
    """Gives it out to ftrace, and takes it back.

    Args:
        kernel: the machine.
        area: the memory.
    """

    def __init__(self, kernel: Kernel, area: TextArea) -> None:
        self._kernel, self._area = kernel, area

    def allocate(self, size: int) -> int:
        """Return the address of ``size`` bytes, 0 when there is no room."""
        address = self._area.allocate(size)
        if address:
            self._kernel.watch_trampoline(address)
            self._kernel.event(EventKind.ALLOC, address, size)
        return address

    def free(self, address: int) -> None:
        """Take back what `allocate` gave; no CPU may run it any more."""
        self._kernel.unwinder.remove_text(address)
        self._area.free(address)
        self._kernel.event(EventKind.FREE, address)

    def follow(self, ftrace: Ftrace, recording: Recording) -> None:
        """Let the unwinder and the recording know what ``ftrace`` makes from now on."""
        kernel, unwinder = self._kernel, self._kernel.unwinder

        def note_trampoline(address: int, code: bytes, template: int, ops: int) -> None:
            unwinder.add_text("ftrace_trampoline", address, code, template=template)
            kernel.classify_trampoline(address, len(code), template)
            recording.add_trampoline(address, code, template, ops)

        def note_plt(module: str, entries: Sequence[Poke], targets: Sequence[int]) -> None:
            for entry in entries:
                unwinder.add_text("ftrace_plt", entry.address, entry.data)
            recording.add_plt(module, entries, targets)

        ftrace.trampolines.on_trampoline, ftrace.trampolines.on_plt = note_trampoline, note_plt
