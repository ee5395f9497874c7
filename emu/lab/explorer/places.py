"""What the numbers that events carry stand for: who did it, and where in the source."""

from __future__ import annotations


class Places:
    """Gives each place a number."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._texts: list[str] = []

    def tag(self, text: str) -> int:
        """Return the number of a place."""
        if text not in self._numbers:
            self._numbers[text] = len(self._texts)
            self._texts.append(text)
        return self._numbers[text]

    def text(self, tag: int) -> str:
        """Return the place of a number."""
        return self._texts[tag]
