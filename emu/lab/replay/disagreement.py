"""What a replay found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """One thing that the machine did otherwise than the real kernel.

    Args:
        step: number of the step, from 1.
        action: what was done in it.
        what: ``returned``, ``dmesg``, or the key in ``observed``.
        real: what the real kernel did, as compared.
        ours: what the machine did, as compared.
    """

    step: int
    action: str
    what: str
    real: object
    ours: object

    def __str__(self) -> str:
        sides = f"  real kernel: {self.real}\n  here:        {self.ours}"
        return f"step {self.step} ({self.action}), {self.what}:\n{sides}"
