"""What calls cost, in cycles and instructions, by how they were dispatched."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emu.analysis.chunks import Sites, Tally, chunks
from emu.analysis.names import function_names
from emu.analysis.operations import STAGES, NoSuchOperationError, life_of
from emu.errors import EmuError
from emu.trace.run import Run
from emu.trace.schema import CallFlag

GROUPS = ("unpatched", "traced", "patched")
"""Site off; site on and the original ran; a replacement ran."""

VALUE_BITS = 44
"""Bits of a count of cycles: 17 million million, no run lasts that long."""
_CODES = 1 << (64 - VALUE_BITS)


class TooManyFunctionsError(EmuError):
    """A trace names more functions than any kernel has."""

    def __init__(self, functions: int) -> None:
        super().__init__(
            f"the trace names {functions:_} functions, at most {_CODES // len(GROUPS):_} can be told apart; "
            f"calls.npy is probably damaged"
        )
        self.functions = functions


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Percentiles of a set of counts, each a count that occurred (nearest rank).

    Half of the calls took ``median`` or less, 99 of 100 ``p99`` or less.
    """

    median: int
    p90: int
    p99: int
    max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CallCost:
    """What the calls of one group cost, each count per call.

    Args:
        calls: how many there were.
        cycles: from ``enter`` to ``exit``, callees included.
        entry: cycles from ``enter`` to ``dispatched``: what the entry itself cost.
        insns: instructions, callees included.
    """

    calls: int
    cycles: Spread
    entry: Spread
    insns: Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class CostReport:
    """Costs of a run.

    Args:
        groups: by `GROUPS`; a group without calls is not there.
        functions: the same for each traced function by itself, by name.
        left_out: calls with no measurable cost: unfinished, or with clocks that run backwards.
    """

    groups: dict[str, CallCost]
    functions: dict[str, dict[str, CallCost]]
    left_out: int


def cost(run: Run) -> CostReport:
    """Return what the calls of a run cost, over all and function by function."""
    sites = Sites()

    def codes(calls: NDArray[np.void]) -> NDArray[np.uint64]:
        numbers = sites.numbers(calls["site"])
        if len(sites.addresses) * len(GROUPS) > _CODES:
            raise TooManyFunctionsError(len(sites.addresses))
        return (numbers * len(GROUPS) + groups_of(calls)).astype(np.uint64)

    tallies, left_out = _tally(run, codes)
    names = function_names(run.symbols)
    functions = {}
    for number, address in enumerate(sites.addresses.tolist()):
        base = number * len(GROUPS)
        costs = _costs(tallies, {group: [base + i] for i, group in enumerate(GROUPS)})
        if costs:
            functions[names.get(address, f"{address:#x}")] = costs
    codes_end = len(sites.addresses) * len(GROUPS)
    every = {group: list(range(i, codes_end, len(GROUPS))) for i, group in enumerate(GROUPS)}
    return CostReport(
        groups=_costs(tallies, every), functions=dict(sorted(functions.items())), left_out=left_out
    )


def cost_stages(run: Run, patch: int) -> dict[str, dict[str, CallCost]]:
    """Return what calls of the functions that a patch covers cost, by stage of its life and by group.

    A call belongs to the stage in which it was entered. Stages are those of `life_of`, in the order of
    `STAGES`; one without calls is there, and empty. A function without a symbol is left out.

    Raises:
        NoSuchOperationError: the patch was never enabled, or meta does not know it.
    """
    if not 0 < patch < len(run.meta["patches"]):
        raise NoSuchOperationError(patch, "enabled")
    life = life_of(run, patch)
    begins = np.array([begin for begin, _ in life], np.uint64)
    stages = np.array([STAGES.index(stage) for _, stage in life], np.intp)
    covered = run.meta["patches"][patch]["functions"]
    sites = np.array([run.symbols[name].address for name in covered if name in run.symbols], np.uint64)

    def codes(calls: NDArray[np.void]) -> NDArray[np.uint64]:
        stage = stages[np.searchsorted(begins, calls["seq"], side="right") - 1]
        return (stage * len(GROUPS) + groups_of(calls)).astype(np.uint64)

    tallies, _ = _tally(run, codes, sites=sites)
    return {
        STAGES[n]: _costs(tallies, {group: [n * len(GROUPS) + i] for i, group in enumerate(GROUPS)})
        for n in sorted({*stages.tolist()})
    }


def groups_of(calls: NDArray[np.void]) -> NDArray[np.intp]:
    """Return the position in `GROUPS` of each call."""
    hooked = (calls["flags"] & np.uint16(CallFlag.HOOKED)) != 0
    redirected = (calls["flags"] & np.uint16(CallFlag.REDIRECTED)) != 0
    return np.where(redirected, 2, hooked.astype(np.intp))


def _tally(
    run: Run,
    codes: Callable[[NDArray[np.void]], NDArray[np.uint64]],
    *,
    sites: NDArray[np.uint64] | None = None,
) -> tuple[tuple[Tally, Tally, Tally], int]:
    """Count cycles, entry cycles and instructions of each code; keys hold code and value.

    Args:
        run: whose calls are counted.
        codes: returns the code of each call.
        sites: only calls of these functions are; None: of all.
    """
    cycles, entry, insns = Tally(), Tally(), Tally()
    left_out, shift, limit = 0, np.uint64(VALUE_BITS), np.uint64(1 << VALUE_BITS)
    for _, part in chunks(run.calls):
        rows = part if sites is None else part[np.isin(part["site"], sites)]
        # A damaged row wraps around to a huge count, which the limit rejects too.
        total, dispatch = rows["exit"] - rows["enter"], rows["dispatched"] - rows["enter"]
        good = (rows["flags"] & np.uint16(CallFlag.UNFINISHED)) == 0
        good &= (total < limit) & (dispatch <= total)
        left_out += len(rows) - int(np.count_nonzero(good))
        code = codes(rows[good]) << shift
        cycles.add(code | total[good])
        entry.add(code | dispatch[good])
        insns.add(code | rows["insns"][good])
    return (cycles, entry, insns), left_out


def _costs(tallies: tuple[Tally, Tally, Tally], wanted: dict[str, list[int]]) -> dict[str, CallCost]:
    costs = {}
    for group, codes in wanted.items():
        (calls, cycles), (_, entry), (_, insns) = (spread(tally, codes) for tally in tallies)
        if calls:
            costs[group] = CallCost(calls=calls, cycles=cycles, entry=entry, insns=insns)
    return costs


def spread(tally: Tally, codes: list[int]) -> tuple[int, Spread]:
    """Return how many values a set of codes has, and their spread."""
    if len(codes) == 1:
        low, high = np.searchsorted(
            tally.keys >> np.uint64(VALUE_BITS), np.array([codes[0], codes[0] + 1], np.uint64)
        )
        values, counts = tally.keys[low:high], tally.counts[low:high]
    else:
        mine = np.isin(tally.keys >> np.uint64(VALUE_BITS), np.array(codes, np.uint64))
        values, counts = tally.keys[mine], tally.counts[mine]
    values = values & np.uint64((1 << VALUE_BITS) - 1)
    if not len(values):
        return 0, Spread(median=0, p90=0, p99=0, max=0)
    order = np.argsort(values, kind="stable")
    values, upto = values[order], np.cumsum(counts[order])
    calls = int(upto[-1])

    def percentile(percent: int) -> int:
        return int(values[np.searchsorted(upto, -(-calls * percent // 100))])

    return calls, Spread(median=percentile(50), p90=percentile(90), p99=percentile(99), max=int(values[-1]))
