"""Where a kprobe of a record, whose offsets are bytes of x86-64 code, is on another port."""

from __future__ import annotations

import re

from emu.lab.replay.session import Session

_NOP_SIZE = 5
"""Bytes of the hook of an x86-64 function, one instruction: the next one starts behind it."""


def port_offset(session: Session, function: str, offset: int) -> int | None:
    """Return the offset on this port of what is ``offset`` bytes behind a function's entry on x86-64.

    The entry is the entry, and what is behind the hook is behind the hook. Other instructions are those of
    other code, and inside of the hook is only where it is one instruction of as many bytes: else None.
    """
    if offset == 0 or not session.find(function):
        return offset
    behind = behind_hook(session, function) or offset
    if offset < _NOP_SIZE:
        return offset if behind == _NOP_SIZE else None
    return behind if offset == _NOP_SIZE else None


def behind_hook(session: Session, function: str) -> int:
    """Return how many bytes the entry of a function and its hook have together; 0 where it has no hook."""
    address, machine = session.find(function), session.machine
    site = machine.ftrace.sites.locate(address) if address else 0
    return site + machine.port.site.poke_size - address if site else 0


_LINE = re.compile(
    r"(?:0x)?[0-9a-f]+\s+(?P<kind>\w)\s+(?P<function>[\w.]+)\+(?P<offset>0x[0-9a-f]+)\s*(?P<module>\[?\w+\]?)?\s*"
    r"(?P<flags>(?:\[[A-Z]+\])*)"
)


def probe_line(session: Session, line: str, *, is_real: bool) -> str:
    """Return a line of /sys/kernel/debug/kprobes/list without address, the place in words.

    Jump optimization is left out: it is not modelled.
    """
    found = _LINE.fullmatch(line.strip())
    if found is None:
        return line
    offset, flags = int(found["offset"], 16), found["flags"].replace("[OPTIMIZED]", "")
    behind = _NOP_SIZE if is_real else behind_hook(session, found["function"])
    place = "entry" if offset == 0 or "[FTRACE]" in flags else f"+{offset:#x}"
    place = "behind the hook" if offset and offset == behind and place != "entry" else place
    module = (found["module"] or "").strip("[]")
    return " ".join(filter(None, (found["kind"], found["function"], place, module, flags)))
