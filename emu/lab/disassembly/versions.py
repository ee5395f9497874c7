"""Which patches are enabled when a run ends, function by function."""

from __future__ import annotations

from emu.analysis import phases
from emu.lab.disassembly.listing import Version
from emu.trace.run import Run


def versions_of(run: Run) -> dict[str, tuple[Version, ...]]:
    """Return the patches that cover each function in the end, oldest first."""
    last, patches = phases(run.events, run.meta)[-1], run.meta["patches"]
    moving = set(last.unpatched) ^ set(last.patched)
    found: dict[str, tuple[Version, ...]] = {}
    # Between two versions the older ones are in ``unpatched``, the one that comes or goes in ``patched``.
    for index in dict.fromkeys((*last.unpatched, *last.patched)):
        for function, replacement in patches[index]["functions"].items():
            version = Version(
                patch=patches[index]["name"], replacement=replacement, is_nop=replacement == function,
                in_transition=index in moving,
            )  # fmt: skip
            found[function] = (*found.get(function, ()), version)
    return found
