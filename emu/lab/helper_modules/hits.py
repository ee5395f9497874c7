"""How helper modules tell of calls whose number is chance."""

from __future__ import annotations


def some_or_none(hits: int) -> str:
    """Return ``some`` or ``none``.

    >>> some_or_none(3), some_or_none(0)
    ('some', 'none')
    """
    return "some" if hits else "none"
