"""Calls that come back wrong: the guest counts all of them, and the first few are noted as they do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from emu.build.decode import decode_lite
from emu.kernel.kernel import Kernel
from emu.lab.recording import Recording
from emu.lab.symbols import SymbolBook
from emu.lab.whereabouts import Whereabouts
from emu.machine.state import ProbeKind

MOST = 5
"""How many are noted."""

_PLACE = "bad_result"
_LONGEST = 32
"""More bytes than the WARN and the jump behind it take on any port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongResult:
    """A call that came back with a wrong result, callee-saved register or stack pointer.

    Args:
        function: its name.
        args: without zeros at the end.
        got, expected: low 32 bits; ``got`` None: not recorded, as the function is not traced.
        ran: what ran instead of the function, "" when it ran itself.
        cpu, task: who made the call.
    """

    function: str
    args: tuple[int, ...]
    got: int | None
    expected: int
    ran: str
    cpu: int
    task: str

    def __str__(self) -> str:
        call = f"{self.function}({', '.join(map(hex, self.args))})"
        changed = "a callee-saved register or the stack pointer was changed"
        if self.got is None:
            what = f"gave another result than {self.expected:#x}, or {changed} (it is not traced)"
        elif self.got == self.expected:
            what = f"gave {self.got:#x} as expected, but {changed}"
        else:
            what = f"gave {self.got:#x}, expected {self.expected:#x}"
        by = f", by {self.ran}" if self.ran else ""
        return f"{call} {what}{by}; CPU{self.cpu}, task {self.task}"


class WrongResults:
    """The first wrong results of one machine.

    Args:
        kernel, whereabouts, symbols, recording: of the machine.

    Attributes:
        noted: the first `MOST`, in order.
    """

    def __init__(
        self, kernel: Kernel, whereabouts: Whereabouts, symbols: SymbolBook, recording: Recording
    ) -> None:
        self._kernel, self._whereabouts = kernel, whereabouts
        self._symbols, self._recording = symbols, recording
        self._behind = _landing_behind_warn(kernel)
        self.noted: list[WrongResult] = []

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Have the engine stop behind each WARN of a wrong result, until enough have been noted."""
        tables = self._kernel.engine.tables
        if len(self.noted) < MOST:
            tables.set_probe(self._behind, ProbeKind.BREAK)
        try:
            yield
        finally:
            tables.clear_probe(self._behind)

    def is_here(self) -> bool:
        """Tell whether the engine has stopped behind such a WARN."""
        return self._whereabouts.pc(self._kernel.engine.stopped_cpu) == self._behind

    def note(self) -> None:
        """Note the call that the stopped CPU has just made."""
        cpu = self._kernel.engine.stopped_cpu
        task = self._whereabouts.task(cpu)
        call = self._whereabouts.call_of(task)
        if call is not None:
            calls, function = self._recording.calls, int(call["fn"])
            own = np.flatnonzero((calls["task"] == task.index) & (calls["depth"] == 0))
            row = calls[own[-1]] if len(own) and calls["site"][own[-1]] == function else None
            ran = function if row is None else int(row["target"])
            self.noted.append(
                WrongResult(
                    function=self._symbols.name_at(function),
                    args=tuple(np.trim_zeros(call["args"], "b").tolist()),
                    got=None if row is None else int(row["result"]) & 0xFFFF_FFFF,
                    expected=int(call["expected"]) & 0xFFFF_FFFF,
                    ran=self._symbols.name_at(ran) if ran != function else "",
                    cpu=cpu,
                    task=self._whereabouts.task_name(cpu),
                )
            )
        if len(self.noted) >= MOST:
            self._kernel.engine.tables.clear_probe(self._behind)


def _landing_behind_warn(kernel: Kernel) -> int:
    """Return where the jump behind the WARN of a wrong result leads."""
    (trap,) = [address for address, place, _ in kernel.image.traps if place == _PLACE]
    code = kernel.engine.memory.read(trap, _LONGEST)
    _, (_, _, _, target) = decode_lite(kernel.port, code, trap, count=2)
    return int(target.removeprefix("#"), 16)
