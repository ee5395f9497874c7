"""arm64: how a site reaches its trampoline: PLT entries, and the ops pointer before a function."""

from __future__ import annotations

import struct

PLT_ENTRY_SIZE = 16


def plt_entry(target: int) -> bytes:
    """Return MOVZ X16; MOVK X16, LSL #16; MOVK X16, LSL #32; BR X16: a jump to ``target`` from anywhere.

    >>> plt_entry(0x1234_5678).hex()
    '10cf8ad29046a2f21000c0f200021fd6'

    Source: Arm ARM C6.2, MOVZ, MOVK, BR; X16 is the linker's own register (AAPCS64 6.1.1).
    """
    assert 0 <= target < 1 << 48, "three moves hold 48 bits"
    movz = 0xD2800000 | (target & 0xFFFF) << 5 | 16
    movk = [0xF2800000 | shift << 21 | (target >> 16 * shift & 0xFFFF) << 5 | 16 for shift in (1, 2)]
    return struct.pack("<4I", movz, *movk, 0xD61F0000 | 16 << 5)


def ops_literal(site: int) -> int:
    """Return the address of the 8 bytes before the function whose BL is at ``site``.

    The BL is the second word of the function, or the third behind a BTI; functions are 8-byte aligned.

    Source: arch/arm64/kernel/ftrace.c, ftrace_rec_set_ops (6.3).
    """
    return (site - 12) & ~7
