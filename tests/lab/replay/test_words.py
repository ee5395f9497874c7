"""Actions in words: what they mean, and that what is not understood is said."""

from __future__ import annotations

import re

import pytest

from emu.lab.replay import RecordError, replay
from emu.lab.replay.words import Sentence, understand

NAMES = frozenset({"sleeper", "spinner", "one", "two", "free", "k1", "lo"})
"""Names of tasks that the record has."""


def record(*actions: str, returned: object = None) -> dict[str, object]:
    steps = [{"action": action, "returned": returned, "dmesg": [], "observed": {}} for action in actions]
    return {"scenario": "made", "steps": steps}


@pytest.mark.parametrize(
    ("action", "kind", "parts"),
    [
        ("load module lp_a1", "load", {"modules": "lp_a1", "parameters": ""}),
        ("load module late (fail_init=1)", "load", {"modules": "late", "parameters": "fail_init=1"}),
        ("load module ops_user (fn=f ipmod=1)", "load", {"parameters": "fn=f ipmod=1"}),
        ("load module lp_b1 while lp_a1 is in transition", "load", {"modules": "lp_b1", "parameters": ""}),
        ("write 0 to ftrace_enabled, patch on", "write", {"texts": "0", "path": "ftrace_enabled"}),
        ("write '' to lp_a1/enabled", "write", {"texts": "''", "path": "lp_a1/enabled"}),
        (
            "write a, then b to set_ftrace_filter",
            "write",
            {"texts": "a, then b", "path": "set_ftrace_filter"},
        ),
        ("2.6 s later", "later", {"seconds": "2.6"}),
        ("open gates 0 and 3", "gate", {"how": "open", "gates": "0 and 3"}),
        ("sleeper goes to sleep in vic_wait (version of lp_w1)", "tell", {"function": "vic_wait"}),
        ("one and two go to sleep in vic_wait", "tell", {"names": "one and two"}),
        (
            "sleeper calls vic_outer, which calls vic_alpha and goes to sleep",
            "tell",
            {"function": "vic_outer"},
        ),
        ("sleeper calls vic_wait again", "tell", {"function": "vic_wait", "sleeps": ""}),
        ("sleeper calls again", "again", {"names": "sleeper"}),
        (
            "a kernel thread k1 goes to sleep in vic_wait",
            "thread",
            {"names": "a kernel thread k1", "sleeps": "yes"},
        ),
        (
            "a kernel thread lo calls vic_alpha in a loop",
            "thread",
            {"names": "a kernel thread lo", "loops": "yes"},
        ),
        ("the other task calls vic_wait now", "others", {}),
        ("sleeper is done", "done", {"names": "sleeper"}),
        ("load module kp_user (fn=f, post=1)", "load", {"parameters": "fn=f, post=1"}),
        ("insmod lp_a1", "load", {"modules": "lp_a1"}),
        ("load the modules late and lp_a1", "load", {"modules": "late and lp_a1"}),
        ("rmmod lp_a1", "unload", {"modules": "lp_a1"}),
        ("unload the helper modules victim and viccore", "unload", {"modules": "victim and viccore"}),
        ("write 0 to enabled of lp_w1", "write", {"texts": "0", "path": "lp_w1/enabled"}),
        ('write "0" to lp_w1/enabled', "write", {"texts": "'0'", "path": "lp_w1/enabled"}),
        ("disable lp_w1", "write", {"texts": "0", "path": "lp_w1/enabled"}),
        ("append vic_beta to set_ftrace_filter", "write", {"append": "yes"}),
        ("read lp_w1/force", "read", {"paths": "lp_w1/force"}),
        ("read force of lp_w1", "read", {"paths": "lp_w1/force"}),
        ("half a second later", "later", {"seconds": "0.5"}),
        ("2 minutes later", "later", {"seconds": "120"}),
        ("16 tries later", "later", {"seconds": "16"}),
        ("after 2 s", "later", {"seconds": "2"}),
        ("2 s later, while it sleeps", "later", {"seconds": "2"}),
        ("wait for the transition", "wait", {"seconds": ""}),
        ("wait up to 20 s for the transition to end", "wait", {"seconds": "20"}),
        ("wait for the transition to end, 20 s at most", "wait", {"seconds": "20"}),
        ("wait until the transition of lp_w1 is over", "wait", {"seconds": ""}),
        ("wait for sleeper to be done", "done", {"names": "sleeper"}),
        ("open all gates", "gate", {"every": "all"}),
        ("open gate 3, then gate 4", "gate", {"gates": "3, then 4"}),
        ("two tasks go to sleep in vic_wait", "tell", {"names": "two tasks", "sleeps": "yes"}),
        ("sleeper sleeps interruptibly in vic_wait", "tell", {"interruptible": "yes"}),
        ("sleeper goes to sleep in vic_pair at gate 3", "tell", {"gate": "3"}),
        ("start a kernel thread k1 that sleeps in vic_wait", "thread", {"names": "a kernel thread k1"}),
        ("kernel threads k1 and k2 go to sleep in vic_wait", "thread", {"sleeps": "yes"}),
        ("a new task calls vic_alpha", "others", {"function": "vic_alpha"}),
        ("spinner computes in user mode", "spin", {"names": "spinner"}),
        ("sleeper is done, too", "done", {"names": "sleeper"}),
        ("both sleepers are done", "done", {"names": "both sleepers"}),
        ("spinner is done", "done", {"names": "spinner"}),
        ("call alpha twice", "call", {"functions": "alpha", "times": "2"}),
        ("call alpha, beta and gamma", "call", {"functions": "alpha, beta, gamma"}),
    ],
)
def test_an_action_is_understood(action: str, kind: str, parts: dict[str, str]) -> None:
    sentence = understand(action, only_looks=False, known=NAMES)

    assert isinstance(sentence, Sentence), sentence
    assert sentence.kind == kind
    assert parts.items() <= sentence.parts.items()


