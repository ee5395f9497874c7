"""The memory models by name."""

from __future__ import annotations

from enum import StrEnum

from emu.ordering.columns import ARM_ATOMIC, CACHE_DIC, GUESS_CACHES, SERIAL_FETCH


class Model(StrEnum):
    """A memory model."""

    SC = "sc"
    """Sequential consistency."""
    TSO = "tso"
    """x86-TSO."""
    ARM64 = "arm64"
    """The AArch64 model of the Arm ARM, with instruction fetch."""


RULES = {
    Model.SC: CACHE_DIC,
    Model.TSO: SERIAL_FETCH,
    Model.ARM64: ARM_ATOMIC | GUESS_CACHES,
}
"""What each model asks of several CPUs, as bits of `emu.ordering.columns`; instruction fetch included."""
