"""How much memory the process has in use, and a limit to it."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

_STATM = Path("/proc/self/statm")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_BETWEEN = 256
"""Checks between two looks: one look takes some 10 us."""


class MemoryBudgetError(Exception):
    """More memory is in use than allowed."""


def resident_bytes() -> int:
    """Return how much memory the process has in use; on systems without /proc, the most it ever had."""
    try:
        return int(_STATM.read_text().split()[1]) * _PAGE
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


class MemoryLimit:
    """A limit to the memory in use.

    Args:
        mebibytes: the limit; None: there is none.
    """

    def __init__(self, mebibytes: int | None) -> None:
        self._limit = None if mebibytes is None else mebibytes << 20
        self._checks = 0

    def fits(self, more: int = 0) -> bool:
        """Whether the process stays within the limit with so many more bytes."""
        return self._limit is None or resident_bytes() + more <= self._limit

    def check(self) -> None:
        """Look at the memory in use at every so manieth call.

        Raises:
            MemoryBudgetError: it is too much.
        """
        self._checks += 1
        if self._checks % _BETWEEN == 1 and not self.fits():
            raise MemoryBudgetError


NO_LIMIT = MemoryLimit(None)
"""All the memory that there is."""
