"""The lock that the writer of a run directory holds: never do two write to one."""

import fcntl
import os
import weakref
from pathlib import Path

from emu.trace.errors import RunDirectoryTakenError, RunNotCreatedError


class DirectoryLock:
    """A lock on a directory itself, so that none is left behind, whatever becomes of its owner.

    The system lets go of it when its process dies. A file system that locks no directories (NFS) is
    written to without.

    Args:
        directory: must exist.

    Raises:
        RunDirectoryTakenError: somebody has it.
        RunNotCreatedError: the directory can't be read.

    Source: flock(2), Linux and macOS.
    """

    def __init__(self, directory: Path) -> None:
        try:
            descriptor = os.open(directory, os.O_RDONLY)
        except OSError as error:
            raise RunNotCreatedError(directory, error.strerror or str(error)) from error
        self.release = weakref.finalize(self, os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.release()
            raise RunDirectoryTakenError(directory, "another run is being recorded there") from error
        except OSError:
            pass
