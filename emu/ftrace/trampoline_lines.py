"""The lines of /proc/kallsyms that tell of private trampolines."""

from __future__ import annotations

from emu.ftrace.core import Ftrace


def trampoline_lines(ftrace: Ftrace) -> list[str]:
    """Return a line for each private trampoline, the newest first.

    Source: kernel/kallsyms.c, s_show; kernel/trace/ftrace.c, ftrace_get_trampoline_kallsym (6.1).
    """
    return [
        f"{symbol.address:016x} t {symbol.name}\t[{symbol.object}]" for symbol in ftrace.trampolines.symbols()
    ]
