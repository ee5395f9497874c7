"""Where the cycles of an iteration go: to the stretches of code between symbols, and to mispredictions."""

from __future__ import annotations

from emu.lab.cycles.piece import Piece
from emu.lab.cycles.predict import Prediction
from emu.timing import Wait

MISPREDICTED = "(mispredictions)"
"""The stage that waiting for the right path is booked on."""


def stages(piece: Piece, prediction: Prediction) -> dict[str, int]:
    """Return cycles by symbol, in the order of their first instruction.

    An instruction is charged with the cycles by which it retires later than the one before it, so the sum is
    the whole. The first one behind a misprediction is not to blame for the wait.
    """
    found: dict[str, int] = {}
    before = prediction.before
    for line in prediction.lines:
        name = piece.stretch_at(line.address)
        spent = line.retire - before
        before = line.retire
        found.setdefault(name, 0)
        if line.dispatch_wait == Wait.MISPREDICT:
            found[MISPREDICTED] = found.get(MISPREDICTED, 0) + spent
        else:
            found[name] += spent
    return found
