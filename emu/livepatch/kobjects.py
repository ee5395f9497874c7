"""The directories that a patch gets in sysfs, as far as they can be refused.

Source: fs/sysfs/dir.c, sysfs_warn_dup; lib/kobject.c, kobject_add_internal (6.1).
"""

from __future__ import annotations

from emu.kernel.errno import EEXIST
from emu.kernel.guest import Guest
from emu.livepatch.flavour import Flavour


class Kobjects:
    """Enters them.

    Args:
        guest: the patching CPU.
        patch: name of the patch.
        flavour: what is printed.
    """

    def __init__(self, guest: Guest, patch: str, flavour: Flavour) -> None:
        self._guest, self._flavour = guest, flavour
        self._root = f"/kernel/livepatch/{patch}"
        self._taken: set[str] = set()

    def kobject_add(self, *names: str) -> int:
        """Enter a directory by its path from the patch's: 0, or -EEXIST and two lines that say so."""
        path = "/".join((self._root, *names))
        if path not in self._taken:
            self._taken.add(path)
            return 0
        self._guest.log(f"sysfs: cannot create duplicate filename '{path}'")  # and a stack dump
        self._guest.log(
            f"{self._flavour.kobject_prefix}kobject_add_internal failed for {names[-1]} with -EEXIST, "
            "don't try to register things with the same name in the same directory."
        )
        return -EEXIST
