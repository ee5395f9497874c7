"""The files of a machine's pseudo file systems, as its root reads and writes them."""

from __future__ import annotations

from collections.abc import Sequence

from emu.errors import UnknownNameError
from emu.kernel.installer import Installer, Job
from emu.kernel.pseudo_files import PseudoTree


class Files:
    """sysfs, /proc and tracefs together.

    Args:
        trees: what is mounted.
        installer: does what writing means.
    """

    def __init__(self, trees: Sequence[PseudoTree], installer: Installer) -> None:
        self._trees, self._installer = {tree.mounted_at: tree for tree in trees}, installer

    def tree(self, path: str) -> PseudoTree:
        """Return the file system that ``path`` is in.

        Raises:
            UnknownNameError: nothing is mounted there.
        """
        for root, tree in self._trees.items():
            if path == root or path.startswith(f"{root}/"):
                return tree
        raise UnknownNameError("mount point of", path, sorted(self._trees))

    def is_mounted(self, path: str) -> bool:
        """Whether ``path`` is in one of the file systems."""
        return any(path == root or path.startswith(f"{root}/") for root in self._trees)

    def write(self, path: str, text: str, *, append: bool = False) -> Job[int]:
        """Have the patching CPU write to a file; the job's result: characters taken or a negative error.

        Args:
            path: absolute.
            text: all of it in one ``write``.
            append: as ``>>`` of a shell does it: what the file holds is not cleared before.
        """
        tree = self.tree(path)

        def body() -> int:
            ret = 0 if append else tree.truncate(path)
            return ret if ret < 0 else tree.write(path, text)

        return self._installer.submit(f"write {path}", body)

    def read(self, path: str) -> str | int:
        """Return what a file holds, or a negative error."""
        return self.tree(path).read(path)
