"""Sparing Unicorn the search for the program counter at each load and store.

Before it calls a memory hook, Unicorn looks up in which instruction of its translated block the CPU is: some
60 ns an access. Where an instruction hook is called first, the program counter is right already. Unicorn
has a flag that says so (``skip_sync_pc_on_exit``), which it sets when the counter is written and clears when
a run begins. Its API does not name the flag, so it is found by what the API does to it.

Source: unicorn 2.1.4, uc.c (uc_reg_write, uc_reg_write2, uc_emu_start) and qemu/accel/tcg/cputlb.c
(load_helper, store_helper).
"""

from __future__ import annotations

import ctypes

import numpy as np
from unicorn.unicorn_py3.unicorn import Uc, uclib

_LARGEST = 1 << 16
"""Bytes of Unicorn's structure that are looked at, at most."""


def synced_flag(uc: Uc, pc: int) -> int:
    """Return the host address of a CPU's flag "the program counter is in sync", 0 if it can't be found.

    Args:
        uc: a CPU that is not running.
        pc: Unicorn's number of the program counter, which is written with what it holds.
    """
    handle = ctypes.cast(uc._uch, ctypes.c_void_p).value
    size = _allocated(handle)
    if handle is None or size == 0:
        return 0
    state = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(handle))
    value, length = ctypes.c_uint64(uc.reg_read(pc)), ctypes.c_size_t(8)
    # both ask the run to end, but only the second sets the flag
    uclib.uc_reg_write2(uc._uch, pc, ctypes.byref(value), ctypes.byref(length))
    before = state.copy()
    uclib.uc_reg_write(uc._uch, pc, ctypes.byref(value))
    changed = np.flatnonzero(state != before)
    if len(changed) != 1 or (before[changed[0]], state[changed[0]]) != (0, 1):
        return 0
    state[changed[0]] = 0
    return int(handle + changed[0])


def _allocated(block: int | None) -> int:
    """Return how many bytes of an allocated block may be read, 0 where the C library does not tell."""
    try:
        usable = ctypes.CDLL(None).malloc_usable_size
    except (AttributeError, OSError, TypeError):
        return 0
    usable.restype, usable.argtypes = ctypes.c_size_t, [ctypes.c_void_p]
    return min(int(usable(block)), _LARGEST)
