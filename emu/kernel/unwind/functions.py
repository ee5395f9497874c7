"""Where the functions of a piece of code begin and end, and which of them jumps connect."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from emu.build.decode import decode_lite
from emu.build.image import MARKS
from emu.kernel.unwind.effect import Flow
from emu.kernel.unwind.rules import Entry, Rules

_TARGET = re.compile(r"#?(0x[0-9a-f]+|\d+)$")
_COLD = ".cold"
"""In the name of a part of a function that GCC has moved away: it is jumped to."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function, or a routine that is jumped to; ``end`` is the first address behind it."""

    name: str
    start: int
    end: int
    entry: Entry


class Functions:
    """The functions of one piece of code.

    Args:
        rules: of its port.
        base, code: the piece.
        symbols: address and size by name.
        entries: how those begin that are not called.
    """

    def __init__(
        self,
        rules: Rules,
        base: int,
        code: bytes,
        symbols: Mapping[str, tuple[int, int]],
        entries: Mapping[str, Entry],
    ) -> None:
        self._rules, self._base, self._code = rules, base, code
        self.all = _functions(symbols, base, base + len(code), entries)
        self._starts = [function.start for function in self.all]
        self._groups: dict[int, list[Function]] | None = None
        self.inner_calls: set[int] = set()
        """Addresses inside functions that calls go to; known once groups are."""

    def at(self, address: int) -> Function | None:
        """Return the function that ``address`` lies in."""
        place = bisect_right(self._starts, address) - 1
        function = self.all[place] if place >= 0 else None
        return function if function is not None and address < function.end else None

    def code(self, function: Function) -> bytes:
        """Return its bytes, as they were built."""
        return self._code[function.start - self._base : function.end - self._base]

    def group(self, function: Function) -> list[Function]:
        """Return the functions that jumps connect with ``function``, itself among them, by address."""
        if self._groups is None:
            self._groups = self._connected()
        return self._groups[function.start]

    def _connected(self) -> dict[int, list[Function]]:
        groups = {function.start: [function] for function in self.all}
        for function in self.all:
            for other in self._jumped_to(function):
                mine, its = groups[function.start], groups[other.start]
                if mine is not its:
                    mine += its
                    groups |= dict.fromkeys((member.start for member in its), mine)
        for group in groups.values():
            group.sort(key=lambda member: member.start)
        return groups

    def _jumped_to(self, function: Function) -> Iterable[Function]:
        rules = self._rules
        behind, goes = function.start, Flow.STOP
        for address, size, mnemonic, operands in decode_lite(rules.port, self.code(function), function.start):
            behind, goes = address + size, rules.flow(mnemonic)
            found = _TARGET.search(operands) if goes in (Flow.BRANCH, Flow.JUMP, Flow.CALL) else None
            target = int(found[1], 0) if found else 0
            other = self.at(target)
            if goes is Flow.CALL and other is not None and other.start != target:
                self.inner_calls.add(target)
            elif goes is not Flow.CALL and other is not None and other is not function:
                yield other
        following = self.at(behind)
        if goes in (Flow.NEXT, Flow.BRANCH) and behind == function.end and following is not None:
            yield following


def _functions(
    symbols: Mapping[str, tuple[int, int]], low: int, high: int, entries: Mapping[str, Entry]
) -> list[Function]:
    """Return functions that don't overlap: one inside another is a label of that."""
    found: list[Function] = []
    inside = [(at, -size, name) for name, (at, size) in symbols.items() if size and low <= at < high]
    for start, negative, name in sorted(inside):
        end = min(start - negative, high)
        last = found[-1] if found else None
        if name.startswith(MARKS):  # a label for the build: what follows still belongs to the function
            if last is not None and last.end >= start:
                found[-1] = Function(last.name, last.start, max(last.end, end), last.entry)
        elif last is None or start >= last.end:
            entry = entries.get(name, Entry.JUMPED if _COLD in name else Entry.CALLED)
            found.append(Function(name, start, end, entry))
    return found
