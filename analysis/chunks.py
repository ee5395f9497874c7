"""Whole-column work on tables larger than memory: chunks of rows, and counts that merge."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

CHUNK_ROWS = 1 << 18
"""Rows looked at together: 22 MiB of calls, 2 MiB of one column."""


def chunks(table: NDArray[np.void], rows: int = CHUNK_ROWS) -> Iterator[tuple[int, NDArray[np.void]]]:
    """Yield the first row's number and a copy-free slice, for each chunk of ``table`` in order."""
    for start in range(0, len(table), rows):
        yield start, np.asarray(table[start : start + rows])


class Tally:
    """Counts how often each 64-bit key occurred; memory grows with different keys, not with rows."""

    def __init__(self) -> None:
        self.keys: NDArray[np.uint64] = np.empty(0, np.uint64)
        """Keys that occurred, ascending."""
        self.counts: NDArray[np.int64] = np.empty(0, np.int64)
        """How often each did."""

    def add(self, keys: NDArray[np.uint64]) -> None:
        """Count every element of ``keys``."""
        new, counts = np.unique(keys, return_counts=True)
        merged, inverse = np.unique(np.concatenate((self.keys, new)), return_inverse=True)
        total = np.zeros(len(merged), np.int64)
        # Each key occurs at most once in either half, so neither line meets an index twice.
        total[inverse[: len(self.keys)]] = self.counts
        total[inverse[len(self.keys) :]] += counts
        self.keys, self.counts = merged, total


class Sites:
    """Gives each different address a small number, in order of first appearance by chunk."""

    def __init__(self) -> None:
        self.addresses: NDArray[np.uint64] = np.empty(0, np.uint64)
        """Address of each number."""
        self._sorted: NDArray[np.uint64] = np.empty(0, np.uint64)
        self._number: NDArray[np.intp] = np.empty(0, np.intp)

    def numbers(self, addresses: NDArray[np.uint64]) -> NDArray[np.intp]:
        """Return the number of each address, giving new ones to those not seen before."""
        if not len(addresses):
            return np.empty(0, np.intp)
        known = self._lookup(addresses)
        if known is None:
            self.addresses = np.concatenate((self.addresses, np.setdiff1d(addresses, self._sorted)))
            self._number = np.argsort(self.addresses, kind="stable")
            self._sorted = self.addresses[self._number]
            known = self._lookup(addresses)
            assert known is not None, "every address was just added"
        return known

    def _lookup(self, addresses: NDArray[np.uint64]) -> NDArray[np.intp] | None:
        if not len(self._sorted):
            return None
        at = np.minimum(np.searchsorted(self._sorted, addresses), len(self._sorted) - 1)
        return self._number[at] if np.array_equal(self._sorted[at], addresses) else None
