"""Phrases that actions are made of: numbers, durations, lists, functions, and who does something."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NUMBERS = {
    word: number
    for number, words in enumerate(
        (
            "no", "a an one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
            "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
            "nineteen", "twenty",
        )
    )
    for word in words.split()
}  # fmt: skip
_NUMBER = rf"(?P<number>\d+(?:\.\d+)?|{'|'.join(_NUMBERS)})"
_UNITS = {
    "ms": 0.001, "millisecond": 0.001, "s": 1.0, "sec": 1.0, "second": 1.0, "m": 60.0, "min": 60.0,
    "minute": 60.0,
    "try": 1.0, "trie": 1.0, "retry": 1.0, "retrie": 1.0, "attempt": 1.0,
}  # fmt: skip
"""Seconds; the core tries again about once a second (kernel/livepatch/transition.c, HZ)."""
FUNCTIONS = {
    **{
        name: f"vic_{name}"
        for name in (
            "alpha", "beta", "gamma", "delta", "untraced", "tail", "dup", "count", "wait", "outer", "pair",
            "spin", "show",
        )
    },
    "ping": "late_ping", "pong": "late_pong", "cmdline": "cmdline_proc_show",
    "loadavg": "loadavg_proc_show", "meminfo": "meminfo_proc_show", "uptime": "uptime_proc_show",
    "version": "version_proc_show", "dup1": "dup1", "dup2": "dup2",
}  # fmt: skip
"""What a record calls functions for short."""


def listed(words: str) -> list[str]:
    """Return the members of a list in words.

    >>> listed("0, 1 and 2"), listed("a, then b")
    (['0', '1', '2'], ['a', 'b'])
    """
    return re.split(r",? then |,? and then |,? and |, ?", words)


def number_of(words: str) -> float | None:
    """Return the number that a word or digits stand for, None if they are none.

    >>> number_of("two"), number_of("2.5"), number_of("some")
    (2, 2.5, None)
    """
    if re.fullmatch(r"\d+(\.\d+)?", words):
        return float(words)
    return _NUMBERS.get(words.lower())


def seconds_of(words: str) -> float | None:
    """Return the seconds that a duration means, None if it is none.

    >>> [seconds_of(words) for words in ("2.6 s", "half a second", "2 minutes", "16 tries", "a while")]
    [2.6, 0.5, 120.0, 16.0, None]
    >>> seconds_of("one and a half seconds"), seconds_of("a quarter of a second"), seconds_of("300ms")
    (1.5, 0.25, 0.3)
    """
    words = re.sub(r"\b(more|about|another|full|whole|other)\s", "", words.strip().lower())
    extra = 0.0
    for pattern, fraction in (("half an? ", 0.5), ("(?:a )?quarter of an? ", 0.25)):
        found = re.fullmatch(rf"{pattern}(\w+)", words)
        if found:
            return _unit(found[1], fraction)
    if re.search(r" and a half\b", words):
        words, extra = re.sub(r" and a half\b", "", words), 0.5
    found = re.fullmatch(rf"{_NUMBER}\s?([a-z]+)", words)
    number = number_of(found["number"]) if found else None
    return None if found is None or number is None else _unit(found[2], number + extra)


def _unit(name: str, number: float) -> float | None:
    factor = _UNITS.get(name, _UNITS.get(name.removesuffix("s")))
    return None if factor is None else round(number * factor, 6)


def full_function(name: str) -> str:
    """Return the whole name of a function that a record may call by its short one; "" if there is none.

    >>> full_function("alpha"), full_function("vic_wait"), full_function("nosuch")
    ('vic_alpha', 'vic_wait', '')
    """
    known = name.startswith(("vic_", "late_")) or name.endswith("_proc_show")
    return name if known else FUNCTIONS.get(name, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """Who does something.

    Args:
        names: told outright.
        count: how many are meant, when they have no names; 0: all of those that were told something last.
        kind: how the name of one begins whom the record does not name, as "sleeper"; "" any task.
        other: it is a task that takes no further part: "another task".
        thread: kernel threads.
    """

    names: tuple[str, ...] = ()
    count: int = 0
    kind: str = ""
    other: bool = False
    thread: bool = False


_QUANTITY = (
    r"both(?: of)?(?: the)?|all(?: of)?(?: the)?|every|each|the other|an other|any other|another|the same"
    r"|this|"
    r"that|the first|the second|the third|a second|a third|a new|a fresh|a free|a single|"
    rf"(?:the )?(?:{'|'.join(_NUMBERS)}|\d+)|the|other"
)
_NOUN = (
    r"kernel threads?|kthreads?|threads?|tasks?|process(?:es)?|sleepers?|spinners?|callers?|users?|them|they|"
    r"it"
)
_WHO = re.compile(
    rf"(?:(?P<quantity>{_QUANTITY})\s+)?(?:(?P<more>other|more|new|fresh|free|further|second|user"
    rf"|ordinary|sleeping|"
    rf"user-mode|user mode)\s+)*(?:(?P<noun>{_NOUN})(?:\s+|,\s|:\s|$)(?:called |named )?)?"
    r"(?P<names>[\w-]+(?:(?:, and |, | and | & )[\w-]+)*)?,?",
    re.IGNORECASE,
)
_NOUNS = (
    "both all every each other another the a an and patch patches module modules kernel transition task "
    "tasks "
    "process processes thread threads replace tracer hook hooks function functions victim late viccore which "
    "that who what nobody everybody everything nothing it they them driver's "
    "patching unpatching loading unloading first second third newer older new old only whoever someone "
    "somebody something this these those there he she we you"
)
_NO_NAMES = frozenset(_NOUNS.split())
_OTHERS = frozenset(
    {"another", "other", "the other", "an other", "any other", "a second", "a third", "a new", "a fresh",
     "a free", "the second", "the third"}
)  # fmt: skip


def who(phrase: str, *, known: frozenset[str] = frozenset()) -> Who | None:
    """Return who is meant, None if that is not understood.

    Args:
        phrase: as "two sleepers", "one and two", "another task".
        known: names that are certainly somebody's.

    >>> who("the sleeper").names, who("one and two", known=frozenset({"one", "two"})).names
    (('sleeper',), ('one', 'two'))
    >>> who("two tasks"), who("a kernel thread k1").names, who("the patch")
    (Who(names=(), count=2, kind='', other=False, thread=False), ('k1',), None)
    """
    phrase = re.sub(r"\s+(both|each|all|now|together)$", "", phrase.strip())
    if phrase and set(listed(phrase)) <= known:
        return Who(names=tuple(listed(phrase)))
    found = _WHO.fullmatch(phrase)
    if found is None or not phrase:
        return None
    quantity, noun = (found["quantity"] or "").lower(), (found["noun"] or "").lower()
    thread = "thread" in noun
    names = tuple(re.split(r", and |, | and | & ", found["names"])) if found["names"] else ()
    if any(name.lower() in _NO_NAMES and name not in known for name in names):
        return None
    if names:
        return Who(
            names=tuple(name.removeprefix("vk-") for name in names) if thread else names, thread=thread
        )
    return _nameless(quantity, noun, more=(found["more"] or "").lower(), thread=thread)


def _nameless(quantity: str, noun: str, *, more: str, thread: bool) -> Who | None:
    if not noun:
        if quantity in _NUMBERS and quantity not in ("a", "an", "no"):
            return Who(names=(quantity,))  # tasks may be called so
        return Who() if quantity.startswith(("both", "all")) else None
    several = noun in ("them", "they") or (noun.endswith("s") and noun != "process")
    generic = noun.startswith(("task", "process", "user", "kernel", "kthread", "thread")) or noun in (
        "them", "they", "it",
    )  # fmt: skip
    kind = "" if generic else noun.removesuffix("s")
    count = number_of(quantity.removeprefix("the "))
    is_other = quantity in _OTHERS or more in ("other", "new", "fresh", "free", "second")
    if not several:
        if is_other and generic and not thread:
            return Who(other=True, count=1)
        if kind and quantity in ("", "the", "this", "that", "the same"):
            return Who(names=(kind,))
        new = is_other or count == 1
        return Who(count=1 if new else 0, kind=kind, thread=thread)
    if quantity.startswith("both"):
        return Who(count=2, kind=kind, thread=thread)
    return Who(count=int(count) if count else 0, kind=kind, thread=thread)
