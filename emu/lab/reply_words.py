"""Replies of functions that tell their version, spelled as the reference has them."""

from __future__ import annotations

from collections.abc import Callable

from emu.kernel.errno import error_name
from emu.lab.replies import reply_of

_DUPS = {"dup1": "dup-one", "dup2": "dup-two"}
_FIRST_NEW = 100
"""What the innermost level of a replaced vic_count adds. Source: the reference ``recursion_through_hook``."""


def short_name(function: str) -> str:
    """Return what a function is called in replies and actions.

    >>> short_name("vic_alpha"), short_name("cmdline_proc_show"), short_name("late_ping")
    ('alpha', 'cmdline', 'ping')
    """
    return function.removeprefix("vic_").removeprefix("late_").removesuffix("_proc_show")


def spelled_reply(function: str, result: int, *, patch_name: Callable[[int], str], argument: int = 0) -> str:
    """Return what ``function`` said by returning ``result``.

    Args:
        function: see `reply_of`.
        result: the u64 that it returned.
        patch_name: (number of a patch) -> its name.
        argument: that it was called with.

    >>> spelled_reply("vic_outer", 0x010002, patch_name=lambda n: f"lp_{n}")
    'outer:lp_2(alpha:orig,alpha:lp_1)'
    >>> spelled_reply("vic_count", 0x5, patch_name=str, argument=5)
    'count(5)=5'
    """
    reply = reply_of(function, result)
    if reply.error:
        return error_name(reply.error)

    def said(name: str, version: int) -> str:
        return f"{name}:{patch_name(version) if version else 'orig'}"

    own = said(short_name(function), reply.version)
    match function:
        case "dup1" | "dup2":
            return said("dup" if reply.version else _DUPS[function], reply.version)
        case "vic_dup":
            return said("dup", reply.version)
        case "vic_tail":
            return said("alpha", reply.version)
        case "late_init" | "late_exit":
            return said("ping", reply.version)
        case "vic_count":
            return f"count({argument})={sum(reply.levels) + (_FIRST_NEW if reply.version else 0)}"
        case "vic_outer" | "vic_pair":
            first, second = reply.met
            inner = said("alpha", first), said("alpha" if function == "vic_outer" else "beta", second)
            return f"{own}({','.join(inner)})"
        case _:
            return own
