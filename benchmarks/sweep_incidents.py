"""How often is each incident found, and is its fixed variant clean, under many seeds?

    python benchmarks/sweep_incidents.py --seeds 1000 --jobs 4 [incident ...]

Prints what was found how often. Exit code 1 when a fixed variant was not clean, or a broken one was.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from emu.arch import PORTS
from emu.lab.incidents import fixed, incident_names, load_incident
from emu.lab.run import run_scenario

Case = tuple[str, str, bool, int]
"""Incident, port, whether it is the fixed variant, seed."""


def found(case: Case) -> str:
    """Return in a few words what was wrong, "" when nothing was."""
    name, arch, is_fixed, seed = case
    scenario = load_incident(name).with_options({"arch": arch, "seed": seed})
    outcome = run_scenario(fixed(scenario) if is_fixed else scenario)
    if outcome.ok:
        return ""
    if not outcome.stopped.ok:
        return outcome.stopped.what.partition(" at ")[0]
    refused = [step.step.action for step in outcome.steps if step.result < 0]
    return f"{', '.join(refused)} refused" if refused else "calls of a wrong version, or WARNs"


VARIANTS = {"broken": (False,), "fixed": (True,), "both": (False, True)}


def cases(names: list[str], seeds: range, variants: tuple[bool, ...]) -> Iterator[list[Case]]:
    """Yield the runs of each incident, port and variant."""
    for name in names:
        for arch in load_incident(name).ports or sorted(PORTS):
            for is_fixed in variants:
                yield [(name, arch, is_fixed, seed) for seed in seeds]


def main() -> int:
    """Answer the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="INCIDENT", help="which; default all")
    parser.add_argument("--seeds", type=int, default=100, help="how many")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--variant", choices=VARIANTS, default="both", help="with the defect or without it")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    options = parser.parse_args()
    for name in options.names:
        if name not in incident_names():
            parser.error(f"no incident {name!r}; known: {', '.join(incident_names())}")
    seeds, failed = range(options.first, options.first + options.seeds), False
    with ProcessPoolExecutor(options.jobs) as pool:
        for group in cases(options.names or incident_names(), seeds, VARIANTS[options.variant]):
            name, arch, is_fixed, _ = group[0]
            reports = list(pool.map(found, group, chunksize=8))
            wrong = [seed for seed, report in zip(seeds, reports, strict=True) if bool(report) is is_fixed]
            failed |= bool(wrong)
            variant, but = "fixed" if is_fixed else "broken", f", not {wrong[:10]}" if wrong else ""
            share = f"{len(seeds) - len(wrong)} of {len(seeds)}"
            print(f"{name} {arch} {variant}: {share} as expected{but}", flush=True)
            for report, times in Counter(filter(None, reports)).most_common():
                print(f"    {times} times: {report}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
