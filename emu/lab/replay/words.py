"""What the words of an action mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_WHO = r"(?:the )?(?P<names>\w+(?:(?:, | and )\w+)*)"
_DOES = r"(?P<does>go(?:es)? to sleep in|runs? in|calls?) (?P<function>(?!again)\w+_\w+)(?P<rest>.*)"
_PATTERNS = {
    "helpers": r"load the helper modules: (?P<modules>\w+(?:, \w+)*)",
    "load": r"load module (?P<module>\w+)(?: \((?P<parameters>[^)]*=[^)]*)\))?(?P<rest>.*)",
    "unload": r"unload module (?P<module>\w+)(?P<rest>.*)",
    "write": r"write (?P<texts>'[^']*'|\S+(?:, then \S+)*) to (?P<path>[\w/.-]+)(?P<rest>.*)",
    "debug": r"turn (?P<switch>on|off) the debug messages of the livepatch core",
    "wait": r"wait(?: (?P<seconds>\d+(?:\.\d+)?) s)? for the transition to end",
    "later": r"(?P<seconds>\d+(?:\.\d+)?) s later(?P<rest>.*)",
    "gate": r"(?P<how>open|close) gates? (?P<gates>\d+(?:(?:, | and )\d+)*)(?P<rest>.*)",
    "thread": rf"(?:a|another) kernel thread (?P<names>\w+) {_DOES}",
    "others": r"(?:an|the )other task calls (?P<rest>.+)",
    "again": rf"{_WHO} calls? again(?P<rest>.*)",
    "tell": rf"{_WHO} {_DOES}",
    "done": rf"{_WHO} (?:is|are) done",
    "call": r"call (?P<functions>\w+(?:(?:, | and )\w+)*)",
}
"""What can be done. ``rest`` is for the reader, but for a few words that `player` looks for."""
_ORDERS = (
    "load", "unload", "write", "turn", "wait", "open", "close", "call", "start", "stop", "send", "kill",
    "fork", "enable", "disable", "register", "unregister", "force", "read", "run", "create", "remove",
    "set", "clear", "make", "let", "wake",
)  # fmt: skip
_DEEDS = (
    "calls", "goes", "runs", "starts", "stops", "forks", "exits", "ends", "opens", "closes", "reads",
    "writes", "loads", "unloads", "sends", "gets", "kills", "waits", "sleeps", "wakes", "creates",
    "registers", "unregisters", "enters", "leaves", "loops", "computes", "spins", "execs", "clones",
    "dies",
)  # fmt: skip
"""First words of orders, and verbs of what a task does: an action that has one is no look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """An action, understood.

    Args:
        kind: a key of the table of patterns, or "look": nothing is done, only looked.
        parts: its words, by what they stand for; "" for those that were not said.
    """

    kind: str
    parts: Mapping[str, str]


def understand(action: str, *, only_looks: bool) -> Sentence | None:
    """Return what ``action`` means, None if that is not known.

    Args:
        action: in words.
        only_looks: it gave nothing back, so it may be a look, which is called by what there is to see.

    >>> understand("open gate 3", only_looks=False).parts
    {'how': 'open', 'gates': '3', 'rest': ''}
    >>> understand("after the refusal", only_looks=True).kind, understand("sleeper forks", only_looks=True)
    ('look', None)
    """
    for kind, pattern in _PATTERNS.items():
        found = re.fullmatch(pattern, action)
        if found:
            return Sentence(kind=kind, parts={key: value or "" for key, value in found.groupdict().items()})
    words = re.findall(r"[a-z]+", action.lower())
    does_something = not words or words[0] in _ORDERS or not set(_DEEDS).isdisjoint(words)
    return None if does_something or not only_looks else Sentence(kind="look", parts={})


def texts_of(spelled: str) -> list[str]:
    """Return the texts of a write, one for each ``write`` of the file.

    >>> texts_of("vic_alpha, then vic_beta"), texts_of("''"), texts_of("0")
    (['vic_alpha', 'vic_beta'], [''], ['0'])
    """
    return [re.sub(r"^'(.*)'$", r"\1", text) for text in spelled.split(", then ")]


def parameters_of(spelled: str) -> dict[str, str]:
    """Return module parameters.

    >>> parameters_of("fn=vic_alpha ipmod=1")
    {'fn': 'vic_alpha', 'ipmod': '1'}
    """
    return dict(word.partition("=")[::2] for word in spelled.split())


def listed(words: str) -> list[str]:
    """Return the members of a list in words.

    >>> listed("0, 1 and 2")
    ['0', '1', '2']
    """
    return re.split(r", | and ", words)
