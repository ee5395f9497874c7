"""Records of what was done to a real kernel and what it did: reading and checking them.

Their form is described in tests/reference/real-kernel/README.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from emu.errors import EmuError


class RecordError(EmuError):
    """A record can't be read or replayed."""

    def __init__(self, origin: str, problem: str, *, step: int = 0, action: str = "") -> None:
        place = f": step {step} ({action})" if step else ""
        super().__init__(f"{origin}{place}: {problem}")
        self.origin, self.step, self.action, self.problem = origin, step, action, problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that was done.

    Args:
        number: from 1.
        action: what was done, in words.
        returned: what it gave back.
        dmesg: lines logged since the step before.
        observed: what was read after it.
    """

    number: int
    action: str
    returned: object
    dmesg: tuple[str, ...]
    observed: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A whole scenario.

    Args:
        name: of it.
        origin: how messages name it: the file.
        steps: in order.
    """

    name: str
    origin: str
    steps: tuple[Step, ...]

    def error(self, step: Step, problem: str) -> RecordError:
        """Return the error that a step is no good."""
        return RecordError(self.origin, problem, step=step.number, action=step.action)


def load_record(path: Path) -> Record:
    """Return the record in a file.

    Raises:
        RecordError: it can't be read, or is no record.
    """
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecordError(str(path), f"can't be read: {error}") from error
    return parse_record(whole, origin=str(path))


def parse_record(whole: object, *, origin: str) -> Record:
    """Return the record that decoded JSON holds.

    Raises:
        RecordError: it is no record.
    """
    if not isinstance(whole, Mapping) or not isinstance(whole.get("steps"), list):
        raise RecordError(origin, 'must be an object with "scenario" and "steps"')
    steps = tuple(_step(origin, number, step) for number, step in enumerate(whole["steps"], 1))
    return Record(name=str(whole.get("scenario", origin)), origin=origin, steps=steps)


def _step(origin: str, number: int, step: object) -> Step:
    if not isinstance(step, Mapping) or not isinstance(step.get("action"), str):
        raise RecordError(origin, 'must be an object with "action"', step=number, action="?")
    action, dmesg, observed = step["action"], step.get("dmesg", []), step.get("observed", {})
    if not isinstance(dmesg, list) or not isinstance(observed, Mapping):
        problem = '"dmesg" must be a list and "observed" an object'
        raise RecordError(origin, problem, step=number, action=action)
    return Step(
        number=number, action=action, returned=step.get("returned"), dmesg=tuple(map(str, dmesg)),
        observed=dict(observed),
    )  # fmt: skip
