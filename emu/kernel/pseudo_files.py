"""Trees of files that are no data but a kernel's state: reading asks it, writing tells it.

Who reads and writes is root.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from emu.kernel.errno import EACCES, EISDIR, ENOENT, ENOTDIR
from emu.units import PAGE_SIZE


@dataclass(frozen=True, slots=True, kw_only=True)
class PseudoFile:
    """One file.

    Args:
        mode: its permission bits.
        show: gives its text, or a negative error; None: it can't be read.
        store: takes a text and gives how many characters it took, or a negative error; None: it can't be
            written.
        truncate: what opening it for writing with O_TRUNC does, as ``>`` of a shell.
        unreadable, unwritable: the errors (positive) of trying nevertheless.
    """

    mode: int
    show: Callable[[], str | int] | None = None
    store: Callable[[str], int] | None = None
    truncate: Callable[[], None] = lambda: None
    unreadable: int = EACCES
    unwritable: int = EACCES


Directory = Callable[[], "Mapping[str, PseudoFile | Directory]"]
"""Gives what is in it now, by name."""


class PseudoTree:
    """A tree of them.

    Args:
        top: the directory at its top.
        mounted_at: where that is, an absolute path.
    """

    def __init__(self, top: Directory, *, mounted_at: str) -> None:
        self._top, self.mounted_at = top, mounted_at

    def read(self, path: str) -> str | int:
        """Return the text of the file at ``path``, or a negative error.

        Args:
            path: absolute, or relative to the top of the tree.
        """
        node = self._find(path)
        if isinstance(node, int):
            return node
        if not isinstance(node, PseudoFile):
            return -EISDIR
        return node.show() if node.show is not None else -node.unreadable

    def write(self, path: str, text: str) -> int:
        """Write ``text`` to the file at ``path`` as one ``write`` of it, which takes no more than a page.

        Returns:
            The number of characters taken, or a negative error.
        """
        node = self._find(path)
        if isinstance(node, int):
            return node
        if not isinstance(node, PseudoFile):
            return -EISDIR
        return node.store(text[:PAGE_SIZE]) if node.store is not None else -node.unwritable

    def truncate(self, path: str) -> int:
        """Open the file at ``path`` for writing with O_TRUNC, and close it: 0 or a negative error."""
        node = self._find(path)
        if isinstance(node, int):
            return node
        if not isinstance(node, PseudoFile):
            return -EISDIR
        node.truncate()
        return 0

    def listdir(self, path: str = "") -> list[str] | int:
        """Return the names in the directory at ``path``, sorted, or a negative error."""
        node = self._find(path)
        if isinstance(node, int):
            return node
        return -ENOTDIR if isinstance(node, PseudoFile) else sorted(node())

    def modes(self, path: str = "") -> dict[str, int] | int:
        """Return the permission bits of every file below the directory at ``path``, by path from there."""
        node = self._find(path)
        if isinstance(node, int):
            return node
        return -ENOTDIR if isinstance(node, PseudoFile) else _modes(node, "")

    def _find(self, path: str) -> PseudoFile | Directory | int:
        node: PseudoFile | Directory = self._top
        relative = path.removeprefix(self.mounted_at) if path.startswith("/") else path
        for name in filter(None, relative.split("/")):
            if isinstance(node, PseudoFile):
                return -ENOTDIR
            entries = node()
            if name not in entries:
                return -ENOENT
            node = entries[name]
        return -ENOTDIR if isinstance(node, PseudoFile) and relative.endswith("/") else node


def _modes(directory: Directory, prefix: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, node in sorted(directory().items()):
        if isinstance(node, PseudoFile):
            found[prefix + name] = node.mode
        else:
            found |= _modes(node, f"{prefix}{name}/")
    return found
