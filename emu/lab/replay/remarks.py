"""Words that are for the reader: whether they hide something that is done, and which are not known."""

from __future__ import annotations

import re
from itertools import pairwise

_ORDERS_TEXT = (
    "load unload insmod rmmod modprobe write echo append turn switch wait open close call start stop "
    "send kill "
    "fork enable disable register unregister force read cat run create remove set clear make let have "
    "put wake "
    "reverse sleep signal apply boot reboot move pin migrate allocate "
    "attach detach repeat retry try do undo"
)
_ORDERS = frozenset(_ORDERS_TEXT.split())
"""First words of orders."""
_DEEDS_TEXT = (
    "calls goes runs starts stops exits ends opens closes reads writes loads unloads sends gets waits sleeps "
    "wakes creates registers unregisters enters leaves loops computes spins dies returns falls blocks "
    "finishes removes sets clears changes migrates moves allocates frees terminates"
)
_DEEDS = frozenset(_DEEDS_TEXT.split())
"""What a task does, said of it in the present."""
_ARTICLES_TEXT = (
    "the a all no two three both some more its first second last new old fake further other of for and still"
)
_ARTICLES = frozenset(_ARTICLES_TEXT.split())
"""What stands before things that are called like deeds, and before what goes on as it was."""
_NEVER = re.compile(
    r"\b(forks?|forked|kill(s|ed)?|signall?ed|(?-i:SIG[A-Z0-9]+)|exec(s|ve|ed)?|clones?|cloned"
    r"|ptraces?d?|"
    r"crash(es|ed)?|reboots?|hotplug|offlined?|suspends?|resumes?|frozen|freezes?|"
    r"later|seconds|a second|\d+ ?s(ecs?)?|minutes?|ms|milliseconds?|tries|retries|jiffies|ticks|twice|times|"
    r"a while|some time|go(es)? to sleep|(tasks|threads|sleepers|processes|both|they|all) sleep)\b",
    re.IGNORECASE,
)
"""What no remark may have: time that passes, things done several times, and what is never only a state."""
_STATE = re.compile(
    r"\b(while|when|once|as|because|although|though|since|after|before|until|during|with|without|which|that|"
    r"whose|where|who|as if|as long as|so that|now that|what)\b",
    re.IGNORECASE,
)
"""What begins a clause that tells of a state, or of what was done before."""
_KNOWN_TEXT = (
    # little words
    "a an the this that these those it its both each all every any no none not nobody nothing only also "
    "too as at "
    "by for from in into of off on onto out over to under up with without within and or but so than then if "
    "is are was were be been being has have had does do did there here still yet again now once more most "
    "already next first last second third fourth before after while when during because which what whose "
    "where who one two three four five six seven eight nine ten same other others another own another's "
    "between beside besides behind above below along against since until through alone together else "
    "even just "
    "very well much many few some right left back down away than like instead per via "
    # things
    "patch patches livepatch livepatches module modules kernel object objects function functions version "
    "versions hook hooks hooked site sites trampoline trampolines entry bytes byte code text address "
    "addresses "
    "symbol symbols file files mode modes tree directory state states value values result results reply "
    "replies "
    "task tasks process processes thread threads kthread kthreads sleeper sleepers spinner caller "
    "callers driver "
    "gate gates user users tracer tracing filter kprobe kprobes probe probes ops transition transitions "
    "refusal "
    "replace replacement original stack log messages message callback callbacks patching unpatching load "
    "unload "
    "disable disabling enable enabling loading unloading line lines line's name names list lists step "
    "steps taint "
    "reference references count counts ftrace switch permissions anything everything something end beginning "
    "call calls memory shadow variable variables flags flag number numbers order core debug machine "
    # states
    "after enabled disabled loaded unloaded live gone going coming refused kept left right new newer "
    "newest old "
    "older oldest middle whole empty full free busy done ready on off open closed asleep sleeping awake "
    "running "
    "switched patched unpatched replaced forced reversed registered unregistered traced untraced hooked "
    "active "
    "inactive complete completed finished over under way stuck waiting traced shared single several "
    "different "
    "good bad missing present absent set unset shown seen applied reverted undone"
)
_KNOWN = frozenset(_KNOWN_TEXT.split())


def hides_a_deed(text: str) -> str:
    """Return the word because of which ``text`` may tell something that is done; "" if there is none.

    >>> hides_a_deed("victim is gone, the patch is not"), hides_a_deed("while sleeper sleeps")
    ('', '')
    >>> hides_a_deed("sleeper forks"), hides_a_deed("after, open gate 3"), hides_a_deed("2 minutes later")
    ('forks', 'open', 'minutes')
    """
    never = _NEVER.search(text)
    if never:
        return str(never[0])
    for clause in re.split(r"[,;:]|\band\b|\bthen\b|\bbut\b", text):
        words = re.findall(r"[\w'-]+", clause)
        said = re.findall(r"[\w'-]+", _STATE.split(clause, maxsplit=1)[0])
        if said and said[0].lower() in _ORDERS and len(words) > 1:
            return str(said[0])
        for before, word in pairwise(said):  # "calls" alone, or "the calls", are things
            if word.lower() in _DEEDS and before.lower() not in _ARTICLES:
                return str(word)
    return ""


def unknown_words(text: str, *, names: frozenset[str]) -> list[str]:
    """Return the words of ``text`` that no remark of a record was seen to have.

    Args:
        text: a remark.
        names: words that are names in the record.

    >>> unknown_words("three on, lp_a1 is wibbly", names=frozenset())
    ['wibbly']
    """
    words = re.findall(r"[\w'-]+", text)
    known = (w for w in words if w.lower() not in _KNOWN and w not in names)
    return [word for word in known if not re.fullmatch(r"\w*[\d_]\w*|vk-\w+", word)]
