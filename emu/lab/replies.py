"""Taking apart the results of functions that tell which version of them ran.

Source: docs/guest-kernel.md, "Functions that tell their version"; this is its one counterpart in Python.
"""

from __future__ import annotations

from dataclasses import dataclass

_FIRST_ERROR = (1 << 32) - 4095
"""Low halves from here on are negative errnos. Source: include/linux/err.h, IS_ERR_VALUE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a function told.

    Args:
        version: number of the patch whose replacement answered, 0 = the original; of vic_count the innermost.
        met: versions that it got told by what it called, in order.
        levels: of vic_count: how many levels the original answered, and how many replacements did.
        error: 0, or the negative errno that it returned instead.
    """

    version: int = 0
    met: tuple[int, ...] = ()
    levels: tuple[int, int] = (0, 0)
    error: int = 0


def reply_of(function: str, result: int) -> Reply:
    """Return what ``function`` told by returning ``result``.

    Args:
        function: a show function of the kernel, or a function of victim or late that tells its version.
        result: the u64 that it returned.

    >>> reply_of("vic_outer", 0x030201), reply_of("cmdline_proc_show", 0x2_0000_0000).version
    (Reply(version=1, met=(2, 3), levels=(0, 0), error=0), 2)
    """
    upper, low = result >> 32, result & 0xFFFF_FFFF
    first, second, third = low & 0xFF, low >> 8 & 0xFF, low >> 16
    if low >= _FIRST_ERROR:
        return Reply(error=low - (1 << 32))
    if function.endswith("_proc_show"):
        return Reply(version=upper)
    match function:
        case "vic_outer" | "vic_pair":
            return Reply(version=first, met=(second, third))
        case "vic_count":
            return Reply(version=third, levels=(first, second))
        case _:
            return Reply(version=low)
