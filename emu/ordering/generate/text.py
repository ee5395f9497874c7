"""Writes litmus tests down."""

from __future__ import annotations


def text_of(
    arch: str,
    name: str,
    init: str,
    columns: list[list[str]],
    seen: list[str],
    locations: str,
    header: str = "",
) -> str:
    """Return a litmus test that shows some registers and all locations.

    Args:
        arch: in the first line.
        name: of the test.
        init: entries of the initial state.
        columns: lines of each CPU.
        seen: registers to show.
        locations: one letter each.
        header: lines behind the first.
    """
    height = max(len(lines) for lines in columns)
    rows = ["|".join(f" P{cpu} " for cpu in range(len(columns))) + ";"]
    for row in range(height):
        cells = [lines[row] if row < len(lines) else "" for lines in columns]
        rows.append("|".join(f" {cell} " for cell in cells) + ";")
    places = "".join(f"{one}; " for one in [*seen, *locations])
    body = "\n".join(rows)
    return f"{arch} {name}\n{header}{{ {init}}}\n{body}\nlocations [{places}]\nexists ({locations[0]}=2)\n"
