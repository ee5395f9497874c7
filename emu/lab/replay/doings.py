"""Sentences in which a task does something: who, what, in which function, how."""

from __future__ import annotations

import re

from emu.lab.replay.phrases import full_function, who
from emu.lab.replay.remarks import hides_a_deed

_FN = r"(?P<function>(?!again\b|it\b|both\b)[a-z]\w*)"
_LINK = (
    r"(?:(?:is|are) (?:started|created|there)(?:,? (?:and|which|that))? |that |which |, which |, and |both |"
    r"each |all |now )*"
)
_SLEEPS = (
    r"(?:go(?:es)?|is put|are put|falls?|is sent|are sent) (?:to sleep|asleep)(?: again)?(?:,? "
    r"interruptibly|,? uninterruptibly)? (?:in|inside)",
    r"(?:is|are|starts?|begins?) (?:sleeping|asleep|to sleep)(?: interruptibly| uninterruptibly)? (?:in"
    r"|inside)",
    r"sleeps?(?: again| interruptibly| uninterruptibly)? (?:in|inside)",
    r"(?:waits?|blocks?|is blocked|is stuck|stops?) (?:in|inside)",
    r"enters?(?= \w+ and (?:goes? to )?sleep)",
)
_CALLS = (
    r"calls?",
    r"(?:is|are) (?:running|spinning|looping|busy) in",
    r"(?:runs?|spins?|loops?) in",
    r"enters?",
    r"burns? (?:the )?(?:CPU|processor)(?: time)? in",
)
_TELL = [
    re.compile(rf"(?P<who>.+?),? {_LINK}(?P<does>{does}) (?:the function )?{_FN}(?P<rest>.*)", re.IGNORECASE)
    for does in (*_SLEEPS, *_CALLS)
]
_ORDER = re.compile(
    r"(?:start|create|let|have|make|put|spawn|begin) (?P<who>.+?) (?:to |that |which )?(?P<does>to sleep"
    r"|sleep|"
    r"sleeps|calls?|go(?:es)? to sleep|running|sleeping|runs?|loops?|spins?|asleep|calling)(?: in| inside)? "
    rf"(?:the function )?{_FN}(?P<rest>.*)",
    re.IGNORECASE,
)
_START = re.compile(rf"(?:start|create|spawn) (?P<who>.+?) (?P<does>in|on) {_FN}(?P<rest>.*)", re.IGNORECASE)
_USER_SPIN = re.compile(
    r"(?:start )?(?P<who>.+?),? (?:that |which |now )*(?:computes?|spins?|loops?|runs?|is computing|is "
    r"spinning|burns? cpu(?: time)?)"
    r"(?:,? on a processor)? in user ?-?(?:mode|space)(?P<rest>,? on (?:a|the|its) processor)?(?: "
    r"without (?:any )?(?:system )?calls)?",
    re.IGNORECASE,
)
_HOW = (
    ("loop", r"(?:,? ?in a(?:n endless)? loop|,? over and over(?: again)?|,? again and again|,? repeatedly|"
             r",? all the time)"
             r"(?:,? (?:with|and) (?:short )?(?:sleeps?|naps?|pauses?)(?: in between| between(?: "
             r"the)?(?: calls)?)?)?"),
    ("uninterruptible", r",? ?\(?(?:and )?(?:un|not )interruptibl[ey]\)?"),
    ("interruptible", r",? ?\(?(?:and )?interruptibl[ey]\)?"),
    ("gate", r",? ?\(?(?:at|on|behind|before|with)? ?(?:the )?(?:closed )?gate (?P<n>\d+)\)?"),
    ("awake", r",? without (?:ever )?(?:sleeping|a sleep)"),
    ("asleep", r",? (?:and|which|where|in which|and there|that)(?: \w+)*? (?:go(?:es)?|falls?) "
               r"(?:to sleep|asleep)(?: there| again)?"),
    ("asleep", r",? (?:and|which|where|that)(?: it| they)? (?:sleeps?|waits?|stops?|blocks?)"
               r"(?: there| in it)?"),
    ("version", r",? ?\((?:(?:the )?(?:version|replacement) of \w+|"
                r"(?:the )?(?:new|old|original|replaced) ?(?:version|one)?)\)"),
    ("version", r",? ?(?:the )?(?:version of \w+)"),
    ("calls", r",? which calls (?:vic_|late_)?\w+"),
    ("again", r",? (?:once )?(?:again|now|too|as well|once|once more|both|together|there)\b"),
)  # fmt: skip


