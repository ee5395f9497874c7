"""The memory models by name."""

from __future__ import annotations

from enum import StrEnum


class Model(StrEnum):
    """A memory model."""

    SC = "sc"
    """Sequential consistency."""
    TSO = "tso"
    """x86-TSO."""
    ARM64 = "arm64"
    """The AArch64 model of the Arm ARM, with instruction fetch."""
