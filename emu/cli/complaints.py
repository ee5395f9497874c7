"""How the command line tells of a mistake: one line on stderr."""

from __future__ import annotations

import sys


def complain(message: str) -> None:
    """Write a message to stderr on one line, without anything that would move a terminal's cursor."""
    line = "".join(c if c.isprintable() else " " for c in " ".join(message.split()))
    print(f"klpemu: {line}", file=sys.stderr, flush=True)
