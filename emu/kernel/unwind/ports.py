"""The rules of each port."""

from __future__ import annotations

from emu.arch.port import Port
from emu.kernel.unwind import arm64, x86_64
from emu.kernel.unwind.rules import Rules

_RULES = {rules.port.name: rules for rules in (x86_64.RULES, arm64.RULES)}


def rules_of(port: Port) -> Rules:
    """Return how frames of ``port`` are found."""
    return _RULES[port.name]
