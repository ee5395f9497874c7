"""What later steps of a record tell and the step itself does not: who takes part, which gate or function."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from emu.lab.replay.cast import GATES, MODULES, Cast, names_told
from emu.lab.replay.enabled_lines import EnabledLine
from emu.lab.replay.phrases import FUNCTIONS, listed
from emu.lab.replay.record import Record, RecordError, Step
from emu.lab.replay.remarks import unknown_words
from emu.lab.replay.words import Sentence, parameters_of, texts_of, understand


class Plan:
    """One record, read to its end before anything is done.

    Attributes:
        sentences: the actions, by step number; a text says why one is not understood.
        cast: the tasks that take part.

    Args:
        record: it.
    """

    def __init__(self, record: Record) -> None:
        self._record, self._names = record, names_told(record)
        self.sentences = {step.number: self._understand(step) for step in record.steps}
        self.cast = Cast(record, self.sentences)
        self._functions = dict(self._named_functions())

    def _understand(self, step: Step) -> Sentence | str:
        only_looks = step.returned is None and bool(step.observed)
        return understand(step.action, only_looks=only_looks, known=self._names)

    def sentence(self, step: Step) -> Sentence:
        """Return what a step's action means.

        Raises:
            RecordError: that is not known, or it is not known who is meant.
        """
        found = self.sentences[step.number]
        if isinstance(found, str):
            problem = f"don't know how to do this: {found}; docs/records.md has what is known"
            raise self._record.error(step, problem)
        about = self.cast.about(step)
        if isinstance(about, str):
            raise self._record.error(step, f"don't know who is meant: {about}")
        return found

    def names(self, step: Step) -> tuple[str, ...]:
        """Return which tasks a step is about."""
        about = self.cast.about(step)
        return () if isinstance(about, str) else about

    def notes(self) -> Iterator[RecordError]:
        """Yield which steps are taken as looks, or have remarks, with words that nobody knows."""
        names = self._names | {*MODULES, *FUNCTIONS}
        for step in self._record.steps:
            found = self.sentences[step.number]
            if isinstance(found, Sentence):
                text = step.action if found.kind == "look" else found.parts.get("rest", "")
                words = unknown_words(text, names=names)
                if words:
                    what = "a look" if found.kind == "look" else "a remark"
                    unfamiliar = f"taken as {what}, though these words are not familiar: {', '.join(words)}"
                    yield self._record.error(step, unfamiliar)

    def _deeds(self) -> Iterator[tuple[Step, Sentence]]:
        for step in self._record.steps:
            found = self.sentences[step.number]
            if isinstance(found, Sentence):
                yield step, found

    # --- gates ----------------------------------------------------------------------------------

    def gate_for(self, step: Step, *, taken: set[int], opened: set[int]) -> int:
        """Return at which gate a task that is told something in ``step`` stops.

        The record may tell by what is seen then; else it is the first gate opened later of those that are
        closed and have nobody asleep at them now.

        Args:
            step: where it is told.
            taken: gates that others sleep at.
            opened: gates that are open.
        """
        seen = step.observed.get("sleeping_at_gates")
        if isinstance(seen, list) and seen:
            new = [int(gate) for gate in seen if int(gate) not in taken]
            return new[0] if new else int(seen[-1])
        later = [
            int(gate)
            for other, sentence in self._deeds()
            if other.number > step.number and sentence.kind == "gate" and sentence.parts["how"] == "open"
            for gate in (listed(sentence.parts["gates"]) if sentence.parts["gates"] else ())
        ]
        free = [gate for gate in (*later, *range(GATES)) if gate not in taken | opened]
        return int(free[0]) if free else 0

    # --- functions by address -------------------------------------------------------------------

    def function_at(self, step: Step, seen: Mapping[str, object]) -> str:
        """Return the name of the function whose code is shown, which the record gives by address.

        Raises:
            RecordError: no step tells.
        """
        name = self._functions.get(str(seen.get("address")))
        if name is None:
            trees = (_mapping(other.observed.get("livepatch")) for other in self._record.steps)
            patched = {name for tree in trees for name in _patched(tree)}
            if len(patched) == 1:
                return patched.pop()
            raise self._record.error(step, f"no step tells which function is at {seen.get('address')}")
        return name

    def _named_functions(self) -> Iterator[tuple[str, str]]:
        """Yield (address, function): enabled_functions tells whose the trampoline is that is called."""
        for step in self._record.steps:
            lines = step.observed.get("enabled_functions")
            for seen in (value for value in step.observed.values() if isinstance(value, dict)):
                for line in map(str, lines) if isinstance(lines, list) else ():
                    if "call_target" in seen and f"tramp: {seen['call_target']} " in line:
                        yield str(seen["address"]), EnabledLine.parse(line).function

    # --- what the real kernel's tree showed -----------------------------------------------------

    def in_use(self, step: Step) -> set[str]:
        """Return the functions that somebody uses the sites of by then, as far as the record tells."""
        tree: Mapping[str, object] = {}
        filtered, tracing, ops = list[str](), False, dict[str, str]()
        for earlier, sentence in self._deeds():
            if earlier.number > step.number:
                break
            tree, parts = _mapping(earlier.observed.get("livepatch", tree)), sentence.parts
            if sentence.kind == "write" and parts["path"] == "set_ftrace_filter":
                filtered = texts_of(parts["texts"])
            elif sentence.kind == "write" and parts["path"] == "current_tracer":
                tracing = texts_of(parts["texts"]) != ["nop"]
            elif sentence.kind == "load" and earlier.returned == 0:
                ops[parts["modules"]] = parameters_of(parts["parameters"]).get("fn", "")
            elif sentence.kind == "unload" and earlier.returned == 0:
                ops.pop(parts["modules"], None)
        return {*_patched(tree), *(filtered if tracing else ()), *ops.values()}

    def settled_tree(self, step: Step) -> Mapping[str, object]:
        """Return the first tree from ``step`` on in which no transition is under way."""
        for later in self._record.steps[step.number - 1 :]:
            tree = later.observed.get("livepatch")
            if isinstance(tree, dict) and not any(
                _mapping(p).get("transition") == "1" for p in tree.values()
            ):
                return tree
        return {}


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _patched(tree: Mapping[str, object]) -> Iterator[str]:
    """Yield the functions that a tree /sys/kernel/livepatch says are patched."""
    for patch in tree.values():
        for obj in _mapping(_mapping(patch).get("objects")).values():
            functions = _mapping(obj).get("functions")
            for function in functions if isinstance(functions, list) else ():
                if _mapping(obj).get("patched") == "1":
                    yield str(function).partition(",")[0]
