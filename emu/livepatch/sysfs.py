"""The tree /sys/kernel/livepatch.

Everything is asked of guest memory at the moment of reading. Writing is work of the patching CPU.

Source: kernel/livepatch/core.c, "Sysfs Interface" (6.1; replace: 6.11; stack_order: 6.14); fs/kernfs/file.c,
kernfs_fop_open: permission bits that a file lacks bind root, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from emu.kernel.errno import EINVAL
from emu.kernel.guest import Guest, View
from emu.kernel.kstrtox import kstrtobool
from emu.kernel.pseudo_files import Directory, PseudoFile, PseudoTree
from emu.livepatch.flavour import LINUX_6_1, Flavour
from emu.livepatch.graph import (
    for_each_func,
    for_each_object,
    func_directory,
    func_name,
    object_directory,
    patch_name,
)  # fmt: skip

ROOT = "/sys/kernel/livepatch"


class PatchStores(Protocol):
    """What writing a file of a patch means: `Core`."""

    def patches(self) -> list[View]:
        """Return the patches in use, oldest first."""
        ...

    def enabled_store(self, patch: View, *, enabled: bool) -> int:
        """Enable or disable: 0 or a negative error."""
        ...

    def force_store(self, patch: View, *, force: bool) -> int:
        """Force the transition to its end: 0 or a negative error."""
        ...


class UnderWay(Protocol):
    """What a patch's ``transition`` depends on: `Transition`."""

    def is_of(self, patch: View) -> bool:
        """Whether ``patch`` is the one in transition."""
        ...


class Sysfs(PseudoTree):
    """The tree.

    Args:
        guest: the patching CPU.
        core: acts on patches.
        transition: knows which one is under way.
        flavour: which files there are and what they take.
    """

    def __init__(
        self, guest: Guest, core: PatchStores, transition: UnderWay, *, flavour: Flavour = LINUX_6_1
    ) -> None:
        super().__init__(self._patches, mounted_at=ROOT)
        self._guest, self._core, self._transition, self._flavour = guest, core, transition, flavour

    def _patches(self) -> dict[str, PseudoFile | Directory]:
        return {patch_name(self._guest, patch): self._patch(patch) for patch in self._core.patches()}

    def _patch(self, patch: View) -> Directory:
        core, flavour = self._core, self._flavour

        def entries() -> dict[str, PseudoFile | Directory]:
            files: dict[str, PseudoFile | Directory] = {
                "enabled": PseudoFile(
                    mode=0o644,
                    show=lambda: f"{patch['enabled']}\n",
                    store=self._bool(lambda value: core.enabled_store(patch, enabled=value)),
                ),
                "transition": _shows(lambda: int(self._transition.is_of(patch))),
                "force": PseudoFile(
                    mode=0o200, store=self._bool(lambda value: core.force_store(patch, force=value))
                ),
            }
            if flavour.sysfs_replace:
                files["replace"] = _shows(lambda: patch["replace"])
            if flavour.sysfs_stack_order:
                files["stack_order"] = _shows(lambda: self._stack_order(patch))
            for obj in for_each_object(self._guest, patch):
                files[object_directory(self._guest, obj)] = self._object(obj)
            return files

        return entries

    def _object(self, obj: View) -> Directory:
        def entries() -> dict[str, PseudoFile | Directory]:
            files: dict[str, PseudoFile | Directory] = {"patched": _shows(lambda: obj["patched"])}
            for func in for_each_func(self._guest, obj):
                name = func_name(self._guest, func)
                files[func_directory(name, func["old_sympos"])] = dict
            return files

        return entries

    def _bool(self, store: Callable[[bool], int]) -> Callable[[str], int]:
        """Return what a file does that takes a truth value and hands it to ``store``."""

        def write(text: str) -> int:
            if not text:
                return 0
            value = kstrtobool(text, true=self._flavour.true_letters, false=self._flavour.false_letters)
            return -EINVAL if value is None else store(value) or len(text)

        return write

    def _stack_order(self, patch: View) -> int:
        return [other.address for other in self._core.patches()].index(patch.address) + 1


def _shows(number: Callable[[], int]) -> PseudoFile:
    return PseudoFile(mode=0o444, show=lambda: f"{number()}\n")
