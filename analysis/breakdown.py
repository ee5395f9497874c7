"""What the cycles of calls went into, part by part, in a run with a cycle model."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emu.analysis.chunks import Tally, chunks
from emu.analysis.cost import GROUPS, VALUE_BITS, Spread, groups_of, spread
from emu.trace.run import Run
from emu.trace.schema import PARTS, CallFlag

_PLAIN, _TRACED, _PATCHED = range(len(GROUPS))
_SETTLED, _TRANSITION, _NOP = range(3)
_KINDS = 3

KINDS = {
    "plain": [_KINDS * _PLAIN + kind for kind in range(_KINDS)],
    "traced": [_KINDS * _TRACED + _SETTLED],
    "patched": [_KINDS * _PATCHED + _SETTLED],
    "transition": [_KINDS * group + _TRANSITION for group in (_TRACED, _PATCHED)],
    "nop": [_KINDS * group + _NOP for group in (_TRACED, _PATCHED)],
}
"""Site off; site on and the original ran; a replacement ran; the task's state decided; a nop func was chosen.

Every call is of one kind. A nop func that was chosen in transition counts as in transition.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one part took, per call.

    Args:
        spread: over the calls.
        total: of all of them together, cycles.
    """

    spread: Spread
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakdown:
    """What the calls of one kind took.

    Args:
        calls: how many there were.
        cycles: from ``enter`` to ``exit``.
        parts: by name: ``site``, ``save``, ``handler``, ``walk``, ``restore``, ``mispredict``, ``body``, ``other``.
    """

    calls: int
    cycles: Spread
    parts: dict[str, Part]


def breakdown(run: Run, kinds: dict[str, list[int]] = KINDS) -> dict[str, Breakdown]:
    """Return what the cycles of calls went into, by kind; empty for a run without a cycle model.

    Calls that were open at the end are left out, and kinds without calls are.

    Args:
        run: whose calls.
        kinds: as `KINDS`.
    """
    if PARTS[0] not in (run.calls.dtype.names or ()):
        return {}
    whole, parts = Tally(), [Tally() for _ in PARTS]
    totals = np.zeros((len(PARTS), _KINDS * len(GROUPS)), np.uint64)
    shift = np.uint64(VALUE_BITS)
    for _, calls in chunks(run.calls):
        rows = calls[(calls["flags"] & np.uint16(CallFlag.UNFINISHED)) == 0]
        codes = _codes(rows)
        whole.add(codes << shift | (rows["exit"] - rows["enter"]))
        for tally, total, name in zip(parts, totals, PARTS, strict=True):
            cycles = rows[name].astype(np.uint64)
            tally.add(codes << shift | cycles)
            np.add.at(total, codes.astype(np.intp), cycles)
    found = {}
    for kind, wanted in kinds.items():
        calls_of, cycles_of = spread(whole, wanted)
        if calls_of:
            found[kind] = Breakdown(
                calls=calls_of, cycles=cycles_of,
                parts={
                    name.removesuffix("_cycles"): Part(spread=spread(tally, wanted)[1], total=int(total[wanted].sum()))
                    for name, tally, total in zip(PARTS, parts, totals, strict=True)
                },
            )  # fmt: skip
    return found


def breakdown_by_group(run: Run) -> dict[str, Breakdown]:
    """Return the same by `GROUPS` of cost."""
    return breakdown(run, {name: list(range(_KINDS * at, _KINDS * (at + 1))) for at, name in enumerate(GROUPS)})


def _codes(calls: NDArray[np.void]) -> NDArray[np.uint64]:
    flags = calls["flags"]
    kind = np.where(flags & np.uint16(CallFlag.NOP), _NOP, _SETTLED)
    kind = np.where(flags & np.uint16(CallFlag.TRANSITION), _TRANSITION, kind)
    return (_KINDS * groups_of(calls) + kind).astype(np.uint64)
