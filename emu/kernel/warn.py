"""WARN_ON for kernel code written in Python: one log line, one event, and on it goes."""

from __future__ import annotations

import sys

from emu.kernel.guest import Guest


def warn_on(guest: Guest, condition: object) -> bool:
    """Return whether ``condition`` is true; if so, log where the caller is and record a WARN event.

    Source: include/asm-generic/bug.h, WARN_ON: it tells, it does not stop anything.
    """
    if condition:
        frame = sys._getframe(1)
        place = frame.f_globals["__name__"].replace(".", "/")
        line, function = frame.f_lineno, frame.f_code.co_name
        guest.log(f"WARNING: at {place}.py:{line} {function}")
        guest.mark("WARN", 0, line)
    return bool(condition)


def warn(guest: Guest, message: str, place: str) -> None:
    """Log what WARN(1, message) prints, but for registers and stack, and record a WARN event.

    Args:
        guest: where.
        message: of the WARN.
        place: ``file:line function`` of the statement in Linux 6.1.

    Source: kernel/panic.c, warn_slowpath_fmt, __warn (6.1).
    """
    for line in ("------------[ cut here ]------------", message, f"WARNING: at {place}"):
        guest.log(line)
    guest.log("---[ end trace 0000000000000000 ]---")
    guest.mark("WARN", 0, int(place.partition(" ")[0].rpartition(":")[2]))
