"""Logs are equal line by line, but for when a transition ends and how often it is tried."""

from __future__ import annotations

from emu.lab.replay.log_judge import LoggedStep, judge_logs, normalised
from emu.lab.replay.record import Step
from emu.lab.replay.words import Sentence, understand

Logs = tuple[str, list[str], list[str]]
"""What was done, what the real kernel logged, what the machine did."""
START, COMPLETE = "livepatch: 'p': starting patching transition", "livepatch: 'p': patching complete"
POST = "p: post_patch for vmlinux (built in)"
SLEEPS = "livepatch: klp_try_switch_task: a:7 is sleeping on function f"
LOAD, WAIT = "load module p", "wait for the transition to end"


def disagreements(*steps: Logs) -> list[tuple[int, str]]:
    """Return (step, what) of what differs."""
    logged = []
    for number, (action, real, ours) in enumerate(steps, 1):
        sentence = understand(action, only_looks=True)
        assert isinstance(sentence, Sentence)
        step = Step(number=number, action=action, returned=None, dmesg=(), observed={})
        logged.append(LoggedStep(step=step, sentence=sentence, real=normalised(real), ours=normalised(ours)))
    return [(found.step, found.what) for found in judge_logs(logged)]


class TestATransitionsEnd:
    """It may come with the step that began the transition, or later, up to the one that waits for it."""

    def test_may_be_in_another_step(self) -> None:
        assert disagreements((LOAD, [START], [START, POST, COMPLETE]), (WAIT, [POST, COMPLETE], [])) == []

    def test_must_be_there(self) -> None:
        found = disagreements((LOAD, [START], [START]), (WAIT, [COMPLETE], []))

        assert found == [(2, "dmesg up to here, of the transition's end")]

    def test_must_be_in_order(self) -> None:
        found = disagreements((LOAD, [START], [START]), (WAIT, [POST, COMPLETE], [COMPLETE, POST]))

        assert found == [(2, "dmesg up to here, of the transition's end")]

    def test_comes_after_what_began_it(self) -> None:
        found = disagreements((LOAD, [START, POST], [POST, START]), (WAIT, [COMPLETE], [COMPLETE]))

        assert found == [(1, "dmesg")]

    def test_does_not_excuse_what_began_it(self) -> None:
        found = disagreements((LOAD, [START], [POST, COMPLETE]), (WAIT, [POST, COMPLETE], [START]))

        assert found == [(1, "dmesg"), (2, "dmesg")]

    def test_must_be_in_its_step_when_nobody_began_a_transition(self) -> None:
        found = disagreements(("after", [COMPLETE], []), ("open gate 1", [], [COMPLETE]))

        assert found == [(1, "dmesg"), (2, "dmesg")]


class TestTries:
    """How often a task is looked at is chance; whom and why is not."""

    def test_may_repeat(self) -> None:
        assert disagreements((LOAD, [START, SLEEPS], [START, SLEEPS, SLEEPS]), (WAIT, [], [])) == []

    def test_must_name_the_same_tasks(self) -> None:
        other = SLEEPS.replace("a:7", "b:7")
        found = disagreements((LOAD, [START, SLEEPS], [START, other]), (WAIT, [], []))

        assert found == [(2, "dmesg up to here, of tries")]

    def test_do_not_tell_pids(self) -> None:
        assert disagreements((LOAD, [SLEEPS], [SLEEPS.replace(":7", ":3")]), (WAIT, [], [])) == []


def test_a_warning_is_compared_by_its_function() -> None:
    real = ["-----------[ cut here ]------------", "WARNING: CPU: 1 PID: 95 at kernel/a.c:165 f+0x1e5/0x250"]

    assert normalised(real) == normalised(["WARNING: at emu/a.py:12 f"]) == ["WARNING: at f"]
