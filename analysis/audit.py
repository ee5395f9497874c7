"""The consistency audit: did any call run a version that it must not have run?

Four rules, each row breaks at most the first that applies:

- ``version``: what ran was a registered version of the function at some moment between the call's
  entry and its dispatch. While a patch is in transition that is the version with it or without it.
  Before and after are told by ``seq`` and ``dispatch_seq``, never by clocks.
- ``site``: a call that entered after the last poke's sync of an enabling went through the trampoline.
- ``state``: where the handler had to ask the task's ``patch_state``, it obeyed the answer.
- ``columns``: ``target``, ``patch`` and the REDIRECTED flag tell the same story.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emu.analysis.chunks import chunks
from emu.analysis.names import function_names, version_name, version_names
from emu.analysis.phases import NEVER, Phase, phases
from emu.trace.run import Run
from emu.trace.schema import NOT_DISPATCHED, CallFlag

RULES = ("version", "site", "state", "columns")
"""What is checked, see the module's text."""

_OWN_SITE = 0  # in a table of expected targets: the traced function itself
_UNKNOWN = 2**64 - 1  # likewise: symbols.json does not tell, so anything is accepted


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One call that broke a rule: where it is in ``calls.npy``, and what was wrong."""

    rule: str
    row: int
    seq: int
    cpu: int
    cycle: int
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """The result of an audit.

    Args:
        checked: calls that the rules were applied to.
        unchecked: calls that the run ended in before a version was chosen, calls past the last event of a
            run that is not complete, and replaced calls of functions whose symbol is missing.
        counts: findings by rule; every rule is there, even with 0.
        findings: the first of them, in order of rows.
        notes: what could not be checked, and why.
    """

    checked: int
    unchecked: int
    counts: dict[str, int]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether no call broke a rule."""
        return not any(self.counts.values())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Rules:
    """What each phase allows, as tables: phases down, covered functions across, one more for all others."""

    phases: list[Phase]
    begins: NDArray[np.uint64]
    patch: NDArray[np.intp]
    sites: NDArray[np.uint64]
    unpatched: NDArray[np.uint64]
    patched: NDArray[np.uint64]
    maybe_off: NDArray[np.intp]
    """How many phases above this one leave the site of a function possibly off; one row more than phases."""
    targets: NDArray[np.uint64]
    """Of each patch (down) and function (across); `_OWN_SITE` where it does not cover it."""
    partly_known: NDArray[np.bool_]
    """Of each patch: whether it covers functions that symbols.json does not have; the last is of no patch."""


def audit(run: Run, *, limit: int = 1000) -> Audit:
    """Return every call that broke a rule, by the livepatch events and the patch table of its run.

    Args:
        run: what to check.
        limit: most findings to describe; all are counted.
    """
    names, notes = function_names(run.symbols), list(run.notes)
    rules = _rules(run, notes)
    horizon = NEVER
    if run.notes or not run.complete:
        horizon = max((int(part["seq"].max()) for _, part in chunks(run.events)), default=0)
        notes.append(
            f"calls past number {horizon:_}, the last event, are not checked: later events may be missing"
        )
    checked, counts, findings = 0, dict.fromkeys(RULES, 0), list[Finding]()
    for start, calls in chunks(run.calls):
        rows = np.flatnonzero(_checkable(calls, rules, horizon))
        checked += len(rows)
        rule = _broken(calls[rows], rules)
        for number, name in enumerate(RULES):
            counts[name] += int(np.count_nonzero(rule == number))
        broken = np.flatnonzero(rule >= 0)[: limit - len(findings)]
        # Only rows to be described, at most `limit` of them, are looked at one by one.
        for index in broken.tolist():
            call = calls[rows[index]]
            findings.append(
                Finding(
                    rule=RULES[rule[index]],
                    row=start + int(rows[index]),
                    seq=int(call["seq"]),
                    cpu=int(call["cpu"]),
                    cycle=int(call["enter"]),
                    what=_describe(RULES[rule[index]], call, rules, run, names),
                )
            )
    return Audit(
        checked=checked,
        unchecked=len(run.calls) - checked,
        counts=counts,
        findings=tuple(findings),
        notes=tuple(notes),
    )


