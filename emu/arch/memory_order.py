"""Which memory orderings a port's programs can be run under, and what its fences are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryOrder:
    """Memory ordering of a port.

    Args:
        own: what its hardware may show, a name of ``--ordering``.
        allowed: all that it can be run under: ``own`` and what is stronger.
        is_fence: (mnemonic, operands) as Capstone prints them -> whether every store before it has landed
            when it is done, under "tso". Ports whose instructions are decoded as they run have none.
    """

    own: str
    allowed: tuple[str, ...]
    is_fence: Callable[[str, str], bool]
