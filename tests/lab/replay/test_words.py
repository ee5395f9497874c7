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
    "action", ["sleeper forks a child", "send a signal to sleeper", "stop kernel thread lo"]
)
def test_an_action_that_is_not_known_is_named_with_file_and_step(action: str) -> None:
    with pytest.raises(RecordError, match=rf"^made\.json: step 2 \({re.escape(action)}\): don't know how"):
        replay(record("load the helper modules: viccore, victim", action), origin="made.json")


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
