"""Which tasks take part in a record, and which of them each sentence is about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from emu.lab.replay.doings import doing
from emu.lab.replay.phrases import Who, who
from emu.lab.replay.record import Record, Step
from emu.lab.replay.words import Sentence, mentioned, spelled

THREAD_PREFIX = "vk-"
"""What the names of kernel threads begin with."""
DRIVER = "driver"
"""The process that runs the steps."""
FREE = "free"
"""The process that is meant by "another task"."""
GATES = 16
"""Gates of viccore. Source: our own helper module."""
MODULES = ("viccore", "victim", "late", "ops", "neverloaded")
"""What a record may name without a digit or an underscore."""


def names_told(record: Record) -> frozenset[str]:
    """Return every name of a task that a record has, kernel threads with and without their prefix."""
    seen = set(_observed(record))
    found = {FREE, DRIVER, *seen, *(name.removeprefix(THREAD_PREFIX) for name in seen)}
    for _ in range(2):  # a list of names is only known as one when the names are
        for step in record.steps:
            told = doing(spelled(step.action), known=frozenset(found))
            meant = who(told["names"], known=frozenset(found)) if told else None
            found |= set(meant.names) if meant else mentioned(step.action)
    return frozenset(found)


def _observed(record: Record) -> Iterator[str]:
    for step in record.steps:
        for key, value in step.observed.items():
            if key.startswith(("state", "patch_state")) and isinstance(value, dict):
                yield from map(str, value)
            if key.startswith("named_tasks_left") and isinstance(value, list):
                yield from map(str, value)


class Cast:
    """The tasks of a record.

    Attributes:
        callers: processes that make calls when they are told to.
        spinners: processes that compute in user mode from the beginning: no sentence starts them.

    Args:
        record: it.
        sentences: its actions, by step number.
    """

    def __init__(self, record: Record, sentences: Mapping[int, Sentence | str]) -> None:
        self._observed = list(dict.fromkeys(_observed(record)))
        later = (name for step in record.steps for name in sorted(mentioned(step.action)))
        self._mentioned = [name for name in dict.fromkeys(later) if name not in self._observed]
        self._told: list[str] = []
        self._threads: list[str] = []
        self._spinning: list[str] = []
        self._engaged: list[str] = []
        self._last: tuple[str, ...] = ()
        self._explicit = {
            name
            for sentence in sentences.values()
            if isinstance(sentence, Sentence)
            and sentence.parts.get("names")
            and sentence.kind not in ("done", "again", "gate")
            for meant in [who(sentence.parts["names"], known=frozenset(self._observed))]
            for name in (meant.names if meant else ())
        }
        self._by_step: dict[int, tuple[str, ...] | str] = {}
        for step in record.steps:
            sentence = sentences[step.number]
            if isinstance(sentence, Sentence) and sentence.parts.get("names"):
                self._by_step[step.number] = self._about(sentence)
        idle = [n for n in self._processes() if n not in (*self._told, *self._spinning, FREE, DRIVER)]
        self.spinners = tuple(name for name in idle if name.startswith("spin"))
        spinning = {*self.spinners, *self._spinning}
        self.callers = tuple(dict.fromkeys(n for n in (*self._told, FREE, *idle) if n not in spinning))

    def about(self, step: Step) -> tuple[str, ...] | str:
        """Return which tasks a step is about, kernel threads without their prefix; a text: why nobody."""
        return self._by_step.get(step.number, ())

    def _processes(self) -> list[str]:
        return [name for name in self._observed if not name.startswith(THREAD_PREFIX)]

    # --- one sentence after another -------------------------------------------------------------

    def _about(self, sentence: Sentence) -> tuple[str, ...] | str:
        known = frozenset({*self._observed, *self._explicit, *self._told, *self._mentioned})
        meant = who(sentence.parts["names"], known=known)
        assert meant is not None, "that is how the sentence was understood"
        if sentence.kind == "others":
            self._told.append(FREE)
            return (FREE,)
        if sentence.kind in ("done", "again", "gate"):
            names = meant.names or self._before(meant, only_busy=sentence.kind != "again")
            if not names:
                return "no task was told anything before"
            there = {*self._told, *self._threads, *self._spinning, *self._observed}
            strangers = [name for name in names if name not in there]
            if strangers:
                return f"no task {strangers[0]!r} was told anything before"
            if sentence.kind == "done":
                self._engaged = [name for name in self._engaged if name not in names]
        else:
            names = meant.names or self._new(meant, sentence)
            group = {"thread": self._threads, "spin": self._spinning}.get(sentence.kind, self._told)
            group += [name for name in names if name not in group]
            if sentence.parts.get("sleeps"):
                self._engaged += names
        self._last = names
        return names

    def _before(self, meant: Who, *, only_busy: bool) -> tuple[str, ...]:
        """Return who is meant of those that were told something before."""
        pool = self._threads if meant.thread else self._told
        pool = [name for name in pool if name.startswith(meant.kind)] or pool
        busy = [name for name in self._engaged if name in pool]
        if meant.thread or (only_busy and busy):
            pool = busy or pool
        elif meant.count == 0 and self._last:
            return self._last
        return tuple(pool[-meant.count :] if meant.count else pool)

    def _new(self, meant: Who, sentence: Sentence) -> tuple[str, ...]:
        """Return names for tasks that have not been told anything, those that are seen later first."""
        is_thread = sentence.kind == "thread"
        count = meant.count or (len(self._last) if not is_thread else 1) or 1
        used = {*self._told, *self._threads, *self._spinning, *self._explicit, FREE, DRIVER}
        if not meant.count and self._last:  # "the task", "they"
            return self._last
        if sentence.parts["names"].lower().startswith("both") and len(self._told) >= count and not is_thread:
            return tuple(self._told[-count:])
        later = (*self._observed, *self._mentioned)
        seen = [n.removeprefix(THREAD_PREFIX) for n in later if n.startswith(THREAD_PREFIX) == is_thread]
        free = [name for name in seen if name not in used and name.startswith(meant.kind)]
        kind = meant.kind or ("k" if is_thread else "spinner" if sentence.kind == "spin" else "task")
        made = [kind, *(f"{kind}{number}" for number in range(2 if count == 1 else 1, 20))]
        if count > 1 or is_thread:
            made = made[1:]
        return tuple([*free, *(name for name in made if name not in used)][:count])
