"""Symbols of objects, by name and position."""

from __future__ import annotations

from emu.build.contents import VMLINUX
from emu.kernel.kallsyms import Kallsyms, Symbol
from emu.livepatch.log import Log

MODULE_NAME_LEN = 56
"""Source: include/linux/moduleparam.h: 64 - sizeof(unsigned long)."""
KSYM_NAME_LEN = 512
"""Source: include/linux/kallsyms.h (6.1)."""


def klp_find_object_symbol(
    kallsyms: Kallsyms, log: Log, object_name: str | None, name: str, sympos: int
) -> Symbol | None:
    """Return the symbol that (object, name, position) means, or None and a line that says why not.

    Source: kernel/livepatch/core.c, klp_find_object_symbol (6.1).
    """
    found = kallsyms.find(object_name, name)
    if not found:
        log.tell(f"symbol '{name}' not found in symbol table")
    elif sympos == 0 and len(found) > 1:
        # Linux prints a missing object name with %s, too
        log.tell(f"unresolvable ambiguity for symbol '{name}' in object '{object_name or '(null)'}'")
    elif sympos > len(found):
        owner = object_name or VMLINUX
        log.tell(f"symbol position {sympos} for symbol '{name}' in object '{owner}' not found")
    else:
        return found[max(sympos, 1) - 1]
    return None
