"""Every step of an installation is left out once: it is seen to be missed, or it is said why it can't be."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from emu.arch import PORTS
from emu.ftrace import step_names
from emu.kernel.installer import Job
from emu.machine.operations import Operation, OpKind
from emu.machine.state import Fetch
from tests.exhaustive.lockstep import GuestWentWrongError, Lockstep, NeverEndsError
from tests.exhaustive.plays import dense, install_around, sparse, walk_into_call
from tests.exhaustive.promises import BrokenPromiseError, Promises
from tests.exhaustive.schemes import SCHEMES, Scheme

pytestmark = pytest.mark.slow

X86, ARM, CALL_OPS = SCHEMES
RUDE, TASKS = "synchronize_rcu_tasks_rude", "synchronize_rcu_tasks"
UNPATCHED = "klp_synchronize_transition after unpatching"
CLEARED = "klp_synchronize_transition after clearing func->transition"
STEPS = (
    OpKind.TEXT_STORE,
    OpKind.CACHE_CLEAN,
    OpKind.CACHE_INVALIDATE,
    OpKind.SYNC,
    OpKind.WAIT,
    OpKind.BARRIER,
)
"""Kinds of operations that exist for the sake of other CPUs: each of them needs an entry below."""


# --- ways to play -------------------------------------------------------------------------------


def _cycle(machine: Lockstep, play: Callable[[bool], object]) -> None:
    promises = Promises(machine)
    for enabled in (True, False):
        play(enabled)
        machine.call()
        machine.call()
        promises.check(enabled=enabled)


def _job(machine: Lockstep, enabled: bool) -> Job[int]:
    return machine.submit_enable() if enabled else machine.submit_disable()


@dataclass(frozen=True, slots=True)
class Everywhere:
    """CPU1 makes a call at each instruction boundary of enabling and disabling."""

    fetch: str

    def play(self, scheme: Scheme, drop: tuple[str, ...]) -> Lockstep:
        machine = Lockstep(scheme, fetch=self.fetch, functions=("mini_leaf",), drop=drop)
        _cycle(machine, lambda enabled: dense(machine, _job(machine, enabled)))
        return machine


@dataclass(frozen=True, slots=True)
class RightAfter:
    """CPU1 makes a call right after an operation, with nothing fetched anew before."""

    operation: str
    fetch: str

    def play(self, scheme: Scheme, drop: tuple[str, ...]) -> Lockstep:
        machine = Lockstep(scheme, fetch=self.fetch, functions=("mini_leaf",), drop=drop)
        _cycle(machine, lambda enabled: sparse(machine, _job(machine, enabled), self.operation))
        return machine


@dataclass(frozen=True, slots=True)
class StandingIn:
    """CPU1 stands in a routine on the call's way while a patch is disabled, at each instruction in turn.

    Args:
        symbol: the routine; "" = from the call's first instruction on.
        below: another patch stays enabled.
        preempted: the task was preempted there, and others run.
    """

    symbol: str
    below: bool = False
    preempted: bool = False

    def play(self, scheme: Scheme, drop: tuple[str, ...]) -> Lockstep:
        machine = Lockstep(
            scheme, functions=("mini_leaf",), below=self.below, workers=3 if self.preempted else 1, drop=drop
        )
        steps, inside = 0, True
        while inside:
            machine.finish_job(machine.submit_enable())
            machine.call()
            machine.step_into(self.symbol)
            inside = walk_into_call(machine, steps)
            if self.preempted:
                machine.preempt()
            install_around(machine, machine.submit_disable())
            for _ in range(3):
                machine.let_schedule()
                machine.call()
            steps += 1
        assert steps > 20, "the routine was walked through"
        assert not machine.complaints()
        return machine


@dataclass(frozen=True, slots=True)
class LoadingModule:
    """A module is loaded; CPU1 calls it first in the middle of a poke, with nothing fetched anew before."""

    def play(self, scheme: Scheme, drop: tuple[str, ...]) -> Lockstep:
        machine = Lockstep(scheme, functions=("mini_leaf",), late="target_sum", drop=drop)
        whole = machine.machine
        machine.finish_job(machine.submit_enable())  # so that the shared callers need no poke, nor its syncs
        machine.finish_job(whole.load("target"))
        machine.offer(("target_sum",))
        machine.engine.fetch.policy = Fetch.EAGER
        try:
            sparse(machine, machine.submit_enable_late(), "bl")
        except AssertionError as error:
            raise AssertionError("\n".join(whole.log[-12:])) from error
        machine.call()
        assert not machine.complaints(), f"{machine.complaints()}: {whole.log[-4:]}"
        return machine


Way = Everywhere | RightAfter | StandingIn | LoadingModule


# --- the table ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Missed:
    """Without the step, playing in this way fails with a report (or an error) that matches."""

    way: Way
    report: str


@dataclass(frozen=True, slots=True)
class Benign:
    """Nothing goes wrong without the step, for this reason; nor when it is played in these ways."""

    why: str
    ways: tuple[Way, ...] = (Everywhere("stale"),)


IN_ORDER = Benign("memory is sequentially consistent here: barriers are the ordering explorer's to judge")
TORN = r"fetches 0f (?!1f).. .* where memory holds cc"
STRAY = r"BUG: unexpected_int3(.|\n)*int3 at mini_leaf\+0x0"
OLD = r"mini_leaf: \d+ calls entered after it settled ran the wrong version"
EXPECTED: dict[Scheme, dict[str, Missed | Benign]] = {
    X86: {
        "bp_desc entry": Missed(Everywhere("eager"), STRAY),
        "bp_desc nr_entries": Missed(Everywhere("eager"), STRAY),
        "smp_wmb bp_desc": IN_ORDER,
        "bp_desc refs": Missed(Everywhere("eager"), r"never ends: waits in 'bp_desc wait'"),
        "smp_wmb int3": IN_ORDER,
        "int3": Missed(
            Everywhere("eager"), r"last text poke, at mini_leaf\+0x0.*0f 1f 44 00 00 .*, now 0f (?!1f).."
        ),
        "sync after int3": Missed(Everywhere("tail"), TORN),
        "tail": Missed(Everywhere("eager"), r"last text poke, at mini_leaf\+0x0.*, now e8 1f 44 00 00"),
        "sync after tail": Missed(
            RightAfter("first byte", "head"),
            r"fetches e8 1f 44 00 00 .* at mini_leaf\+0x0.* where memory holds e8 (?!1f)..",
        ),
        "first byte": Missed(Everywhere("eager"), STRAY),
        "sync after first byte": Missed(
            RightAfter("bp_desc release", "tail"), STRAY + r"(.|\n)*fetches cc .* at mini_leaf\+0x0"
        ),
        "bp_desc release": Benign(
            "a handler runs with interrupts off, so the sync after the first byte has waited for it already; "
            "refs that stay up only let a stray int3 find old entries",
            (Everywhere("stale"), RightAfter("sync after first byte", "tail")),
        ),
        "early": Missed(LoadingModule(), r"ftrace failed to modify .*target_sum"),
        "sync after early": Benign(
            "before the site leads anywhere its poke makes every CPU serialise three times",
            (LoadingModule(),),
        ),
        "trampoline": Missed(
            Everywhere("eager"), r"read from unmapped memory at 0x0 on CPU1.* at 0x108....\n"
        ),
        "trampoline ops pointer": Missed(
            Everywhere("eager"), r"read from unmapped memory at 0xf+0.* at klp_ftrace_handler"
        ),
        "sync after trampoline": Benign(
            "the way there is a breakpoint, whose IRET serialises, or a site whose poke has made it serialise"
        ),
        RUDE: Benign(
            "only tasks come through trampolines here, and the tasks grace period waits for all of them",
            (StandingIn("klp_ftrace_handler"),),
        ),
        TASKS: Missed(StandingIn("ftrace_trampoline", preempted=True), r"executed a freed trampoline"),
        UNPATCHED: Missed(StandingIn("klp_ftrace_handler", below=True), r"use after free: module again"),
    },
    ARM: {
        "bl": Missed(Everywhere("eager"), OLD),
        "dc cvau": Missed(Everywhere("stale"), OLD),
        "dsb after dc": Missed(Everywhere("stale"), OLD),
        "ic ivau": Missed(Everywhere("stale"), OLD),
        "dsb after ic": Missed(Everywhere("stale"), OLD),
        "isb": Benign("the sync that follows makes the patching CPU synchronise, too"),
        "sync after poke": Missed(Everywhere("stale"), OLD),
        "early": Missed(LoadingModule(), r"jump into data(.|\n)*last text poke, at target_sum\+0x4"),
        "sync after early": Missed(
            LoadingModule(), r"jump into data(.|\n)*fetches 1f 20 03 d5 \(nop\) at target_sum\+0x0"
        ),
        "ops literal": Benign("sites carry no ops pointer in this scheme", ()),
        "trampoline": Benign("the port has no private trampolines", ()),
        "trampoline ops pointer": Benign("the port has no private trampolines", ()),
        "sync after trampoline": Benign("the port has no private trampolines", ()),
        RUDE: Benign(
            "only tasks run handlers here, and the tasks grace period waits for all of them",
            (StandingIn("klp_ftrace_handler"),),
        ),
        TASKS: Benign(
            "dynamic ops are called by the list function only, which holds off preemption while it has one",
            (StandingIn("ftrace_caller", preempted=True),),
        ),
        UNPATCHED: Missed(StandingIn("klp_ftrace_handler", below=True), r"use after free: module again"),
    },
}
COMMON: dict[str, Missed | Benign] = {
    "smp_wmb klp_init_transition": IN_ORDER,
    "smp_wmb __klp_enable_patch": IN_ORDER,
    "smp_wmb __klp_disable_patch": IN_ORDER,
    "rcu_assign_pointer": IN_ORDER,
    "ftrace_ops_list publish": IN_ORDER,
    "ftrace_hash publish": IN_ORDER,
    "function_trace_op before func": IN_ORDER,
    "ftrace_sync_ipi": Benign(
        "what the shared callers call next is ftrace_stub, which does not look at its ops"
    ),
    CLEARED: Benign("no func is marked in transition while all tasks switch at one store"),
    "bp_desc wait": Benign("no handler holds the entries by then: the sync before has waited for it", ()),
}
EXPECTED[CALL_OPS] = EXPECTED[ARM] | {
    "ops literal": Missed(Everywhere("stale"), OLD),
    TASKS: Missed(StandingIn("ftrace_caller_ops", preempted=True), r"use after free: klp_ops"),
}
TOGETHER: list[tuple[Scheme, tuple[str, ...], Missed]] = [
    (scheme, (RUDE, TASKS), Missed(StandingIn("klp_ftrace_handler"), r"use after free: klp_ops"))
    for scheme in SCHEMES
]
"""Steps that cover for each other: both left out."""


def table(scheme: Scheme) -> dict[str, Missed | Benign]:
    """Return what is expected of each step."""
    return COMMON | EXPECTED[scheme]


def outcome(way: Way, scheme: Scheme, drop: tuple[str, ...]) -> str:
    """Return the report of what went wrong, "" when nothing did."""
    try:
        machine = way.play(scheme, drop)
    except (GuestWentWrongError, NeverEndsError, BrokenPromiseError, AssertionError) as error:
        return str(error)
    unplayed = set(drop) - machine.kernel.installer.drops_seen
    assert not unplayed, f"{unplayed} were never to be played"
    return ""


CASES = [(scheme, step, expected) for scheme in SCHEMES for step, expected in table(scheme).items()]


@pytest.mark.parametrize(
    ("scheme", "step", "missed"), [case for case in CASES if isinstance(case[2], Missed)], ids=str
)
def test_a_step_left_out_is_missed(scheme: Scheme, step: str, missed: Missed) -> None:
    report = outcome(missed.way, scheme, (step,))
    assert re.search(missed.report, report), report


@pytest.mark.parametrize(("scheme", "steps", "missed"), TOGETHER, ids=str)
def test_steps_that_cover_for_each_other_are_missed_together(
    scheme: Scheme, steps: tuple[str, ...], missed: Missed
) -> None:
    report = outcome(missed.way, scheme, steps)
    assert re.search(missed.report, report), report


WAYS = sorted({(scheme, case.way) for scheme, _, case in CASES if isinstance(case, Missed)}, key=str)


@pytest.mark.parametrize(("scheme", "way"), WAYS, ids=str)
def test_with_every_step_there_each_way_of_playing_is_clean(scheme: Scheme, way: Way) -> None:
    assert outcome(way, scheme, ()) == ""


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
class TestTable:
    """It says something of every step, and what it calls benign is."""

    def test_has_an_entry_for_every_named_step_and_every_one_that_is_played(self, scheme: Scheme) -> None:
        machine, played = Lockstep(scheme), set()

        def note(operation: Operation) -> None:
            if operation.kind in STEPS:
                played.add(operation.what)

        machine.kernel.installer.on_operation = note
        machine.finish_job(machine.submit_enable())
        machine.finish_job(machine.machine.tracing.add("mini_leaf"))
        machine.finish_job(machine.submit_disable())
        machine.finish_job(machine.machine.tracing.remove("mini_leaf"))
        missing = (played | set(step_names(PORTS[scheme.arch]))) - set(table(scheme)) - {"ops of the tracer"}
        assert not missing
        assert {RUDE, TASKS, UNPATCHED, CLEARED} <= played

    def test_is_right_about_what_it_calls_benign(self, scheme: Scheme) -> None:
        for step, expected in table(scheme).items():
            for way in expected.ways if isinstance(expected, Benign) else ():
                assert outcome(way, scheme, (step,)) == "", step
