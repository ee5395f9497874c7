"""The facts about a run that `klpemu run` and `klpemu analyze` print, ready for JSON.

Keys and values are text, whole numbers and booleans only, so `json.loads` gives back the same report. The
same run gives the same text: functions and patch states are in order of letters, CPUs in order of number,
versions in that of their index (the original first), and what has an order of its own (cost groups, stages,
audit rules) is in that.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import NotRequired, TypedDict

from emu.analysis.audit import Audit, audit
from emu.analysis.breakdown import Breakdown, Part, breakdown, breakdown_by_group
from emu.analysis.cost import CallCost, cost, cost_stages
from emu.analysis.names import version_names
from emu.analysis.operations import NoSuchOperationError
from emu.analysis.summary import summarize
from emu.trace.run import Run

FINDINGS = 10
"""How many findings of the audit a report tells; all are counted."""


class PartFacts(TypedDict):
    """What one part of calls took, see `Part`: cycles per call, and of all calls together."""

    median: int
    p99: int
    total: int


class BreakdownFacts(TypedDict):
    """What calls of one kind took, see `Breakdown`: cycles per call, and by part."""

    calls: int
    median: int
    p99: int
    total: int
    parts: dict[str, PartFacts]


class CostFacts(TypedDict):
    """What the calls of a group cost: see `CallCost`; counts are per call.

    Args:
        calls: how many there were.
        median, p90, p99, max: cycles.
        insns_median, insns_p99: instructions.
        parts: what the cycles went into, of a run with a cycle model.
    """

    calls: int
    median: int
    p90: int
    p99: int
    max: int
    insns_median: int
    insns_p99: int
    parts: NotRequired[dict[str, PartFacts]]


class AuditFacts(TypedDict):
    """What the audit found, see `Audit`; ``findings`` are the first `FINDINGS`, a line each."""

    passed: bool
    checked: int
    unchecked: int
    counts: dict[str, int]
    findings: list[str]
    notes: list[str]


class Report(TypedDict):
    """Facts about a run; counts are calls.

    Args:
        by_version: every version of meta is there, even with 0.
        by_cpu: by CPU number as text, then by version.
        by_function: by traced function, then by version.
        by_patch_state: by the task's state at dispatch.
        cost: by cost group.
        stages: of the functions that a patch covers only: by patch name, stage of the patch's life in which
            the call was entered (``before``, ``enabling``, ``enabled``, ``disabling``, ``after``) and cost
            group; patches never enabled are not there, nor are stages that the run did not reach.
        breakdown: what the cycles went into, by kind of call (``plain``, ``traced``, ``patched``, ``transition``,
            ``nop``); empty for a run without a cycle model.
        audit: whether any call ran a version that it must not have run.
    """

    by_version: dict[str, int]
    by_cpu: dict[str, dict[str, int]]
    by_function: dict[str, dict[str, int]]
    by_patch_state: dict[str, int]
    cost: dict[str, CostFacts]
    stages: dict[str, dict[str, dict[str, CostFacts]]]
    breakdown: dict[str, BreakdownFacts]
    audit: AuditFacts


def report_of(run: Run) -> Report:
    """Return the facts about a run: which versions ran, what they cost, whether it was consistent.

    Names are as the files have them; who prints them to a terminal must escape them.
    """
    summary = summarize(run)
    costs = _costs(cost(run).groups)
    for group, found in breakdown_by_group(run).items():
        if group in costs:
            costs[group]["parts"] = _parts(found.parts)
    return {
        "by_version": summary.by_version,
        "by_cpu": {str(cpu): counts for cpu, counts in sorted(summary.by_cpu.items())},
        "by_function": dict(sorted(summary.by_function.items())),
        "by_patch_state": dict(sorted(summary.by_patch_state.items())),
        "cost": costs,
        "stages": stage_facts(run),
        "breakdown": {kind: _breakdown(found) for kind, found in breakdown(run).items()},
        "audit": _audit_facts(audit(run, limit=FINDINGS)),
    }


def stage_facts(run: Run) -> dict[str, dict[str, dict[str, CostFacts]]]:
    """Return what calls of each patch's functions cost, see ``stages`` of `Report`."""
    stages = {}
    for patch, name in enumerate(version_names(run.meta)):
        with suppress(NoSuchOperationError):
            stages[name] = {stage: _costs(groups) for stage, groups in cost_stages(run, patch).items()}
    return stages


def _costs(groups: Mapping[str, CallCost]) -> dict[str, CostFacts]:
    return {
        group: {
            "calls": costs.calls,
            "median": costs.cycles.median,
            "p90": costs.cycles.p90,
            "p99": costs.cycles.p99,
            "max": costs.cycles.max,
            "insns_median": costs.insns.median,
            "insns_p99": costs.insns.p99,
        }
        for group, costs in groups.items()
    }


def _breakdown(found: Breakdown) -> BreakdownFacts:
    return {
        "calls": found.calls,
        "median": found.cycles.median,
        "p99": found.cycles.p99,
        "total": sum(part.total for part in found.parts.values()),
        "parts": _parts(found.parts),
    }


def _parts(parts: Mapping[str, Part]) -> dict[str, PartFacts]:
    return {
        name: {"median": part.spread.median, "p99": part.spread.p99, "total": part.total}
        for name, part in parts.items()
    }


def _audit_facts(result: Audit) -> AuditFacts:
    return {
        "passed": result.passed,
        "checked": result.checked,
        "unchecked": result.unchecked,
        "counts": result.counts,
        "findings": [
            f"{f.rule}: {f.what} (call {f.seq:_}, CPU {f.cpu}, cycle {f.cycle:_})" for f in result.findings
        ],
        "notes": list(result.notes),
    }
