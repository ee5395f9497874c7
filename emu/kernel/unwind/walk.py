"""Walking one stack, frame by frame, until it ends properly or something is not known.

Source: kernel/stacktrace.c, stack_trace_save_tsk_reliable, stack_trace_consume_entry;
arch/x86/kernel/stacktrace.c, arch_stack_walk_reliable; arch/x86/kernel/unwind_orc.c, unwind_next_frame (6.1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from emu.build.memory_map import USER_TEXT
from emu.kernel.unwind.row import Row
from emu.kernel.unwind.state import PC, Kind

MAX_STACK_ENTRIES = 100
"""One that fills this many is not reliable. Source: kernel/livepatch/transition.c, klp_check_stack (6.1)."""


class Goes(Enum):
    """What a frame's address says about where control is."""

    ON = auto()
    """It is the next instruction."""
    BACK = auto()
    """It is behind a call."""
    SWITCHED = auto()
    """It is behind a call, or a new task's first instruction."""


_LEADS = {Kind.CALL: Goes.BACK, Kind.SWITCHED: Goes.SWITCHED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """A stack, as far as it could be walked.

    Args:
        entries: addresses where functions go on, newest first.
        sp: the stack pointer of the oldest of these frames.
        problem: why there may be more, "" if there are none.
    """

    entries: tuple[int, ...]
    sp: int
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """What a walk needs.

    Args:
        sp: the stack pointer's name.
        low, high: lowest address and end of the stack.
        load: address -> the 8 bytes there.
        row: (address, what it says) -> the way up, None if it is not known.
        place: address -> its name, for problems.
    """

    sp: str
    low: int
    high: int
    load: Callable[[int], int]
    row: Callable[[int, Goes], Row | None]
    place: Callable[[int], str]

    def walk(self, frame: Mapping[str, int], goes: Goes) -> Walk:
        """Return the stack whose newest frame has these registers, `PC` among them."""
        entries: list[int] = []
        cfa = self.high
        while True:
            pc, sp = frame[PC], frame[self.sp]
            if goes is Goes.ON and pc in USER_TEXT:
                problem = "" if cfa == self.high else "registers of user text below the top of the stack"
                return Walk(entries=tuple(entries), sp=self.high, problem=problem)
            entries.append(pc)
            row = self.row(pc, goes)
            cfa = frame[row.base] + row.offset if row is not None and row.base in frame else 0
            above = self._above(row, frame, cfa) if row is not None else {}
            problem = self._problem(len(entries), row, sp, cfa, above)
            if problem or row is None or row.kind is Kind.FIRST:
                where = f" at {self.place(pc)}" if problem else ""
                return Walk(entries=tuple(entries), sp=sp, problem=problem + where)
            frame, goes = above, _LEADS.get(row.kind, Goes.ON)

    def _above(self, row: Row, frame: Mapping[str, int], cfa: int) -> dict[str, int]:
        """Return the registers of the frame above, as far as they are known."""
        above = {self.sp: cfa}
        for register, place in row.places.items():
            if isinstance(place, int):
                if frame[self.sp] <= cfa + place <= self.high - 8:
                    above[register] = self.load(cfa + place)
            elif place in frame:
                above[register] = frame[place]
        return above

    def _problem(self, count: int, row: Row | None, sp: int, cfa: int, above: Mapping[str, int]) -> str:
        if count >= MAX_STACK_ENTRIES:
            return f"{count} entries, which are too many,"
        if row is None:
            return "no frame is known"
        if not self.low <= sp <= cfa <= self.high:
            return f"a frame from {sp:#x} to {cfa:#x}, outside the stack,"
        if row.kind is Kind.FIRST:
            return "" if cfa == self.high else f"a first frame {self.high - cfa:#x} bytes below the top"
        if PC not in above:
            return "a return address that is not known"
        if above[PC] not in USER_TEXT and not sp <= above[self.sp] <= self.high:
            return f"a caller's stack pointer {above[self.sp]:#x}, outside the stack,"
        return ""