def _checkable(calls: NDArray[np.void], rules: _Rules, horizon: int) -> NDArray[np.bool_]:
    # The run may have ended before the call's site ran, or inside the trampoline.
    unfinished = calls["flags"] & np.uint16(CallFlag.UNFINISHED) != 0
    hooked = calls["flags"] & np.uint16(CallFlag.HOOKED) != 0
    undecided = unfinished & ((calls["patch_state"] == NOT_DISPATCHED) | ~hooked)
    late = np.maximum(calls["seq"], calls["dispatch_seq"]) > np.uint64(horizon)
    patch = np.minimum(calls["patch"], len(rules.partly_known) - 1)
    nameless = rules.partly_known[patch] & (_functions(rules, calls["site"]) == len(rules.sites))
    checkable: NDArray[np.bool_] = ~(undecided | late | nameless)
    return checkable


def _broken(calls: NDArray[np.void], rules: _Rules) -> NDArray[np.intp]:
    """Return the position in `RULES` of the first rule that each call broke, -1 for none."""
    site, target, flags = calls["site"], calls["target"], calls["flags"]
    function = _functions(rules, site)
    first = _phase_at(rules, calls["seq"])
    last = _phase_at(rules, np.maximum(calls["seq"], calls["dispatch_seq"]))

    def matches(expected: NDArray[np.uint64], rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        own = np.where(expected == _OWN_SITE, site[rows], expected)
        same: NDArray[np.bool_] = (target[rows] == own) | (expected == _UNKNOWN)
        return same

    # Nearly every call lies within one phase; only those still wrong are tried against the next.
    wrong, at = np.arange(len(calls)), first.copy()
    broken = np.full(len(calls), -1, np.intp)
    while len(wrong):
        here = at[wrong], function[wrong]
        wrong = wrong[~(matches(rules.unpatched[here], wrong) | matches(rules.patched[here], wrong))]
        out = at[wrong] >= last[wrong]
        broken[wrong[out]] = RULES.index("version")
        wrong = wrong[~out]
        at[wrong] += 1

    every = np.arange(len(calls))
    unhooked = (flags & np.uint16(CallFlag.HOOKED)) == 0
    unhooked &= rules.maybe_off[first, function] == rules.maybe_off[last + 1, function]
    state = calls["patch_state"]
    asked = (flags & np.uint16(CallFlag.TRANSITION) != 0) & ((state == 0) | (state == 1))
    asked &= (rules.patch[first] != 0) & (rules.patch[first] == rules.patch[last]) & (last - first <= 1)
    answer = np.where(state == 1, rules.patched[first, function], rules.unpatched[first, function])
    disobeyed = asked & ~matches(answer, every)
    patch = calls["patch"]
    said = rules.targets[np.minimum(patch, len(rules.targets) - 1), function]
    lied = (patch >= len(rules.targets)) | ~matches(said, every) | ((patch == 0) != (target == site))
    lied |= (flags & np.uint16(CallFlag.REDIRECTED) != 0) != (target != site)
    for name, mask in (("site", unhooked), ("state", disobeyed), ("columns", lied)):
        broken[(broken < 0) & mask] = RULES.index(name)
    return broken


def _functions(rules: _Rules, site: NDArray[np.uint64]) -> NDArray[np.intp]:
    """Return the column of `_Rules` tables of each call's function."""
    other = len(rules.sites)
    if not other:
        return np.zeros(len(site), np.intp)
    at = np.minimum(np.searchsorted(rules.sites, site), other - 1)
    return np.where(rules.sites[at] == site, at, other)


def _phase_at(rules: _Rules, seq: NDArray[np.uint64]) -> NDArray[np.intp]:
    """Return the number of the phase in which each of the run's numbers was given out."""
    # The event that opens a phase belongs to it, and no call has its number.
    return np.maximum(np.searchsorted(rules.begins, seq, side="right") - 1, 0)


def _rules(run: Run, notes: list[str]) -> _Rules:
    """Return the tables that a run's events and patches give; what they can't tell goes to ``notes``."""
    spans = phases(run.events, run.meta)
    addresses = {name: symbol.address for name, symbol in run.symbols.items()}
    patches = run.meta["patches"]
    missing = {
        name
        for patch in patches
        for pair in patch["functions"].items()
        for name in pair
        if name not in addresses
    }
    for name in sorted(missing):
        notes.append(
            f"{name!r} is in the patch table and not in symbols.json: its calls are not fully checked"
        )
    covered = {addresses[name] for patch in patches for name in patch["functions"] if name not in missing}
    sites = np.array(sorted(covered), np.uint64)
    targets = np.full((len(patches), len(sites) + 1), _OWN_SITE, np.uint64)
    covers = np.zeros((len(patches), len(sites) + 1), np.bool_)
    for index, patch in enumerate(patches):
        for name, replacement in patch["functions"].items():
            if name not in missing:
                column = int(np.searchsorted(sites, addresses[name]))
                covers[index, column] = True
                if replacement != name:  # a nop func maps to its own name: the original runs
                    targets[index, column] = addresses.get(replacement, _UNKNOWN)

    def expected(stacks: Sequence[tuple[int, ...]]) -> NDArray[np.uint64]:
        rows: dict[tuple[int, ...], NDArray[np.uint64]] = {}
        for stack in stacks:
            if stack not in rows:
                row = np.full(len(sites) + 1, _OWN_SITE, np.uint64)
                for index in stack:  # the newest covers what is below it
                    row[covers[index]] = targets[index, covers[index]]
                rows[stack] = row
        return np.array([rows[stack] for stack in stacks])

    # a nop func's site may be off again: it is discarded when its patch's transition is complete
    brings_site = covers & (targets != _OWN_SITE)
    certain = np.array([brings_site[list(phase.hooked)].any(axis=0) for phase in spans])
    maybe_off = np.zeros((len(spans) + 1, len(sites) + 1), np.intp)
    np.cumsum(~certain, axis=0, out=maybe_off[1:])
    return _Rules(
        phases=spans,
        begins=np.array([phase.begin for phase in spans], np.uint64),
        patch=np.array([phase.patch for phase in spans], np.intp),
        sites=sites,
        unpatched=expected([phase.unpatched for phase in spans]),
        patched=expected([phase.patched for phase in spans]),
        maybe_off=maybe_off,
        targets=targets,
        partly_known=np.array([*(not missing.isdisjoint(p["functions"]) for p in patches), False]),
    )


def _describe(rule: str, call: np.void, rules: _Rules, run: Run, names: dict[int, str]) -> str:
    site, target, cpu = int(call["site"]), int(call["target"]), int(call["cpu"])
    versions = version_names(run.meta)
    function, ran = names.get(site, f"{site:#x}"), names.get(target, f"{target:#x}")
    ran = "the original" if target == site else ran
    if rule == "columns":
        version = version_name(versions, int(call["patch"]))
        return (
            f"{function} ran {ran}, but the row's patch is {version!r} and its flags {int(call['flags']):#x}"
        )
    number = int(_phase_at(rules, np.array([call["seq"]]))[0])
    phase = rules.phases[number]
    since = f"since event {phase.begin:_} (cycle {phase.cycle:_})" if number else "since the start"
    if rule == "site":
        return f"{function} was entered on CPU {cpu} past its site, which is on {since}"
    column = int(_functions(rules, np.array([site], np.uint64))[0])

    def version_of(table: NDArray[np.uint64]) -> str:
        address = int(table[number, column]) or site
        return "the original" if address == site else names.get(address, f"{address:#x}")

    without, with_patch = version_of(rules.unpatched), version_of(rules.patched)
    if rule == "state":
        state = int(call["patch_state"])
        return f"{function} ran {ran} for a task in state {state}; that is {(without, with_patch)[state]}"
    if int(call["flags"]) & CallFlag.RECURSION:
        since += "; no recursion bit was free"
    allowed = without if without == with_patch else f"{without} or {with_patch}"
    return f"{function} ran {ran}; registered at its entry was {allowed}, {since}"
