"""Ctrl-C while a scenario runs: noted, so that all that has been recorded is on disk before the run ends."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from emu.units import counted


class RunInterruptedError(KeyboardInterrupt):
    """Ctrl-C ended a run."""

    def __init__(self, out: Path | None, calls: int) -> None:
        kept = (
            f"{out} holds them and can be read" if out is not None else "none is kept (--out DIR keeps them)"
        )
        super().__init__(f"interrupted after {counted(calls, 'call')}; {kept}")
        self.out, self.calls = out, calls


@contextmanager
def noted_interrupts() -> Iterator[Callable[[], bool]]:
    """Note Ctrl-C instead of raising it; a second one is raised.

    Yields:
        Whether one came. Never, outside the main thread and where somebody else handles it.
    """
    handler = signal.default_int_handler
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) != handler
    ):
        yield lambda: False
        return
    came = threading.Event()

    def note(_number: int, _frame: FrameType | None) -> None:
        came.set()
        signal.signal(signal.SIGINT, handler)

    signal.signal(signal.SIGINT, note)
    try:
        yield came.is_set
    finally:
        signal.signal(signal.SIGINT, handler)
