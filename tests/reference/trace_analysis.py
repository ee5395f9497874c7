"""Slow, obvious twins of `emu.analysis`: one row at a time, in plain Python."""

from collections import Counter

from emu.trace import CallFlag, EventKind, Run
from emu.trace.schema import NOT_DISPATCHED

NEVER = 2**64 - 1
Costs = dict[str, dict[str, tuple[int, int, int, int]]]


def rows(table) -> list[dict[str, int]]:  # type: ignore[no-untyped-def]
    return [dict(zip(table.dtype.names, row.tolist(), strict=True)) for row in table]


def version_counts(run: Run) -> Counter[str]:
    names = [patch["name"] for patch in run.meta["patches"]]
    return Counter(
        names[call["patch"]] if call["patch"] < len(names) else f"patch {call['patch']}"
        for call in rows(run.calls)
    )


def flag_counts(run: Run) -> Counter[str]:
    return Counter(str(flag.name) for call in rows(run.calls) for flag in CallFlag if call["flags"] & flag)


def group(call: dict[str, int]) -> str:
    if call["flags"] & CallFlag.REDIRECTED:
        return "patched"
    return "traced" if call["flags"] & CallFlag.HOOKED else "unpatched"


def measurable(call: dict[str, int]) -> bool:
    if call["flags"] & CallFlag.UNFINISHED:
        return False
    return call["enter"] <= call["dispatched"] <= call["exit"] and call["exit"] - call["enter"] < 2**44


def spread(values: list[int]) -> tuple[int, int, int, int]:
    values = sorted(values)

    def nearest_rank(percent: int) -> int:
        return next(v for i, v in enumerate(values, 1) if 100 * i >= percent * len(values))

    return nearest_rank(50), nearest_rank(90), nearest_rank(99), values[-1]


def costs(calls: list[dict[str, int]]) -> Costs:
    result: Costs = {}
    for name in ("unpatched", "traced", "patched"):
        mine = [call for call in calls if measurable(call) and group(call) == name]
        if mine:
            result[name] = {
                "cycles": spread([call["exit"] - call["enter"] for call in mine]),
                "entry": spread([call["dispatched"] - call["enter"] for call in mine]),
                "insns": spread([call["insns"] for call in mine]),
            }
    return result


def stage_of(patch: int, history: list[dict[str, int]]) -> tuple[str, int | None]:
    """The stage of a patch's life after these events, and the patch that is replacing it."""
    if not history:
        return "before", None
    *earlier, last = history
    stage, replacement = stage_of(patch, earlier)
    if last["a"] == patch:
        if last["kind"] == EventKind.SETTLED:
            return "enabled" if last["b"] else "after", None
        return "enabling" if last["kind"] == EventKind.ENABLE else "disabling", None
    if last["kind"] == EventKind.ENABLE and last["b"] and stage == "enabled":
        return "disabling", last["a"]
    if last["kind"] == EventKind.SETTLED and last["a"] == replacement:
        return "after" if last["b"] else "enabled", None
    return stage, replacement


def stage_costs(run: Run, patch: int) -> dict[str, Costs]:
    """Costs of the calls of a patch's functions, by stage; only stages with calls."""
    kinds = {EventKind.ENABLE, EventKind.DISABLE, EventKind.SETTLED}
    steps = [event for event in rows(run.events) if event["kind"] in kinds]
    covered = {run.symbols[name].address for name in run.meta["patches"][patch]["functions"]}
    by_stage: dict[str, list[dict[str, int]]] = {}
    for call in rows(run.calls):
        if call["site"] in covered and measurable(call):
            stage, _ = stage_of(patch, [step for step in steps if step["seq"] <= call["seq"]])
            by_stage.setdefault(stage, []).append(call)
    return {stage: costs(calls) for stage, calls in by_stage.items()}


class Moment:
    """What is registered from ``begin`` on."""

    def __init__(self, begin: int, patch: int, off: list[int], on: list[int], hooked: list[int]) -> None:
        self.begin, self.patch, self.off, self.on, self.hooked = begin, patch, off, on, hooked


