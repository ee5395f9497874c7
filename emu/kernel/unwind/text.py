"""Pieces of code that can be unwound: images, and copies of their routines; looked at when asked for."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Protocol

from emu.kernel.unwind.analysis import Analysis, Group, analyse
from emu.kernel.unwind.functions import Functions
from emu.kernel.unwind.row import Row, row_of
from emu.kernel.unwind.rules import Entry, Rules


class Text(Protocol):
    """A piece of code.

    Attributes:
        base, size: where it is, bytes.
    """

    base: int
    size: int

    def row(self, address: int) -> Row | None:
        """Return the way up from the instruction at ``address``, which is about to run."""
        ...

    def row_behind_call(self, address: int) -> Row | None:
        """Return the way up while the call is under way that returns to ``address``."""
        ...

    def is_boundary(self, address: int) -> bool:
        """Tell whether an instruction begins at ``address``."""
        ...

    def name_at(self, address: int) -> str:
        """Return ``function+0x1/0x20``, "" outside all functions."""
        ...


class BuiltText:
    """Code with symbols.

    Args:
        rules: of its port.
        base, code: the piece, as it was built.
        symbols: address and size by name.
        owner: the module's name; "" = the kernel's.
        entries: how those of its routines begin that are not called.
        warns: addresses of traps behind which it goes on.
    """

    def __init__(
        self,
        rules: Rules,
        base: int,
        code: bytes,
        symbols: Mapping[str, tuple[int, int]],
        *,
        owner: str = "",
        entries: Mapping[str, Entry],
        warns: AbstractSet[int] = frozenset(),
    ) -> None:
        self.base, self.size = base, len(code)
        self._rules, self._owner, self._warns = rules, owner, warns
        self.functions = Functions(rules, base, code, symbols, entries)
        self._savers = frozenset(symbols[name][0] for name in rules.savers if name in symbols)
        self._analyses: dict[int, Analysis] = {}
        self._rows: dict[tuple[int, bool], Row | None] = {}

    def row(self, address: int) -> Row | None:
        """See `Text`."""
        return self._row(address, address, behind_call=False)

    def row_behind_call(self, address: int) -> Row | None:
        """See `Text`; what is called last may never return, so ``address`` may be behind the function."""
        return self._row(address, address - 1, behind_call=True)

    def is_boundary(self, address: int) -> bool:
        """See `Text`."""
        analysis = self._analysis(address)
        return analysis is not None and address in analysis.boundaries

    def name_at(self, address: int) -> str:
        """See `Text`."""
        function = self.functions.at(address)
        if function is None:
            return ""
        owner = f" [{self._owner}]" if self._owner else ""
        return f"{function.name}+{address - function.start:#x}/{function.end - function.start:#x}{owner}"

    def _row(self, address: int, inside: int, *, behind_call: bool) -> Row | None:
        key = address, behind_call
        if key not in self._rows:
            analysis = self._analysis(inside)
            found = analysis.behind_calls if behind_call and analysis else analysis.states if analysis else {}
            self._rows[key] = row_of(self._rules, found[address]) if address in found else None
        return self._rows[key]

    def _analysis(self, address: int) -> Analysis | None:
        function = self.functions.at(address)
        if function is None:
            return None
        first = self.functions.group(function)[0].start
        if first not in self._analyses:
            self._analyses[first] = self._analyse(first)
        return self._analyses[first]

    def _analyse(self, first: int) -> Analysis:
        functions = self.functions
        opening = functions.at(first)
        assert opening is not None, "a group is called by its first function"
        members = functions.group(opening)
        return analyse(
            self._rules,
            Group(
                functions=tuple((function, functions.code(function)) for function in members),
                called_inside=frozenset(at for at in functions.inner_calls if functions.at(at) in members),
                savers=self._savers,
                warns=frozenset(self._warns),
            ),
        )


class CopiedText:
    """A copy of a routine, as far as it goes, that differs in nothing that matters to frames.

    Args:
        name: of the copy.
        base, size: where it is, bytes.
        original: where the routine is.
        template: its address there.
    """

    def __init__(self, name: str, base: int, size: int, original: Text, template: int) -> None:
        self.base, self.size = base, size
        self._name, self._original, self._moved = name, original, base - template

    def row(self, address: int) -> Row | None:
        """See `Text`."""
        return self._original.row(address - self._moved)

    def row_behind_call(self, address: int) -> Row | None:
        """See `Text`."""
        return self._original.row_behind_call(address - self._moved)

    def is_boundary(self, address: int) -> bool:
        """See `Text`."""
        return self._original.is_boundary(address - self._moved)

    def name_at(self, address: int) -> str:
        """See `Text`."""
        return f"{self._name}+{address - self.base:#x}/{self.size:#x}"
