"""The records in other words: what is done is understood however it is said."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from emu.lab.replay import play

RECORDS = sorted((Path(__file__).parents[2] / "reference" / "real-kernel").glob("*.json"))
OTHERWISE = (
    (r"load the helper modules: viccore, victim", "load the helpers viccore and victim"),
    (r"load module (\w+) \((\w+=\w+) (\w+=\w+)\)", r"load module \1 with \2, \3"),
    (r"load module (\w+)$", r"insmod \1"),
    (r"unload module (\w+)", r"rmmod \1"),
    (r"wait for the transition to end", "wait until the transition is over"),
    (r"write 0 to (\w+)/enabled", r"Then write 0 to the file enabled of \1."),
    (r"write '(.*)' to (\S+)", r'write "\1" to \2'),
    (r"0\.3 s later", "300 ms later"),
    (r"2\.6 s later", "after 2.6 seconds"),
    (r"2 s later", "two seconds later"),
    (r"3 s later", "3 tries later"),
    (r"sleeper goes to sleep in (\w+) \(.*\)", r"the sleeper sleeps in \1"),
    (r"sleeper goes to sleep in (\w+)", r"a task sleeper enters \1 and goes to sleep"),
    (r"sleeper calls (\w+) again", r"the sleeper calls it again"),
    (r"sleeper is done", "sleeper is back, too"),
    (r"open gate (\d)", r"open the gate \1"),
    (r"the spinner", "spinner is done"),
    (r"a kernel thread (\w+) (goes to sleep|runs) in (\w+).*", r"start a kernel thread \1 that \2 in \3"),
    (r"a kernel thread (\w+) calls (\w+) in a loop", r"kernel thread \1, which calls \2 over and over"),
    (r"call (\w+), (\w+)", r"call \1 and \2"),
    (r"turn on the debug messages of the livepatch core", "switch the livepatch debug messages on"),
)


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_record_agrees_in_other_words(path: Path) -> None:
    record = json.loads(path.read_text(encoding="utf-8"))
    changed = 0
    for step in record["steps"]:
        before = step["action"]
        for pattern, instead in OTHERWISE:
            if re.fullmatch(pattern, before):
                step["action"] = re.sub(pattern, instead, before)
        changed += step["action"] != before

    outcome = play(record)

    assert changed
    assert str(outcome) == "agrees", "\n".join(outcome.lines())
