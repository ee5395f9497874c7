"""Log lines of a helper module whose wording no observation shows: compared is what they tell."""

from __future__ import annotations

import re
from collections.abc import Sequence

_UNSEEN = re.compile(r"kp_user: (?P<said>.*)")
_NUMBER = re.compile(r".*?(?P<error>-?\d+)$")


def as_far_as_told(real: Sequence[str], ours: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return both sides' lines, those of kp_user reduced to what both wordings can tell.

    That is: the number at the end of a line (what registering returned), and the words "some" and "none"
    (whether handlers were called). What the real kernel's lines do not tell is left out of ours.

    >>> as_far_as_told(["kp_user: kprobe on f: -16"], ["kp_user: register on f+0 post=0: -16", "b"])
    (['kp_user: -16'], ['kp_user: -16', 'b'])
    >>> as_far_as_told([], ["kp_user: register on f+0 post=0: 0"])
    ([], [])
    """
    told = [_facts(line) for line in real if _UNSEEN.fullmatch(line)]
    facts = [_facts(line) for line in ours if _UNSEEN.fullmatch(line)]
    kinds = {kind for line in told for kind, _ in line}
    return _with(real, told, kinds), _with(ours, facts, kinds)


def _facts(line: str) -> list[tuple[str, str]]:
    words = [("hit", word) for word in re.findall(r"\b(?:some|none)\b", line)]
    number = _NUMBER.fullmatch(line) if not words else None
    return words + ([("error", number["error"])] if number else [])


def _with(lines: Sequence[str], facts: Sequence[list[tuple[str, str]]], kinds: set[str]) -> list[str]:
    """Return the lines, those of kp_user as one line of facts where the first of them is."""
    said = [value for line in facts for kind, value in line if kind in kinds]
    kept, is_first = [], True
    for line in lines:
        if not _UNSEEN.fullmatch(line):
            kept.append(line)
        elif is_first and said:
            kept.append(f"kp_user: {' '.join(said)}")
            is_first = False
    return kept
