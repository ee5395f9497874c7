"""The recording of one machine: rows, log, and what one needs to know to read them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emu.arch.tracing import Poke
from emu.build.image import Image
from emu.ftrace import sites_in
from emu.kernel.kallsyms import Kallsyms
from emu.kernel.kernel import Kernel
from emu.kernel.modules import Module
from emu.lab.code_blocks import block_of_module, block_of_plt, block_of_trampoline
from emu.lab.meta import starting_meta, task_entries
from emu.lab.scenario import Scenario
from emu.lab.symbols import SymbolBook
from emu.machine import state as s
from emu.structs import FTRACE_OPS
from emu.trace.meta import Meta, PatchEntry
from emu.trace.recorder import MemoryRecorder, Recorder
from emu.trace.run import Run
from emu.trace.writer import RunWriter


class Recording:
    """What a machine leaves behind, in memory or in a directory.

    Args:
        kernel, kallsyms, symbols, scenario: of the machine.
        patches: the patches table as it is now.
        out: directory to record to; None: memory.

    Raises:
        EmuError: ``out`` can't be written to, or holds something else.
    """

    def __init__(
        self,
        kernel: Kernel,
        kallsyms: Kallsyms,
        symbols: SymbolBook,
        *,
        scenario: Scenario,
        patches: Callable[[], list[PatchEntry]],
        out: Path | None,
    ) -> None:
        self._kernel, self._kallsyms, self._symbols = kernel, kallsyms, symbols
        self._scenario, self._patches = scenario, patches
        self._begin(MemoryRecorder(self._meta()) if out is None else RunWriter(out, self._meta()))
        kernel.engine.on_flush = self.flush

    def move_to(self, directory: Path) -> None:
        """Record to a directory instead of memory; nothing may have run yet."""
        assert not self._kernel.engine.instructions(), "a recording holds all that its machine has done"
        self._begin(RunWriter(directory, self._meta()))

    def _begin(self, recorder: Recorder) -> None:
        self._recorder = recorder
        for line in self._kernel.log:
            recorder.add_log(line)
        self._kernel.on_log = recorder.add_log
        self.publish()

    def _meta(self) -> Meta:
        return starting_meta(self._scenario, self._kernel.tasks, self._patches())

    # --- while the machine runs -----------------------------------------------------------------

    def flush(self) -> None:
        """Take what the engine has recorded."""
        calls, events = self._kernel.engine.take_rows()
        self._recorder.add_calls(calls)
        self._recorder.add_events(events)

    def publish(self) -> None:
        """Tell what addresses mean from now on, so that the recording can be read if the run is killed."""
        self._recorder.set_symbols(self._symbols.table())
        self._recorder.update_meta({"patches": self._patches()})

    def publish_tasks(self) -> None:
        """Tell which tasks there are from now on."""
        self._recorder.update_meta({"tasks": task_entries(self._kernel.tasks)})

    def add_module(self, module: Module, image: Image) -> None:
        """Take in a module that has appeared."""
        enter = self._symbols.add_patch if module.livepatch else self._symbols.add_module
        names = enter(module.name, image)
        self._recorder.add_code(block_of_module(module, image, names, self._seq()))
        self.publish()

    def add_plt(self, module: str, entries: Sequence[Poke], targets: Sequence[int]) -> None:
        """Take in a module's PLT: one entry for each of the callers at ``targets``."""
        callers = {
            self._kallsyms.name_at(target): (entry.address, len(entry.data))
            for target, entry in zip(targets, entries, strict=True)
        }
        names = [*self._symbols.add_plt(module, callers).values()]
        self._recorder.add_code(block_of_plt(module, entries, names, self._seq()))

    def add_trampoline(self, address: int, code: bytes, template: int, ops: int) -> None:
        """Take in a private copy of the caller at ``template``, for the ftrace_ops at ``ops``."""
        name = self._symbols.add_trampoline("+".join(self._functions(ops)), address, len(code))
        block = block_of_trampoline(
            name, address, code, template=template, kernel=self._kernel.image, seq=self._seq()
        )
        self._recorder.add_code(block)

    def _functions(self, ops: int) -> list[str]:
        """Return the functions that a ftrace_ops is for; none of the machine's operations is made for it."""
        memory = self._kernel.engine.memory
        sites = sites_in(memory.load(ops + FTRACE_OPS.offset("local_hash.filter_hash")), memory.load)
        places = [self._kallsyms.containing(site) for site in sites]
        return [place.symbol.name for place in places if place is not None]

    def _seq(self) -> int:
        return int(self._kernel.engine.ctl[s.CTL_SEQUENCE])

    @property
    def calls(self) -> NDArray[np.void]:
        """The calls that have completed so far."""
        self.flush()
        return self._recorder.calls

    # --- at the end -----------------------------------------------------------------------------

    def run(self) -> Run:
        """Return what has been recorded so far."""
        self.flush()
        return self._recorder.run()

    def finish(self) -> Run:
        """Complete the recording and return it."""
        self.flush()
        engine = self._kernel.engine
        self._recorder.add_calls(engine.open_calls())
        return self._recorder.finish(
            {
                "instructions": engine.instructions(),
                "cycles": self._kernel.furthest_clock(),
                "patches": self._patches(),
                "warnings": self._kernel.warnings(),
            }
        )

    def close(self) -> None:
        """Give files back; a recording that was not finished stays an incomplete one."""
        self._recorder.close()
