"""One-dimensional ``.npy`` tables that grow row by row and can be read at any moment.

The header is padded so that it can be rewritten in place. Its count grows only after the rows are
in the file, so whoever reads the file, and whenever the writer was killed, finds complete rows only.
"""

import ast
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from emu.trace.errors import RunFileError, RunWriteError

_COUNT_DIGITS = 20  # a 64-bit count
_ALIGN = 64  # bytes, as the .npy format asks
_HEADER_LIMIT = 1 << 16  # bytes; a header of ours has 320, so a longer one is hostile


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows that were mapped from a file, and how they differ from what its header claims ("" = not)."""

    rows: NDArray[np.void]
    note: str = ""


class NpyAppender:
    """A ``.npy`` file that rows are appended to.

    Args:
        path: must not exist yet.
        dtype: of its rows.

    Raises:
        RunWriteError: on any method, what the operating system says.
    """

    def __init__(self, path: Path, dtype: np.dtype[np.void]) -> None:
        self.path, self.dtype = path, dtype
        self.count = 0
        """Rows that the header claims."""
        self._header_size = len(_header(dtype, 0))
        try:
            self._file = path.open("xb", buffering=0)
        except OSError as error:
            raise RunWriteError(path, error.strerror or str(error)) from error
        self._write(_header(dtype, 0), at=0)

    def __enter__(self) -> Self:
        """Return the table itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()

    def append(self, rows: NDArray[np.void]) -> None:
        """Write rows, shape ``(n,)`` of the table's dtype, then let the header claim them."""
        if rows.dtype != self.dtype or rows.ndim != 1:
            raise TypeError(f"rows must be one-dimensional {self.dtype}, not {rows.ndim}-d {rows.dtype}")
        if not len(rows):
            return
        # Behind the rows the header claims, not behind the file: an append that failed is overwritten.
        data = np.ascontiguousarray(rows).view(np.uint8).data
        self._write(data, at=self._header_size + self.count * self.dtype.itemsize)
        self._write(_header(self.dtype, self.count + len(rows)), at=0)
        self.count += len(rows)

    def rows(self) -> NDArray[np.void]:
        """Return what is written so far as a read-only memory map."""
        return map_table(self.path, self.dtype).rows

    def owns_path(self) -> bool:
        """Return whether the path still names this file."""
        try:
            return os.path.samestat(self.path.stat(), os.fstat(self._file.fileno()))
        except OSError:
            return False

    def sync(self) -> None:
        """Wait until the rows are on the disk."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise RunWriteError(self.path, error.strerror or str(error)) from error

    def close(self) -> None:
        """Close the file; what it holds is already readable."""
        self._file.close()

    def _write(self, data: bytes | memoryview, *, at: int) -> None:
        left = memoryview(data)
        try:
            self._file.seek(at)
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            raise RunWriteError(self.path, error.strerror or str(error)) from error


def map_table(path: Path, dtype: np.dtype[np.void]) -> Table:
    """Return the rows of a ``.npy`` file as a read-only memory map: all, or those before it was cut.

    Raises:
        RunFileError: there is no such file, its header is malformed, or its rows are of another dtype.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise RunFileError(path, "is not a regular file", "an .npy table")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(_HEADER_LIMIT)
    except OSError as error:
        raise RunFileError(path, error.strerror or str(error), "an .npy table") from error
    shape, start = _parse_header(path, head, dtype)
    if len(shape) != 1:
        raise RunFileError(path, f"has {len(shape)} dimensions", "a one-dimensional table")
    claimed, present = shape[0], max(0, size - start) // dtype.itemsize
    if not min(claimed, present):
        rows = np.empty(0, dtype)
        rows.flags.writeable = False
    else:
        # Not np.load: it refuses a file that was cut short, and would trust a header it reads again.
        rows = np.memmap(path, dtype, "r", offset=start, shape=(min(claimed, present),))
    if claimed > present:
        return Table(rows=rows, note=f"{path.name} is cut short: {present:_} of {claimed:_} rows are there")
    return Table(rows=rows)


def _header(dtype: np.dtype[np.void], count: int) -> bytes:
    def text(rows: int) -> str:
        return f"{{'descr': {npy.dtype_to_descr(dtype)!r}, 'fortran_order': False, 'shape': ({rows},), }}"

    prefix = npy.MAGIC_PREFIX + bytes((1, 0))
    room = len(prefix) + 2 + len(text(10**_COUNT_DIGITS - 1)) + 1
    size = -(-room // _ALIGN) * _ALIGN - len(prefix) - 2
    return prefix + size.to_bytes(2, "little") + text(count).ljust(size - 1).encode("latin1") + b"\n"


def _parse_header(path: Path, head: bytes, dtype: np.dtype[np.void]) -> tuple[tuple[int, ...], int]:
    """Return the shape that a header claims and where the rows begin, if they are of ``dtype``.

    numpy's own parser would build whatever dtype the file names before it can be compared, and lets a
    tokenizer loose on a header it does not understand.
    """
    malformed = RunFileError(path, "its header is cut short or malformed", "an .npy table")
    magic = len(npy.MAGIC_PREFIX)
    if not head.startswith(npy.MAGIC_PREFIX) or len(head) < magic + 6:
        raise malformed
    major, minor = head[magic], head[magic + 1]
    if (major, minor) not in ((1, 0), (2, 0)):
        raise RunFileError(path, f"is .npy format {major}.{minor}", "format 1.0 or 2.0")
    text_at = magic + 2 + 2 * major
    start = text_at + int.from_bytes(head[magic + 2 : text_at], "little")
    if start > len(head):
        raise malformed
    try:
        fields = ast.literal_eval(head[text_at:start].decode("latin1"))
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        raise malformed from error
    if not isinstance(fields, dict) or set(fields) != {"descr", "fortran_order", "shape"}:
        raise malformed
    if fields["descr"] != npy.dtype_to_descr(dtype):
        raise RunFileError(path, _difference(fields["descr"], dtype), "the columns of docs/trace-format.md")
    shape = fields["shape"]
    if not isinstance(shape, tuple) or not all(type(size) is int and size >= 0 for size in shape):
        raise malformed
    return shape, start


def _difference(descr: object, expected: np.dtype[np.void]) -> str:
    """Return in a few words how the columns that a header names differ from ``expected``."""
    if not isinstance(descr, list) or not all(isinstance(c, tuple) and len(c) == 2 for c in descr):
        return f"its rows are {str(descr)[:40]!r}"
    found = {str(name): kind for name, kind in descr}
    for name in expected.names or ():
        if name not in found:
            return f"column {name!r} is missing"
        if found[name] != expected[name].str:
            return f"column {name!r} is {str(found[name])[:40]!r}, not {expected[name].str!r}"
    extra = [name for name in found if name not in (expected.names or ())]
    return f"column {extra[0][:40]!r} is unknown" if extra else "its columns are in another order"
