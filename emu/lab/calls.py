"""Checking the calls that workers shall make, before they are written into guest memory."""

from __future__ import annotations

from collections.abc import Sequence

from emu.build.contents import BUFFER, MOST_ARGUMENTS, MOST_ROUNDS, Call, in_rounds
from emu.build.memory_map import CALL_TABLES
from emu.errors import EmuError
from emu.structs import CALL_ENTRY

MOST_CALLS = CALL_TABLES.size // 3 // CALL_ENTRY.size
"""In one table: while tasks are still on one, there is always room for the next."""


class TooManyCallsError(EmuError):
    """More calls are asked for than a table of calls holds."""

    def __init__(self, number: int) -> None:
        super().__init__(f"{number:_} calls are too many for a table of {MOST_CALLS:_}; give fewer")
        self.number = number


def check_calls(calls: Sequence[Call]) -> None:
    """Raise what is wrong with ``calls``, if anything is.

    Raises:
        ValueError: a call has too many arguments, or a value that is not of its size.
        TooManyCallsError: there are too many.
    """
    for at, call in enumerate(calls):
        where = f"calls[{at}], {call.fn}:"
        if len(call.args) > MOST_ARGUMENTS:
            raise ValueError(f"{where} must have at most {MOST_ARGUMENTS} arguments, not {len(call.args)}")
        for number, value in enumerate(call.args):
            if not _fits(value, 64) and not (isinstance(value, str) and value == BUFFER):
                raise ValueError(f"{where} args[{number}] must be a u64 or {BUFFER!r}, not {value!r}")
        if not _fits(call.expected, 32):
            raise ValueError(f"{where} expected must be a u32, not {call.expected!r}")
        if not 1 <= call.every <= MOST_ROUNDS:
            raise ValueError(f"{where} every must be 1 to {MOST_ROUNDS}, not {call.every!r}")
    check_room(calls)


def check_room(calls: Sequence[Call]) -> None:
    """Raise `TooManyCallsError` if a table does not hold all rounds of the calls."""
    number = len(in_rounds(calls))
    if number > MOST_CALLS:
        raise TooManyCallsError(number)


def _fits(value: object, bits: int) -> bool:
    return type(value) is int and 0 <= value < 1 << bits
