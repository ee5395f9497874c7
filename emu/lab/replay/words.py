"""What the words of an action mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from emu.lab.replay.doings import doing
from emu.lab.replay.phrases import full_function, listed, number_of, seconds_of, who
from emu.lab.replay.remarks import hides_a_deed

_NAMES = r"[\w-]+(?:(?:, and |, | and )(?!then\b)[\w-]+)*"
_GATES = r"\d+(?:(?:, and |, then |, | and then | and | then )(?:gate )?\d+)*"
_TEXTS = r"'[^']*'(?:,? (?:and )?then '[^']*')*|\S+(?:,? (?:and )?then \S+)*"
_DEBUG = (
    r"(?:the )?(?:livepatch |dynamic |kernel )?debug (?:messages|output|lines)"
    r"(?: of (?:the )?livepatch(?: core)?)?"
)
_END = r"(?:end|finish|complete|be over|be done|settle|be complete|be finished)"
_ENDED = r"(?:ends|ended|is over|is done|has ended|is complete|is finished|completes|finishes|has finished)"
_LIMIT = (
    r"(?:,? ?(?:up to |at most |for up to |for at most |no longer than |for )?"
    r"(?P<time{n}>(?:[\w.]+ ){{1,4}}?[a-z]+?)(?: at most| at the most| or so)?,?)?"
)
_WHAT = (
    r"(?:the |its |this )?(?:(?:whole|reversed|second|first|next|same|patching|unpatching|livepatch) )?"
    r"transition(?: of (?:patch )?[\w-]+| for [\w-]+)?|[\w-]+'s transition|it|k?lp_\w+|the patch"
)
_PATTERNS: dict[str, tuple[str, ...]] = {
    "helpers": (
        rf"load (?:all |both )?(?:the |two )?helper(?: module)?s?(?: modules)?:? (?P<modules>{_NAMES})",
    ),
    "load": (
        r"(?:load|insmod|modprobe|insert|try to load)(?: the)?(?: same| helper| kernel| livepatch)*"
        rf"(?: modules?| patch(?:es)?| livepatch(?:es)?)?:? (?P<modules>{_NAMES})"
        r"(?:,? (?:with (?:parameters? )?)?\(?(?P<parameters>\w+=[^\s,)]*(?:(?:, | and |,| "
        r")\w+=[^\s,)]*)*)\)?)?"
        r"(?P<rest>.*)",
    ),
    "unload": (
        r"(?:unload|rmmod|remove|try to unload)(?: the)?(?: same| helper| kernel| livepatch)*"
        rf"(?: modules?| patch(?:es)?| livepatch(?:es)?)?:? (?P<modules>{_NAMES})(?P<rest>.*)",
    ),
    "debug": (
        rf"(?:turn|switch) (?P<switch>on|off) {_DEBUG}(?: again)?",
        rf"(?:turn|switch) {_DEBUG} (?P<switch>on|off)(?: again)?",
        rf"(?P<switch>enable|disable) {_DEBUG}(?: again)?",
    ),
    "write": (
        rf"(?P<how>write|echo|append) (?P<texts>{_TEXTS}) (?:in)?to (?:the )?(?:file )?"
        r"(?:(?P<file>[\w.-]+)(?: file)? of (?:patch |livepatch |module )?(?P<owner>[\w./-]+)"
        r"|(?P<path>[\w/.,-]*[\w/]))"
        r"(?P<rest>.*)",
        rf"(?P<how>write|echo|append) (?P<texts>{_TEXTS}) (?:in)?to (?P<owner>\w+)'s (?P<file>\w+)(?: "
        rf"file)?(?P<rest>.*)",
        rf"echo (?P<texts>{_TEXTS}) ?>{{1,2}} ?(?P<path>[\w/.,-]+)(?P<rest>)",
        r"write (?P<texts>nothing|an empty (?:string|text|line)) to (?:the )?(?:file "
        r")?(?P<path>[\w/.,-]+)(?P<rest>.*)",
        r"(?:clear|empty|reset|truncate) (?:the )?(?:file )?(?P<path>trace|set_ftrace_filter"
        r"|set_ftrace_notrace)"
        r"(?P<rest>.*)",
        r"(?P<how>disable|enable) (?:the )?(?:patch |livepatch )?(?P<owner>lp_\w+|klp_\w+)(?P<rest>.*)",
        r"(?P<how>force) (?:the )?(?:transition of |patch |livepatch )?(?P<owner>(?!the\b"
        r"|transition\b)\w+)(?P<rest>.*)",
        r"(?P<how>force) the transition(?P<rest>.*)",
    ),
    "read": (
        r"(?:read|cat|look at|look into) (?:the )?(?:file )?(?P<file>\w+)(?: file)? of (?:patch "
        r")?(?P<owner>[\w./-]+)(?P<rest>.*)",
        r"(?:read|cat) (?:the )?(?:files? )?(?P<paths>[\w/.,-]*[\w/](?:(?:, | and "
        r")[\w/.,-]*[\w/])*)(?P<rest>.*)",
        r"(?:read|cat) (?P<owner>\w+)'s (?P<file>\w+)(?P<rest>.*)",
    ),
    "wait": (
        rf"wait(?: again)?{_LIMIT.format(n=1)} ?(?:again )?for (?:{_WHAT}) to "
        rf"{_END}{_LIMIT.format(n=2)}(?: again)?",
        rf"wait(?: again)?{_LIMIT.format(n=1)} ?for (?:the end of )?(?:the |its )?(?:\w+ )?transition(?: "
        rf"of [\w-]+)?"
        rf"(?:'s end)?{_LIMIT.format(n=2)}(?: again)?",
        rf"wait(?: again)?{_LIMIT.format(n=1)} ?for [\w-]+'s transition{_LIMIT.format(n=2)}(?: again)?",
        rf"wait(?: again)?{_LIMIT.format(n=1)} ?(?:until|till) (?:{_WHAT}) "
        rf"{_ENDED}{_LIMIT.format(n=2)}(?: again)?",
    ),
    "done": (
        r"(?:wait (?:for|until) )?(?P<names>.+?) (?:to be|is|are|has|have|being)(?: both| all)?(?: now| "
        r"then| at last)?"
        r" (?:done|back|finished|returned|through|ended)(?: both| now|,? too|,? as well|,? again| at "
        r"last)*(?P<rest>[,(].*)?",
        r"(?:wait (?:for|until) )?(?P<names>.+?) (?:to )?(?:wakes? up(?: and )?)?"
        r"(?:returns?|comes? back|finish(?:es)?|ends?|wakes? up|is awake)"
        r"(?: both| now|,? too|,? as well|,? again| at last)*(?P<rest>[,(].*)?",
        r"(?:the )?(?:result|reply|answer|replies|answers)s? of (?P<names>.+)",
        r"what (?P<names>.+) (?:got|gets|was told|has got|returned)",
    ),
    "later": (
        r"(?P<time>.+?) (?:later|more|afterwards)(?P<rest>[,:(].*| with .*| the .*)?",
        r"(?:after|wait(?: for)?|sleep(?: for)?|let|for) (?P<time>[\w. ]+?)(?: more)?(?: "
        r"pass)?(?P<rest>[,:(].*)?",
    ),
    "gate": (
        rf"(?P<how>open|close) (?:the )?gates? (?P<gates>{_GATES})(?: both| again| now|,? too)*(?P<rest>.*)",
        r"(?P<how>open|close) (?P<every>all|every|both|the)(?: the| of the)? gates?(?: again| "
        r"now)*(?P<rest>.*)",
        r"(?P<how>open|close) (?:the )?gates? (?:of|for) (?P<names>[\w ,-]+?)(?P<rest>[(,].*)?",
        r"(?P<how>open|close) (?P<names>[\w-]+)'s gate(?P<rest>.*)",
    ),
    "again": (
        r"(?P<names>.+?) (?:both |all |each )?(?:calls?|does|do) (?:it |that |the same(?: function)? |them )?"
        r"(?:again|once more|another time|a second time)(?: now|,? too)*(?P<rest>[,(].*)?",
    ),
    "call": (
        rf"calls? (?P<functions>{_NAMES})(?P<again>(?: again| now| once more|,? too)*)"
        r"(?: (?P<times>twice|(?:\w+) times))?(?P<rest> ?[,:(].*| while .*| with .*)?",
        r"call (?P<functions>everything|all(?: of)?(?: the)?(?: functions)?|all)(?: again| "
        r"now)*(?P<rest>[,(].*)?",
    ),
}  # fmt: skip
"""What can be done; ``rest`` is for the reader and may not hide a deed. Tasks: see `doing`."""
_SPELLED = (
    (re.compile(r"[\u2018\u2019\u201c\u201d\"`]"), "'"),
    (re.compile(r"\s+"), " "),
    (re.compile(r"^(?:then|now|next|finally|afterwards|and|first|meanwhile|at last),? ", re.IGNORECASE), ""),
    (re.compile(r"(\w)\(\)"), r"\1"),
    (re.compile(r"\.$"), ""),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """An action, understood.

    Args:
        kind: what is done; "look": nothing, only looked.
        parts: its words, by what they stand for; "" for those that were not said.
    """

    kind: str
    parts: Mapping[str, str]


def understand(action: str, *, only_looks: bool, known: frozenset[str] = frozenset()) -> Sentence | str:
    """Return what ``action`` means, or why that is not known.

    Args:
        action: in words.
        only_looks: it gave nothing back and there is something to see, so it may be a look, which is
            called by what there is to see.
        known: names of tasks.

    >>> understand("open gate 3", only_looks=False).parts["gates"]
    '3'
    >>> understand("after the refusal", only_looks=True).kind, understand("sleeper forks", only_looks=True)
    ('look', "'forks' is not understood")
    """
    said = spelled(action)
    for kind, patterns in _PATTERNS.items():
        for pattern in patterns:
            found = re.fullmatch(pattern, said, re.IGNORECASE)
            if found:
                parts = {key: value or "" for key, value in found.groupdict().items()}
                checked = _checked(kind, parts, known)
                if checked is not None:
                    return Sentence(kind=kind, parts=checked)
    told = doing(said, known=known)
    if told is not None:
        return Sentence(kind=told.pop("kind"), parts=told)
    deed = hides_a_deed(said)
    if deed:
        return f"{deed!r} is not understood"
    return Sentence(kind="look", parts={}) if only_looks else "it is no look, and not understood"


def spelled(action: str) -> str:
    """Return an action as the patterns have it: plain quotes, no full stop, no "then" before it.

    >>> spelled('Then  write "0" to enabled.')
    "write '0' to enabled"
    """
    for pattern, instead in _SPELLED:
        action = pattern.sub(instead, action.strip())
    return action


def _checked(kind: str, parts: dict[str, str], known: frozenset[str]) -> dict[str, str] | None:
    """Return the parts of a sentence of a kind, completed; None if it is no such sentence after all."""
    if hides_a_deed(parts.get("rest", "")) or _names_a_function(parts.get("rest", "")):
        return None
    match kind:
        case "load" | "unload":
            return None if parts.get("rest", "").startswith(" on ") else parts
        case "write":
            return _write(parts)
        case "read":
            path = f"{parts['owner']}/{parts['file']}" if parts.get("owner") else ""
            return {"paths": parts.get("paths") or path, "rest": parts["rest"]}
        case "wait":
            limits = [parts[key] for key in ("time1", "time2") if parts.get(key)]
            seconds = [seconds_of(limit) for limit in limits]
            known_limit = not limits or (len(limits) == 1 and seconds[0] is not None)
            return {"seconds": f"{seconds[0]:g}" if limits else ""} if known_limit else None
        case "later":
            time = seconds_of(parts["time"])
            return None if time is None else {"seconds": f"{time:g}", "rest": parts.get("rest", "")}
        case "done" | "again":
            return parts if _is_somebody(parts["names"], known) else None
        case "gate":
            gates = re.sub(r"gate ", "", parts.get("gates", ""))
            return {"how": parts["how"].lower(), "gates": gates, "every": parts.get("every", "").lower(),
                    "names": parts.get("names", ""), "rest": parts["rest"]}  # fmt: skip
        case "debug":
            return {"switch": {"enable": "on", "disable": "off"}.get(parts["switch"], parts["switch"])}
        case "call":
            return _call(parts)
    return parts


def _names_a_function(rest: str) -> bool:
    """Whether a remark behind an order names a function, as "on vic_alpha" does: that would be no remark."""
    return re.match(r"\s*(on|of|for|in|at|to)\s+\w", rest) is not None


def _write(parts: dict[str, str]) -> dict[str, str] | None:
    how, owner = parts.get("how", "").lower(), parts.get("owner", "")
    texts, path = parts.get("texts", "''"), parts.get("path", "")
    if texts == "nothing" or texts.startswith("an empty"):
        texts = "''"
    if how in ("enable", "disable"):
        texts, path = "1" if how == "enable" else "0", f"{owner}/enabled"
    elif how == "force":
        texts, path = "1", f"{owner or UNDER_WAY}/force"
    elif owner:
        path = f"{owner}/{parts['file']}"
    if re.match(r",? (and|then)\b", parts.get("rest", "")):
        return None
    append = "yes" if how == "append" else ""
    return {"texts": texts, "path": path, "rest": parts.get("rest", ""), "append": append}


UNDER_WAY = "UNDER-WAY"
"""Stands in a path for the patch in transition."""


def _call(parts: dict[str, str]) -> dict[str, str] | None:
    several = parts["functions"].lower().startswith(("everything", "all"))
    times = parts.get("times", "")
    count = 2.0 if times == "twice" else number_of(times.removesuffix(" times")) if times else 1.0
    if several:
        return {"functions": "", "times": "1"}
    if count is None or parts["functions"].lower() in ("again", "it again"):
        return None
    names = listed(parts["functions"])
    whole = ("both", "them", "it", "these", "all")
    if any(not full_function(name) and name not in whole for name in names):
        return None
    return {"functions": ", ".join(n for n in names if n not in whole), "times": f"{count:g}"}


def _is_somebody(phrase: str, known: frozenset[str]) -> bool:
    meant = who(phrase, known=known)
    return meant is not None and all(name in known for name in meant.names)


def mentioned(action: str) -> set[str]:
    """Return who is said to be done, or to call again: there must be tasks of these names.

    >>> mentioned("sleeper2 is done"), mentioned("the replace is done"), mentioned("lp_a1 is done")
    ({'sleeper2'}, set(), set())
    """
    said, names = spelled(action), set[str]()
    for pattern in (*_PATTERNS["done"], *_PATTERNS["again"]):
        found = re.fullmatch(pattern, said, re.IGNORECASE)
        meant = who(found["names"]) if found else None
        names |= set(meant.names) if meant else set()
    return {name for name in names if not full_function(name) and not name.startswith(("lp_", "klp_"))}


def texts_of(said: str) -> list[str]:
    """Return the texts of a write, one for each ``write`` of the file.

    >>> texts_of("vic_alpha, then vic_beta"), texts_of("''"), texts_of("0")
    (['vic_alpha', 'vic_beta'], [''], ['0'])
    """
    return [re.sub(r"^'(.*)'$", r"\1", text) for text in re.split(r",? (?:and )?then ", said)]


def parameters_of(said: str) -> dict[str, str]:
    """Return module parameters.

    >>> parameters_of("fn=vic_alpha ipmod=1"), parameters_of("fn=vic_alpha, post=1")
    ({'fn': 'vic_alpha', 'ipmod': '1'}, {'fn': 'vic_alpha', 'post': '1'})
    """
    words = re.split(r", | and |,| ", said)
    return dict(word.partition("=")[::2] for word in words if word)
