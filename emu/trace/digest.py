"""The digest of a run: equal for equal runs on every machine, however the rows were chunked."""

import hashlib
import json
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from emu.trace.meta import PARAMETERS, Meta
from emu.trace.run import Run
from emu.trace.schema import SCHEMA_VERSION

DIGEST_BYTES = 16
"""Length of a digest; 128 bits are far more than two runs by chance need."""

_CHUNK = 1 << 16  # rows: 5.5 MiB of calls


class TraceDigest:
    """A digest that grows with the rows of a run, in constant memory."""

    def __init__(self) -> None:
        self._calls = hashlib.blake2b(digest_size=DIGEST_BYTES)
        self._events = hashlib.blake2b(digest_size=DIGEST_BYTES)

    def add_calls(self, rows: NDArray[np.void]) -> None:
        """Add rows of ``calls``; where one chunk ends and the next begins does not matter."""
        self._calls.update(np.ascontiguousarray(rows).view(np.uint8).data)

    def add_events(self, rows: NDArray[np.void]) -> None:
        """Add rows of ``events``, likewise."""
        self._events.update(np.ascontiguousarray(rows).view(np.uint8).data)

    def hex(self, meta: Meta) -> str:
        """Return the digest of the rows so far and of the parameters in ``meta``, 32 hex digits.

        Of an image or a CPU model given as a path only the last part counts: the same run in another folder
        is the same run.
        """
        parameters = {key: value for key, value in meta.items() if key in PARAMETERS}
        parameters["image"], parameters["timing"] = (PurePath(meta[key]).name for key in ("image", "timing"))
        whole = hashlib.blake2b(digest_size=DIGEST_BYTES)
        whole.update(json.dumps([SCHEMA_VERSION, parameters], sort_keys=True).encode())
        whole.update(self._calls.digest())
        whole.update(self._events.digest())
        return whole.hexdigest()


def digest_of(run: Run) -> str:
    """Return the digest of a run, computed anew from its rows: differs from meta's if a row was changed."""
    digest = TraceDigest()
    for start in range(0, len(run.calls), _CHUNK):
        digest.add_calls(run.calls[start : start + _CHUNK])
    for start in range(0, len(run.events), _CHUNK):
        digest.add_events(run.events[start : start + _CHUNK])
    return digest.hex(run.meta)
