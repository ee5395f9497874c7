"""What holds for every test."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def freed_memory_goes_back() -> Iterator[None]:
    """Return freed memory to the system: glibc keeps the large arrays of ended runs, gigabytes over the suite."""
    yield
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