def moments(run: Run) -> list[Moment]:
    events = rows(run.events)
    result = [Moment(0, 0, [], [], [])]
    for index, event in enumerate(events):
        now, patch = result[-1], event["a"]
        kind, begin = event["kind"], event["seq"]
        if kind in (EventKind.ENABLE, EventKind.DISABLE, EventKind.SETTLED):
            if not 0 < patch < len(run.meta["patches"]):
                continue
            off = [p for p in now.off if p != patch]
        if kind == EventKind.SETTLED:
            if now.patch == patch:
                stack = now.on if event["b"] else now.off
            else:
                stack = [*off, patch] if event["b"] else off
            result.append(Moment(begin, 0, stack, stack, stack))
        elif kind in (EventKind.ENABLE, EventKind.DISABLE) and now.patch == patch:
            result.append(Moment(begin, patch, now.off, now.on, [p for p in now.hooked if p != patch]))
        elif kind == EventKind.ENABLE:
            after = [patch] if event["b"] else [*off, patch]
            result.append(Moment(begin, patch, off, after, [] if event["b"] else off))
        elif kind == EventKind.DISABLE:
            result.append(Moment(begin, patch, off, now.on, off))
        elif kind == EventKind.SYNC and now.patch and _completes_enabling(run, events, index):
            result.append(Moment(begin, now.patch, now.off, now.on, [*now.hooked, now.patch]))
    return result


def _completes_enabling(run: Run, events: list[dict[str, int]], sync: int) -> bool:
    """Whether this SYNC is the first one behind the last poke of an enabling."""
    steps = {EventKind.ENABLE, EventKind.DISABLE, EventKind.SETTLED}

    def is_step(event: dict[str, int]) -> bool:
        return event["kind"] in steps and 0 < event["a"] < len(run.meta["patches"])

    start = max(i for i in range(sync) if is_step(events[i]))
    end = min((i for i in range(sync, len(events)) if is_step(events[i])), default=len(events))
    pokes = [i for i in range(start, end) if events[i]["kind"] == EventKind.TEXT_POKE]
    if events[start]["kind"] != EventKind.ENABLE or not pokes or pokes[-1] > sync:
        return False
    return all(events[i]["kind"] != EventKind.SYNC for i in range(pokes[-1], sync))


def broken_rules(run: Run) -> list[tuple[str, int]]:
    """Every (rule, row) that `emu.analysis.audit` must find in a complete run with full symbols."""
    spans = moments(run)
    ends = [following.begin for following in spans[1:]] + [NEVER]
    address = {name: symbol.address for name, symbol in run.symbols.items()}
    functions = [
        {address[name]: address[new] for name, new in patch["functions"].items()}
        for patch in run.meta["patches"]
    ]

    def expected(stack: list[int], site: int) -> int:
        for patch in reversed(stack):
            if site in functions[patch]:
                return functions[patch][site]
        return site

    def alive(first: int, last: int) -> list[Moment]:
        return [s for s, end in zip(spans, ends, strict=True) if s.begin <= last and end > first]

    found = []
    for row, call in enumerate(rows(run.calls)):
        site, target, flags = call["site"], call["target"], call["flags"]
        undecided = call["patch_state"] == NOT_DISPATCHED or not flags & CallFlag.HOOKED
        if flags & CallFlag.UNFINISHED and undecided:
            continue
        seen = alive(call["seq"], max(call["seq"], call["dispatch_seq"]))
        if all(target not in (expected(s.off, site), expected(s.on, site)) for s in seen):
            found.append(("version", row))
            continue
        # what a nop func stands for is off again once its patch is settled
        must = all(any(functions[p].get(site, site) != site for p in s.hooked) for s in seen)
        if must and not flags & CallFlag.HOOKED:
            found.append(("site", row))
            continue
        one = seen[0].patch and seen[0].patch == seen[-1].patch and len(seen) <= 2
        if flags & CallFlag.TRANSITION and call["patch_state"] in (0, 1) and one:
            stack = seen[0].on if call["patch_state"] == 1 else seen[0].off
            if expected(stack, site) != target:
                found.append(("state", row))
                continue
        patch = call["patch"]
        story = patch < len(functions) and functions[patch].get(site, site) == target
        if (
            not story
            or (patch == 0) != (target == site)
            or bool(flags & CallFlag.REDIRECTED) != (target != site)
        ):
            found.append(("columns", row))
    return found