def doing(said: str, *, known: frozenset[str]) -> dict[str, str] | None:
    """Return what a sentence tells of tasks, None if it is no such sentence.

    Args:
        said: the sentence.
        known: names of tasks.

    Returns:
        ``kind``: "tell" (processes), "thread" (kernel threads), "others" (a task that takes no further
        part) or "spin" (computes in user mode); ``names``: the phrase that says who; ``function``; and, as
        "yes" or "", ``sleeps``, ``loops``, ``interruptible``; ``gate``: its number.

    >>> told = doing("two tasks go to sleep in vic_wait, interruptibly", known=frozenset())
    >>> told["kind"], told["names"], told["function"], told["sleeps"], told["interruptible"]
    ('tell', 'two tasks', 'vic_wait', 'yes', 'yes')
    >>> doing("the patch calls vic_alpha", known=frozenset())
    """
    spin = _USER_SPIN.fullmatch(said)
    if spin and who(spin["who"], known=known):
        return {"kind": "spin", "names": spin["who"]}
    for pattern in (*_TELL, _ORDER, _START):
        found = pattern.fullmatch(said)
        told = None if found is None else _told(found, known)
        if told is not None:
            return told
    return _calls_several(said, known)


def _calls_several(said: str, known: frozenset[str]) -> dict[str, str] | None:
    """Understand "another task calls both": which functions, what it saw tells."""
    found = re.fullmatch(r"(?P<who>.+?) calls? (?P<what>.+)", said, re.IGNORECASE)
    meant = who(found["who"], known=known) if found else None
    if found is None or meant is None or not (meant.other or meant.names == ("free",)):
        return None
    if re.search(r"\b(twice|times|sleep)", found["what"]) or hides_a_deed(found["what"]):
        return None
    return {"kind": "others", "names": found["who"], "function": "", "rest": found["what"]}


def _told(found: re.Match[str], known: frozenset[str]) -> dict[str, str] | None:
    phrase = found["who"]
    meant, function = who(phrase, known=known), full_function(found["function"])
    if meant is None or not function:
        return None
    rest, how, gate = found["rest"], set[str](), ""
    for name, pattern in _HOW:
        part = re.search(pattern, rest, re.IGNORECASE)
        if part:
            how.add(name)
            gate = part["n"] if name == "gate" else gate
            rest = rest[: part.start()] + rest[part.end() :]
    if re.search(r"\w", rest) and (hides_a_deed(rest) or not rest.startswith((",", " (", " while", ":"))):
        return None
    sleeps = "asleep" in how or any(re.fullmatch(does, found["does"], re.IGNORECASE) for does in _SLEEPS)
    sleeps = sleeps or re.search("sleep", found["does"]) is not None
    if re.search(r"\binterruptibl", found["does"]):
        how.add("interruptible")
    loops = "loop" in how or (found["does"].lower() in ("loop", "loops") and "spin" not in function)
    if loops and not meant.thread:
        return None  # processes make one call at a time
    outside = (meant.other or meant.names == ("free",)) and not sleeps
    kind = "thread" if meant.thread else "others" if outside else "tell"
    return {
        "kind": kind, "names": phrase, "function": function, "rest": rest, "does": found["does"],
        "sleeps": "yes" if sleeps else "", "loops": "yes" if loops else "", "gate": gate,
        "interruptible": "yes" if "interruptible" in how and "uninterruptible" not in how else "",
    }  # fmt: skip
