"""Compiling the engine before its first run, on two processors if there are."""

from __future__ import annotations

import subprocess
import sys

from emu.compiled import cache_folder
from emu.machine.hooks import on_block, on_instruction

_LOOP = "from emu.machine.loop import run_loop; run_loop.compile('(int64,)')"


def compile_engine(*, exact: bool) -> None:
    """Compile the hook that runs of a mode need, and meanwhile, in another process, the interleaving loop.

    Both are half of the work, and Numba compiles one function at a time in a process. If the other process
    fails, the loop is compiled when it is first called.
    """
    if cache_folder() is None:
        return
    nowhere = subprocess.DEVNULL
    loop = subprocess.Popen([sys.executable, "-c", _LOOP], stdin=nowhere, stdout=nowhere, stderr=nowhere)
    _ = (on_instruction if exact else on_block).address
    loop.wait()
