"""Litmus tests as the parts that explorers are made of."""

from __future__ import annotations

from typing import Any

from emu.ordering.code.thread import State, Thread
from emu.ordering.litmus.program import LitmusTest, read_test
from emu.ordering.litmus.source import read_source


def read(text: str) -> LitmusTest:
    return read_test(read_source(text, "test"))


def programs(test: LitmusTest, order: Any) -> list[Thread]:
    """Return a program per CPU; a final is the values of the registers that the test looks at."""
    found = []
    for cpu in sorted(test.starts):
        names = [place.name for place in test.condition.places if place.cpu == cpu]

        def finish(state: State, names: list[str] = names) -> Any:
            return tuple(int(state.registers.get(name, 0)) for name in names)

        found.append(Thread(State(test.code, order(), dict(test.registers[cpu]), test.starts[cpu]), finish))
    return found


def observed(test: LitmusTest) -> list[int]:
    return [
        location
        for place in test.condition.places
        if place.cpu < 0
        for piece in test.pieces_of(place)
        for location in test.code.layout.locations(piece)
    ]


def initial(test: LitmusTest) -> dict[int, int]:
    return test.code.layout.initial(test.memory)
