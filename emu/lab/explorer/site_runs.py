"""Items of a dispatching CPU: running a site that is being rewritten, and looking whether that is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from emu.build.memory_map import KERNEL_TEXT
from emu.lab.explorer.dispatcher import State, Wish
from emu.lab.explorer.guest_code import Core, GuestCode, Run
from emu.lab.explorer.pokes import Piece
from emu.lab.explorer.requests import ANYWHERE, BETWEEN

DONE = KERNEL_TEXT.end - 0x40
"""A word that is set when the poke is complete, so that one can ask for what comes after it."""
INT3 = 0xCC


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSite:
    """Running the site: every instruction of it is fetched; x86-64's INT3 leads to its handler.

    Args:
        pieces: of the site.
        code: of the guest.
        handler: ``poke_int3_handler`` with its argument, on ports that have it.
        resumed: (core behind it) -> what its frame goes on with: ``old``, ``new``, or ``""``: no poke.
        wrong: see `Poking`.
    """

    pieces: tuple[Piece, ...]
    code: GuestCode
    handler: Core | None
    resumed: Callable[[Core], str]
    wrong: Callable[[tuple[str, ...]], str]

    def begin(self, state: State) -> Wish | None:
        """Fetch the first piece."""
        state.kept = ()
        return self._next(state)

    def _next(self, state: State) -> Wish | None:
        number = len(state.kept)
        if number == len(self.pieces):
            return self._done(state)
        piece = self.pieces[number]
        fresh = number == 0 or self.pieces[number - 1].part != piece.part
        allows = BETWEEN if number == 0 else ANYWHERE if fresh else frozenset[str]()
        return Wish(fetch=f"text {piece.address:#x}", allows=allows)

    def fetched(self, state: State, value: Any) -> Wish | None:
        """Fetch the next piece, or take the trap."""
        if self.handler is not None and value == INT3 and not state.kept:
            off: frozenset[str] = frozenset()  # a trap comes through an interrupt gate
            return Wish(core=self.handler, allows=off, inside=off)
        state.kept = (*state.kept, value)
        return self._next(state)

    def ran(self, state: State, run: Run) -> Wish | None:
        """Look where the breakpoint's handler goes on."""
        went = self.resumed(run.core)
        if not went:
            state.results = (*state.results, "int3")
            state.violation = "an int3 that nobody knows of: poke_int3_handler finds no poke"
            return None
        self._note(state, went, f"int3, emulated {went}")
        state.track.synchronise(0)  # IRET serialises
        return None

    def stored(self, state: State, location: int, value: int) -> None:
        """Take no note."""

    def _done(self, state: State) -> Wish | None:
        parts = []
        for part in sorted({piece.part for piece in self.pieces if piece.old != piece.new}):
            mine = [(p, v) for p, v in zip(self.pieces, state.kept, strict=True) if p.part == part]
            if all(value == piece.old for piece, value in mine):
                parts.append("old")
            elif all(value == piece.new for piece, value in mine):
                parts.append("new")
            else:
                state.results = (*state.results, "torn")
                state.violation = "it runs bytes of the old and of the new instruction as one"
                return None
        wrong = self.wrong(tuple(parts))
        if wrong:
            state.results = (*state.results, " then ".join(parts))
            state.violation = wrong
            return None
        went = parts[-1] if len(set(parts)) == 1 else "old"
        self._note(state, went, " then ".join(dict.fromkeys(parts)))
        return None

    @staticmethod
    def _note(state: State, went: str, told: str) -> None:
        state.results = (*state.results, told)
        if state.expected and went != "new":
            state.violation = "it runs the old instruction after it has seen the poke complete"


@dataclass(frozen=True, slots=True, kw_only=True)
class LookDone:
    """Looking whether the poke is complete; from then on only the new instruction is right."""

    def begin(self, state: State) -> Wish | None:
        """Load the word."""
        return Wish(fetch=DONE, data=True, allows=BETWEEN)

    def fetched(self, state: State, value: Any) -> Wish | None:
        """Note it."""
        state.results = (*state.results, "complete" if value else "not complete")
        state.expected = 1 if value else None
        return None

    def ran(self, state: State, run: Run) -> Wish | None:
        """Run nothing."""
        raise AssertionError("no code")

    def stored(self, state: State, location: int, value: int) -> None:
        """Store nothing."""
