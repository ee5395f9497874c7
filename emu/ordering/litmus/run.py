"""Runs a litmus test: all executions, states, verdict."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from emu.ordering.budget import Budget
from emu.ordering.code.dialects import MODELS
from emu.ordering.code.errors import CodeError
from emu.ordering.code.thread import State, Thread, settled
from emu.ordering.columns import ARM_ATOMIC, CACHE_DIC, CACHE_IDC, GUESS_CACHES, SERIAL_FETCH
from emu.ordering.explore import Exploration, explore
from emu.ordering.litmus.condition import Place
from emu.ordering.litmus.errors import LitmusError, located
from emu.ordering.litmus.program import LitmusTest, read_test
from emu.ordering.litmus.source import read_source
from emu.ordering.local_arm64 import ArmOrder
from emu.ordering.local_x86 import TsoOrder
from emu.ordering.models import Model

CUTOFF = "CUTOFF"
CMODX = "violates-CMODX-requirements"
SAME_LINE = "Assuming-no-two-modified-instructions-are-on-the-same-cache-line"


class Final(NamedTuple):
    """How one CPU ended.

    Args:
        registers: the values that the test looks at, in the order of its places.
        faults: index of the instruction and kind, in order.
        cut: whether a loop was cut off.
        notes: flags of the test.
        texts: addresses of the instructions that it wrote.
    """

    registers: tuple[int, ...]
    faults: tuple[tuple[int, str], ...]
    cut: bool
    notes: frozenset[str]
    texts: frozenset[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a litmus test gave.

    Args:
        name: of the test.
        arch: ``AArch64`` or ``X86_64``.
        model: used.
        quantifier: ``exists``, ``~exists`` or ``forall``.
        condition: its text.
        positive: executions that meet the condition, of ``~exists`` those that do not meet what follows it.
        negative: the others.
        states: final states, sorted; ``[x]`` or ``0:X1`` to number or text.
        flags: that herd7 knows, sorted.
        complete: whether all executions were seen.
        ms: milliseconds, reading the test included.
    """

    name: str
    arch: str
    model: str
    quantifier: str
    condition: str
    positive: int
    negative: int
    states: list[dict[str, int | str]]
    flags: list[str]
    complete: bool
    ms: float

    @property
    def met(self) -> tuple[int, int]:
        """Return how many executions meet the proposition behind the quantifier, and how many do not."""
        if self.quantifier == "~exists":
            return self.negative, self.positive
        return self.positive, self.negative

    @property
    def observation(self) -> str:
        """Return ``Never``, ``Sometimes`` or ``Always``."""
        met, missed = self.met
        if not met:
            return "Never"
        return "Sometimes" if missed else "Always"

    @property
    def verdict(self) -> str:
        """Return ``Allowed`` or ``Forbidden``; of ``forall``: ``Required`` or ``Violated``.

        ``Unknown`` if a budget ran out before one execution decided it.
        """
        decided, yes, no = (
            (self.negative > 0, "Violated", "Required")
            if self.quantifier == "forall"
            else (self.met[0] > 0, "Allowed", "Forbidden")
        )
        if decided:
            return yes
        return no if self.complete else "Unknown"


def run_text(
    text: str, path: str, *, model: Model | None = None, unroll: int = 2, budget: Budget | None = None,
) -> Result:  # fmt: skip
    """Run a litmus test and return what it gave.

    Args:
        text: of the test.
        path: for messages.
        model: to use; None: the architecture's own.
        unroll: how often a backward jump is taken.
        budget: what it may take; None: what it needs.

    Raises:
        LitmusError: the test can't be read.
        UnsupportedTestError: it uses something that is not modelled.
    """
    started = time.perf_counter()
    test = read_test(read_source(text, path), unroll)
    own = MODELS[test.source.arch]
    if model is None:
        model = own
    elif model is Model.ARM64 and own is not model:
        raise LitmusError(path, 1, f"model arm64 does not fit {test.source.arch} instructions; use tso or sc")
    try:
        found = settled(test.code, lambda: _explore(test, model, budget))
    except CodeError as error:
        raise located(error, path, 0 if error.index is None else test.lines[error.index]) from None
    return _judge(test, model, found, started)


