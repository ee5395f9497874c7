"""What a unit's labels say about it to others."""

from __future__ import annotations

from dataclasses import dataclass

from emu.build.asm.layout import Layout
from emu.build.asm.program import CONVENTIONAL, Align, Code, Label, Program


@dataclass(frozen=True, slots=True, kw_only=True)
class Symbol:
    """A visible label.

    Args:
        name: of it.
        address: of it.
        size: bytes of the function it names, 0 for an inner label.
        unit: name of its unit.
    """

    name: str
    address: int
    size: int
    unit: str


def symbols_of(program: Program, layout: Layout, start: int) -> dict[str, Symbol]:
    """Return the visible labels of a unit that starts at ``start``.

    The first global label names a function, and so does one between which and the ``.balign``
    before it is nothing but data. A function ends where the next one's ``.balign`` starts, or
    with the last item that is not padding.
    """
    openings: list[tuple[str, int, int]] = []  # name, offset, end of what lies before
    boundary: int | None = None
    last = 0
    for place, item in enumerate(program.items):
        offset = layout.offsets[place]
        if isinstance(item, Label):
            opens = not openings or boundary is not None
            if item.name in program.declared and not item.name.startswith(CONVENTIONAL) and opens:
                openings.append((item.name, offset, offset if boundary is None else boundary))
                boundary = None
        elif isinstance(item, Align):
            boundary = offset if boundary is None else boundary
            continue
        elif isinstance(item, Code):
            boundary = None
        last = layout.offsets[place + 1]
    ends = [before for _, _, before in openings[1:]] + [last] * bool(openings)
    sizes = {name: end - offset for (name, offset, _), end in zip(openings, ends, strict=True)}
    return {
        name: Symbol(name=name, address=start + offset, size=sizes.get(name, 0), unit=program.unit.name)
        for name, offset in layout.labels.items()
        if program.is_visible(name)
    }