@pytest.mark.parametrize(
    "action", ["after", "three on", "while it is enabled", "victim is gone, the patch is not", "file modes"]
)
def test_what_gives_nothing_back_and_does_nothing_is_a_look(action: str) -> None:
    sentence = understand(action, only_looks=True)

    assert isinstance(sentence, Sentence), sentence
    assert sentence.kind == "look"
    assert understand(action, only_looks=False) == "it is no look, and not understood"


@pytest.mark.parametrize(
    "action",
    [
        "sleeper forks a child",
        "send a signal to sleeper",
        "kill sleeper",
        "stop kernel thread lo",
        "a little later",
        "load module lp_a1, then open gate 0",
        "load module ops_user on vic_alpha",
        "2 s later, open gate 0",
        "sleeper calls vic_alpha, then forks",
        "a task calls vic_alpha in a loop",
    ],
)
def test_an_action_that_is_not_known_is_named_with_file_and_step(action: str) -> None:
    with pytest.raises(RecordError, match=rf"^made\.json: step 2 \({re.escape(action)}\): don't know how"):
        replay(record("load the helper modules: viccore, victim", action), origin="made.json")


def test_who_was_never_told_anything_is_not_done() -> None:
    with pytest.raises(RecordError, match=r"don't know who is meant: no task 'sleeper2' was told anything"):
        replay(record("load the helper modules: viccore, victim", "sleeper2 is done"))


def test_what_an_observation_holds_must_be_what_the_kernel_shows() -> None:
    scenario = {"steps": [{"action": "after", "observed": {"calls": ["alpha:orig"]}}]}

    with pytest.raises(RecordError, match=r"'calls' must be an object, not \['alpha:orig'\]"):
        replay(scenario)


def test_a_key_that_is_not_known_is_named_with_file_and_step() -> None:
    scenario = {"steps": [{"action": "after", "observed": {"weather": "fine"}}]}

    with pytest.raises(RecordError, match=r"^here: step 1 \(after\): don't know how to look at 'weather'"):
        replay(scenario, origin="here")


def test_a_module_of_which_nothing_is_known_is_named_with_file_and_step() -> None:
    with pytest.raises(RecordError, match=r"^here: step 1 \(load module nosuch\): .* has no module 'nosuch'"):
        replay(record("load module nosuch", returned=0), origin="here")


def test_what_is_no_record_is_refused() -> None:
    with pytest.raises(RecordError, match=r'^here: must be an object with "scenario" and "steps"$'):
        replay({"steps": 3}, origin="here")
