"""How the loop calls memory ordering: by address, so that runs in order never wait for it to be compiled."""

from __future__ import annotations

from emu.compiled import inline_jit
from emu.machine.native import Words, call4
from emu.machine.state import CTL_ORDER


@inline_jit
def order(ctl: Words, cpu: Words, what: int, argument: int) -> None:
    """Do ``what``, an `Order`; there must be an ordering other than SC."""
    call4(ctl[CTL_ORDER], ctl.ctypes.data, cpu.ctypes.data, what, argument)
