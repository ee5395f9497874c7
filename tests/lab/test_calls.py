"""The calls that workers shall make are checked before they get into guest memory."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from emu.build.contents import Call
from emu.errors import UnknownNameError
from emu.lab.calls import MOST_CALLS, TooManyCallsError
from emu.lab.machine import Machine

LEAF = Call(fn="mini_leaf", args=(41,), expected=42)
WRONG = {
    "too many arguments": (
        {"args": (1,) * 11}, "calls[1], mini_leaf: must have at most 10 arguments, not 11",
    ),
    "a negative argument": (
        {"args": (1, -1)}, "calls[1], mini_leaf: args[1] must be a u64 or 'buffer', not -1",
    ),
    "a wide argument": (
        {"args": (2**64,)}, f"calls[1], mini_leaf: args[0] must be a u64 or 'buffer', not {2**64}",
    ),
    "an argument in words": (
        {"args": ("buffers",)}, "calls[1], mini_leaf: args[0] must be a u64 or 'buffer', not 'buffers'",
    ),
    "an array as argument": (
        {"args": (np.zeros(1),)}, "calls[1], mini_leaf: args[0] must be a u64 or 'buffer', not array([0.])",
    ),
    "a wide result": ({"expected": 2**32}, "calls[1], mini_leaf: expected must be a u32, not 4294967296"),
    "no round": ({"every": 0}, "calls[1], mini_leaf: every must be 1 to 64, not 0"),
    "half a result": ({"expected": 0.5}, "calls[1], mini_leaf: expected must be a u32, not 0.5"),
}  # fmt: skip


@pytest.fixture
def machine() -> Machine:
    return Machine(cpus=1, users=0)


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG)
def test_a_call_that_fits_no_table_is_refused(
    machine: Machine, change: dict[str, object], message: str
) -> None:
    calls = [LEAF, replace(LEAF, **change)]  # type: ignore[arg-type]  # that is the mistake
    for offer in (machine.offer_calls, lambda calls: machine.add_module("m", [], calls=calls)):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            offer(calls)


def test_no_calls_are_refused(machine: Machine) -> None:
    with pytest.raises(ValueError, match=r"^workers need at least one call to make$"):
        machine.offer_calls([])


def test_a_function_that_is_not_there_is_refused(machine: Machine) -> None:
    with pytest.raises(UnknownNameError, match=r"^unknown function 'mini_laef'; did you mean 'mini_leaf'\?$"):
        machine.offer_calls([replace(LEAF, fn="mini_laef")])


def test_as_many_as_a_table_holds_are_made_and_one_more_is_refused(machine: Machine) -> None:
    for _ in range(4):  # whatever table is in use, the next does not touch it
        machine.offer_calls([LEAF] * MOST_CALLS)
        assert machine.run(calls=200).ok
    assert machine.bad_results() == 0

    with pytest.raises(
        TooManyCallsError, match=r"^2_731 calls are too many for a table of 2_730; give fewer$"
    ):
        machine.offer_calls([LEAF] * (MOST_CALLS + 1))


def test_a_call_is_made_in_its_rounds_only(machine: Machine) -> None:
    rare = Call(fn="mini_loop", args=(20,), expected=210, every=4)
    machine.offer_calls([rare, LEAF])
    machine.run(calls=2_000)

    sites = machine.trace.calls["site"]
    leaves, loops = (
        np.count_nonzero(sites == machine.kallsyms.address_of(fn)) for fn in ("mini_leaf", "mini_loop")
    )
    assert leaves > 1_000
    assert abs(leaves - 4 * loops) <= 4 * 3 * 2, "each of the workers may be in the middle of its rounds"


def test_all_rounds_must_fit(machine: Machine) -> None:
    with pytest.raises(TooManyCallsError, match=r"^2_773 calls are too many "):
        machine.offer_calls([LEAF] * 42 + [replace(LEAF, every=64)] * 85)


def test_a_modules_calls_must_fit_beside_those_of_the_kernel(machine: Machine) -> None:
    machine.offer_calls([LEAF] * MOST_CALLS)
    job = machine.load("target")
    machine.run(until=lambda: job.done)

    with pytest.raises(TooManyCallsError):
        job.result()


def test_calls_are_made_in_turn_also_after_a_module_has_come_and_gone(machine: Machine) -> None:
    machine.offer_calls([LEAF])
    for job in (machine.load("target"), machine.unload("target")):
        assert machine.wait(job) == 0
    seen = len(machine.trace.calls)
    machine.run(calls=500)

    late = machine.trace.calls[seen + 100 :]
    assert set(late["site"].tolist()) == {machine.kallsyms.address_of("mini_leaf")}
