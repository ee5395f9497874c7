"""How long does a litmus test take, reading included, in one process that runs hundreds?

Each corpus of tests/litmus is measured once one test has loaded compiled code. Target: a median of 10 ms.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.harness import ROOT, Result, Table, Target, main, spread

_FOLDERS = {"x86_64": "generated/x86_64", "aarch64": "generated/aarch64", "ifetch": "generated/ifetch"}
_LIMIT = 10.0


def measure(quick: bool) -> Result:
    """Time each corpus."""
    from emu.ordering.litmus import run_text

    rows, targets = [], []
    found: dict[str, list[float]] = {}
    for name, folder in _FOLDERS.items():
        texts = [
            path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests/litmus" / folder).iterdir())
        ]
        run_text(texts[0], name)
        times = [run_text(text, name).ms for text in texts for _ in range(1 if quick else 3)]
        found[name] = times
        row = spread(times)
        rows.append((name, str(len(texts)), row.text(unit=" ms"), f"{_LIMIT:g} ms"))
        targets.append(
            Target(wanted=f"{name}: {_LIMIT:g} ms", found=row.text(unit=" ms"), met=row.median <= _LIMIT)
        )
    table = Table(
        title="Milliseconds per litmus test", columns=("corpus", "tests", "time", "target"), rows=tuple(rows)
    )
    return Result(tables=(table,), data={"ms": found}, targets=tuple(targets))


if __name__ == "__main__":
    main(__doc__, measure)
