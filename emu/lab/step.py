"""Steps: what is done to the machine of a scenario while it runs."""

from __future__ import annotations

from dataclasses import dataclass

from emu.errors import suggestion
from emu.lab.scenario_error import ScenarioError

ACTIONS = {
    "enable": "patch to enable",
    "disable": "patch to disable",
    "load": "module to load",
    "unload": "module, or disabled or replaced patch, to unload",
    "write": "file to write to",
    "read": "file to read",
    "trace": "function to put a counting ftrace_ops on",
    "untrace": "function to take it off again",
    "start": "task to start",
}
"""What a step can do, and what its value names."""

WAITING = ("enable", "disable", "write")
"""Actions after which a transition may be under way."""

_MOST_CALLS = 10**12


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that is done to the running machine.

    Args:
        after_calls: when so many traced calls have completed.
        action: a key of `ACTIONS`.
        subject: the patch, module, function, file or task.
        text: what is written.
        wait: the step is over when no transition is under way any more, not as soon as Linux has answered.
    """

    after_calls: int
    action: str
    subject: str
    text: str = ""
    wait: bool = True

    def __str__(self) -> str:
        return f"{self.action} {self.text + ' to ' if self.action == 'write' else ''}{self.subject}"


def parse_step(row: object, where: str, origin: str) -> Step:
    """Return the step that a table of TOML describes.

    Args:
        row: the table.
        where: its key, for messages.
        origin: how messages name the file.

    Raises:
        ScenarioError: a key is unknown, missing, or has an impossible value.
    """
    if not isinstance(row, dict):
        raise ScenarioError(origin, where, "must be a table")
    actions = row.keys() & ACTIONS.keys()
    others = {"after_calls", "text", "wait"}
    for key in row.keys() - ACTIONS.keys() - others:
        hint = suggestion(key, ["after_calls", "text", "wait", *ACTIONS])
        raise ScenarioError(origin, f"{where}.{key}", f"unknown key; {hint}")
    if len(actions) != 1:
        raise ScenarioError(origin, where, f"needs exactly one of {', '.join(ACTIONS)}")
    (action,) = actions
    calls, text, wait = row.get("after_calls", 0), row.get("text"), row.get("wait", True)
    if type(calls) is not int or not 0 <= calls <= _MOST_CALLS:
        problem = f"must be a whole number from 0 to {_MOST_CALLS}, not {calls!r}"
        raise ScenarioError(origin, f"{where}.after_calls", problem)
    if not isinstance(row[action], str):
        raise ScenarioError(origin, f"{where}.{action}", f"must name the {ACTIONS[action]}")
    if (text is not None) != (action == "write"):
        problem = "is missing; give what to write" if text is None else f"is for write, not for {action}"
        raise ScenarioError(origin, f"{where}.text", problem)
    if text is not None and not isinstance(text, str):
        raise ScenarioError(origin, f"{where}.text", f"must be a string, not {text!r}")
    if "wait" in row and action not in WAITING:
        raise ScenarioError(origin, f"{where}.wait", f"is for {', '.join(WAITING)}, not for {action}")
    if not isinstance(wait, bool):
        raise ScenarioError(origin, f"{where}.wait", f"must be true or false, not {wait!r}")
    return Step(after_calls=calls, action=action, subject=row[action], text=text or "", wait=wait)
