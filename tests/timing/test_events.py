"""What comes from outside the instruction stream, and what CPUs share."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from emu.timing import (
    NONE,
    Event,
    RowTable,
    drain,
    enter_exception,
    load_cpu_model,
    new_cpu,
    new_shared,
    poke_text,
    send_ipi,
    step,
    switch_context,
    wait_until,
)
from emu.timing.layout import T_L1I_MISSES, T_LINE_TRANSFERS

MODEL = load_cpu_model("zen4")
ROWS = RowTable(MODEL)
ADD, LOCK_INC = ROWS.index(bytes.fromhex("4883c001")), ROWS.index(bytes.fromhex("f048ff07"))
Words = NDArray[np.int64]


def run(cpu: Words, shared: Words, row: int, count: int, *, pc: int = 0x1000, data: int = NONE) -> int:
    clock = 0
    for _ in range(count):
        clock = step(cpu, shared, ROWS.array, row, pc, pc + 4, data, data, NONE)
    return clock


@pytest.mark.parametrize("event", list(Event))
def test_an_exception_costs_what_the_model_says(event: Event) -> None:
    cpu, shared = new_cpu(MODEL), new_shared(MODEL)
    before = run(cpu, shared, ADD, 50)
    after = enter_exception(cpu, shared, event)
    assert after - before >= MODEL.parameters[event.name.lower()]
    assert run(cpu, shared, ADD, 1) > after


def test_events_never_turn_the_clock_back() -> None:
    cpu, shared = new_cpu(MODEL), new_shared(MODEL)
    clock = run(cpu, shared, ADD, 10)
    for now in (
        drain(cpu),
        send_ipi(cpu),
        switch_context(cpu),
        poke_text(cpu, shared, 0x1000, 5),
        wait_until(cpu, 0),
    ):
        assert now >= clock
    assert wait_until(cpu, 1_000_000) == 1_000_000


def test_poked_text_is_fetched_anew_by_every_cpu() -> None:
    shared = new_shared(MODEL)
    one, two = new_cpu(MODEL, 0, 2), new_cpu(MODEL, 1, 2)
    for cpu in (one, two):
        run(cpu, shared, ADD, 20)
        enter_exception(cpu, shared, Event.INTERRUPT)
        misses = cpu[T_L1I_MISSES]
        run(cpu, shared, ADD, 1)
        assert cpu[T_L1I_MISSES] == misses
    poke_text(one, shared, 0x1002, 5)
    for cpu in (one, two):
        enter_exception(cpu, shared, Event.INTERRUPT)
        misses = cpu[T_L1I_MISSES]
        run(cpu, shared, ADD, 1)
        assert cpu[T_L1I_MISSES] == misses + 1


def test_a_line_that_two_cpus_write_in_turn_costs_both() -> None:
    shared = new_shared(MODEL)
    cpus = [new_cpu(MODEL, index, 2) for index in range(2)]
    for _ in range(100):
        for cpu in cpus:
            run(cpu, shared, LOCK_INC, 1, data=0x8000)
    alone = new_cpu(MODEL)
    quick = run(alone, new_shared(MODEL), LOCK_INC, 100, data=0x8000)
    assert all(cpu[T_LINE_TRANSFERS] > 90 for cpu in cpus)
    assert run(cpus[0], shared, LOCK_INC, 1, data=0x8000) > 4 * quick
