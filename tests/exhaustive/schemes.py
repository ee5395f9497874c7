"""The ways of entering a traced function, and what each port's instruction fetch may do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scheme:
    """One way of entering a traced function."""

    arch: str
    call_ops: bool = False

    def __str__(self) -> str:
        return self.arch + ("-call_ops" if self.call_ops else "")


SCHEMES = (Scheme("x86_64"), Scheme("arm64"), Scheme("arm64", call_ops=True))
FETCHES = {"x86_64": ("stale", "eager", "head", "tail"), "arm64": ("stale", "eager")}
"""What each port's fetch may do before it synchronises; on arm64 a word is fetched whole."""
