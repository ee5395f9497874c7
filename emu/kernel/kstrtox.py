"""Numbers and truth values as files of the kernel take them.

Source: lib/kstrtox.c, kstrtobool; kernel/sysctl.c, do_proc_dointvec, proc_get_long, strtoul_lenient (6.1).
"""

from __future__ import annotations

import re

TRUE_LETTERS, FALSE_LETTERS = "yt1", "nf0"
"""What the first letter decides, in either case. Source: kstrtobool (since 5.19: 0d6ea3ac94ca)."""

INT_MAX = 2**31 - 1
_SPACES = " \t\n\v\f\r"
"""What isspace of lib/ctype.c takes, of ASCII."""
_LONGEST = 20
"""Characters that proc_get_long looks at: TMPBUFLEN - 2. A number that fills them may have been cut."""
_NUMBER = re.compile(r"(0[xX](?=[0-9a-fA-F])[0-9a-fA-F]*|0[0-7]*|[1-9][0-9]*)")


def kstrtobool(text: str, *, true: str = TRUE_LETTERS, false: str = FALSE_LETTERS) -> bool | None:
    r"""Return what ``text`` means, None (-EINVAL) for what means nothing; only its beginning counts.

    Args:
        text: what was written.
        true, false: the first letters that decide alone; "on" and "off" need their second.

    >>> [kstrtobool(text) for text in ("1", "yes", "Nope", "off\n", "ON", "true", "2", "o", " 1", "")]
    [True, True, False, False, True, True, None, None, None, None]
    """
    lowered = text[:2].lower()
    if lowered in ("on", "of"):
        return lowered == "on"
    if lowered[:1] and lowered[0] in true:
        return True
    return False if lowered[:1] and lowered[0] in false else None


def proc_dointvec(text: str) -> tuple[int, int] | None:
    r"""Return the number that ``text`` begins with and the characters it takes, None for -EINVAL.

    Spaces around it are taken, too; what follows them is left for the next write. Octal and hexadecimal are
    understood.

    >>> [proc_dointvec(text) for text in ("0\n", " 1 ", "-5", "0x10", "010", "1 2")]
    [(0, 2), (1, 3), (-5, 2), (16, 4), (8, 3), (1, 2)]
    >>> [proc_dointvec(text) for text in ("1x", "", "-", "4294967296")]
    [None, None, None, None]
    """
    start = len(text) - len(text.lstrip(_SPACES))
    rest = text[start:]
    negative = rest.startswith("-")
    found = _NUMBER.match(rest, int(negative))
    if found is None or found.end() > _LONGEST:
        return None
    if rest[found.end() :][:1] not in ("", " ", "\t", "\n"):
        return None
    digits = found.group()
    base = 16 if digits[:2].lower() == "0x" else 8 if digits[0] == "0" else 10
    value = int(digits, base)
    if value > INT_MAX + negative:
        return None
    behind = rest[found.end() :]
    return -value if negative else value, len(text) - len(behind.lstrip(_SPACES))
