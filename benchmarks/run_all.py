"""Run every benchmark, keep what they measure in benchmarks/results, put tables into docs/performance.md."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.harness import ROOT, Table, environment, facts_line

BENCHMARKS = (
    "dispatch", "memory", "trace", "startup", "install", "transition", "ordering", "litmus", "timed",
    "cycles", "arm64_curve",
)  # fmt: skip
LACKS_SOMETHING = 4
"""Exit code of a benchmark that this machine can't make, as of `klpemu`: it has said why."""

RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "performance.md"


def run(name: str, *, quick: bool) -> None:
    """Run one benchmark; its measurements go to a file in `RESULTS` unless it is a quick run."""
    command = [sys.executable, str(ROOT / "benchmarks" / f"bench_{name}.py")]
    command += ["--quick"] if quick else ["--json", str(RESULTS / f"{name}.json")]
    print(f"--- {name}", flush=True)
    done = subprocess.run(command, env=environment(), check=False)
    if done.returncode == LACKS_SOMETHING:
        print(f"--- {name}: left out", flush=True)
    elif done.returncode:
        raise SystemExit(f"bench_{name}.py ended with {done.returncode}")


def section(document: dict[str, Any]) -> str:
    """Return what the page says between the markers of one benchmark."""
    lines = [f"*{facts_line(document['machine'])}; took {document['seconds']} s*"]
    if document["quick"]:
        lines += ["", "*From a quick run: a smoke test, not a measurement.*"]
    for table in document["tables"]:
        rows = tuple(tuple(row) for row in table["rows"])
        lines += ["", Table(title=table["title"], columns=tuple(table["columns"]), rows=rows).markdown()]
    if document["targets"]:
        found = [(t["wanted"], t["found"], "yes" if t["met"] else "**no**") for t in document["targets"]]
        lines += [
            "",
            Table(title="Targets", columns=("target", "found", "met"), rows=tuple(found)).markdown(),
        ]
    lines += [f"\n{note[0].upper()}{note[1:]}." for note in document["notes"]]
    return "\n".join(lines)


def put(page: str, name: str, text: str) -> str:
    """Return the page with ``text`` between the markers of a benchmark.

    Raises:
        ValueError: the page has no such markers.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    head, found, rest = page.partition(begin)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{PAGE} must have the lines {begin} and {end}")
    return f"{head}{begin}\n{text}\n{end}{tail}"


def main() -> None:
    """Answer the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"which: {', '.join(BENCHMARKS)}; default all"
    )
    parser.add_argument("--quick", action="store_true", help="smoke test; results and page stay as they are")
    parser.add_argument("--tables", action="store_true", help="only write the page anew from kept results")
    options = parser.parse_args()
    for name in options.names:
        if name not in BENCHMARKS:
            parser.error(f"no benchmark {name!r}; known: {', '.join(BENCHMARKS)}")
    for name in options.names or BENCHMARKS:
        if not options.tables:
            run(name, quick=options.quick)
    if options.quick:
        return
    page = PAGE.read_text(encoding="utf-8")
    for name in BENCHMARKS:
        file = RESULTS / f"{name}.json"
        if file.exists():
            page = put(page, name, section(json.loads(file.read_text(encoding="utf-8"))))
    PAGE.write_text(page, encoding="utf-8")
    print(f"written: {PAGE}")


if __name__ == "__main__":
    main()
