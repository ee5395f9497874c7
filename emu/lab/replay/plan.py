"""What later steps of a record tell and the step itself does not: who takes part, which gate or function."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from emu.lab.replay.enabled_lines import EnabledLine
from emu.lab.replay.record import Record, Step
from emu.lab.replay.words import Sentence, listed, parameters_of, texts_of, understand

THREAD_PREFIX = "vk-"
"""What the names of kernel threads begin with."""
DRIVER = "driver"
"""The process that runs the steps."""
FREE = "free"
"""The process that is meant by "another task"."""
GATES = 16
"""Gates of viccore. Source: our own helper module."""


class Plan:
    """One record, read to its end before anything is done.

    Attributes:
        sentences: the actions, by step number.
        callers: processes that make calls when they are told to.
        spinners: processes that compute in user mode, from the beginning.

    Args:
        record: it.

    Raises:
        RecordError: an action is not understood.
    """

    def __init__(self, record: Record) -> None:
        self._record = record
        self.sentences = {step.number: self._understand(step) for step in record.steps}
        told = [
            name
            for sentence in self.sentences.values()
            if sentence.kind in ("tell", "again", "done")
            for name in listed(sentence.parts["names"])
        ]
        seen = [name for step in record.steps for name in _mapping(step.observed.get("state"))]
        seen = [name for name in seen if not name.startswith(THREAD_PREFIX)]
        idle = [name for name in seen if name not in told and name not in (FREE, DRIVER)]
        self.spinners = tuple(dict.fromkeys(name for name in idle if name.startswith("spin")))
        self.callers = tuple(dict.fromkeys([*told, FREE, *(n for n in idle if n not in self.spinners)]))
        self._functions = dict(self._named_functions())

    def _understand(self, step: Step) -> Sentence:
        sentence = understand(step.action, only_looks=step.returned is None)
        if sentence is None:
            raise self._record.error(
                step, "don't know how to do this; see emu/lab/replay/words.py for what is known"
            )
        return sentence

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
        if isinstance(seen, list):
            new = [int(gate) for gate in seen if int(gate) not in taken]
            if new:
                return new[0]
        later = [
            int(gate)
            for number, sentence in self.sentences.items()
            if number > step.number and sentence.kind == "gate" and sentence.parts["how"] == "open"
            for gate in listed(sentence.parts["gates"])
        ]
        free = [gate for gate in (*later, *range(GATES)) if gate not in taken | opened]
        return int(free[0])

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
        for earlier in self._record.steps[: step.number]:
            sentence, tree = self.sentences[earlier.number], _mapping(earlier.observed.get("livepatch", tree))
            parts = sentence.parts
            if sentence.kind == "write" and parts["path"] == "set_ftrace_filter":
                filtered = texts_of(parts["texts"])
            elif sentence.kind == "write" and parts["path"] == "current_tracer":
                tracing = texts_of(parts["texts"]) != ["nop"]
            elif sentence.kind == "load" and earlier.returned == 0:
                ops[parts["module"]] = parameters_of(parts["parameters"]).get("fn", "")
            elif sentence.kind == "unload" and earlier.returned == 0:
                ops.pop(parts["module"], None)
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