def _explore(
    test: LitmusTest, model: Model, budget: Budget | None,
) -> Exploration:  # fmt: skip
    places = test.condition.places
    programs = []
    for cpu in sorted(test.starts):
        wanted = [place.name for place in places if place.cpu == cpu and not place.fault]
        order: Any = ArmOrder() if model is Model.ARM64 else TsoOrder(total=model is Model.SC)
        state = State(
            test.code, order, dict(test.registers[cpu]), test.starts[cpu], test.handlers.get(cpu, -1)
        )
        programs.append(Thread(state, _finisher(wanted)))
    observed: list[int] = []
    for place in places:
        if place.cpu < 0:
            for piece in test.pieces_of(place):
                observed.extend(test.code.layout.locations(piece))
    rules = 0
    if model is Model.ARM64:
        rules = ARM_ATOMIC
        if test.code.exposed:
            rules |= GUESS_CACHES
            cache = test.source.cache_type
            if "DIC" in cache:
                rules |= CACHE_DIC | CACHE_IDC
            if "IDC" in cache:
                rules |= CACHE_IDC
    elif test.code.exposed:
        rules = SERIAL_FETCH if model is Model.TSO is MODELS[test.source.arch] else CACHE_DIC
    return explore(
        programs, test.code.layout.initial(test.memory), rules=rules, observed=observed,
        budget=budget,
    )  # fmt: skip


def _finisher(wanted: list[str]) -> Callable[[State], Final]:
    def finish(state: State) -> Final:
        registers = state.registers
        return Final(
            tuple(registers.get(name, 0) for name in wanted), state.faults, state.cut, state.notes,
            frozenset(state.texts),
        )  # fmt: skip

    return finish


def _judge(test: LitmusTest, model: Model, found: Exploration, started: float) -> Result:
    condition = test.condition
    places = condition.places
    cpus = sorted(test.starts)
    slots = dict.fromkeys(cpus, 0)
    getters: list[Callable[[Any], int | str]] = []
    for place in places:
        getters.append(_getter(test, place, cpus, slots))
    flags: set[str] = {CUTOFF} if test.code.cut else set()
    states: dict[tuple[int | str, ...], None] = {}
    positive = negative = 0
    for outcome in found.outcomes:
        finals: tuple[Final, ...] = outcome.finals
        if any(final.cut for final in finals):
            continue
        values = tuple(getter(outcome) for getter in getters)
        state: Any = dict(zip(places, values, strict=True))
        if condition.filters is not None and not condition.filters(state):
            continue
        states[values] = None
        if condition.holds(state):
            positive += outcome.executions
        else:
            negative += outcome.executions
        if outcome.racing_code:
            flags.add(CMODX)
        written: set[Any] = set()
        for final in finals:
            flags |= final.notes
            written |= final.texts
        if len(written) > 1:
            flags.add(SAME_LINE)
    if condition.quantifier == "~exists":
        positive, negative = negative, positive
    keys = [
        place.name if place.cpu < 0 and place.index < 0 and test.type_of(place).count else place.key
        for place in places
    ]
    order = sorted(range(len(places)), key=lambda one: _place_order(places[one]))
    rows = [{keys[one]: values[one] for one in order} for values in states]
    rows.sort(
        key=lambda row: [(isinstance(v, str), v if isinstance(v, int) else 0, str(v)) for v in row.values()]
    )
    return Result(
        name=test.source.name, arch=test.source.arch, model=model.value, quantifier=condition.quantifier,
        condition=condition.text, positive=positive, negative=negative, states=rows, flags=sorted(flags),
        complete=found.complete, ms=(time.perf_counter() - started) * 1000,
    )  # fmt: skip


def _place_order(place: Place) -> tuple[Any, ...]:
    """Registers first, CPU after CPU, then memory, then faults."""
    if place.fault:
        return (2, place.cpu, place.name)
    if place.cpu < 0:
        return (1, place.name, place.index)
    digits = re.sub(r"\D", "", place.name)
    return (0, place.cpu, re.sub(r"\d", "", place.name), int(digits or 0))


def _getter(
    test: LitmusTest, place: Place, cpus: list[int], slots: dict[int, int]
) -> Callable[[Any], int | str]:
    kind = test.type_of(place)
    shown = test.names.shown
    if place.fault:
        at = cpus.index(place.cpu)
        matches = _fault_matcher(test, place)
        return lambda outcome: int(any(matches(*fault) for fault in outcome.finals[at].faults))
    if place.cpu >= 0:
        at, slot = cpus.index(place.cpu), slots[place.cpu]
        slots[place.cpu] = slot + 1
        return lambda outcome: shown(outcome.finals[at].registers[slot], kind)
    readers = [test.code.layout.reader(piece) for piece in test.pieces_of(place)]
    if kind.count and place.index < 0:
        return lambda outcome: (
            "{" + ",".join(str(shown(read(outcome.memory), kind)) for read in readers) + "}"
        )
    return lambda outcome: shown(readers[0](outcome.memory), kind)


def _fault_matcher(test: LitmusTest, place: Place) -> Callable[[int, str], bool]:
    """Return whether a fault at an index, of a kind, is the one that the condition names."""
    where, *rest = place.name.split(",")
    _, _, label = where.partition(":")
    index = test.names.labels.get((place.cpu, label)) if label else None
    kinds = [part for part in rest if part[:1].isupper() and len(part) > 3]

    def matches(at: int, kind: str) -> bool:
        return (not label or at == index) and (not kinds or kind in kinds)

    return matches
