"""Doing on a machine what was done to a real kernel, step by step."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from emu.build.assembly_files import read_units
from emu.errors import EmuError
from emu.kernel.errno import error_name
from emu.lab.machine import Machine
from emu.lab.patching import REPLACEMENTS
from emu.lab.replay.disagreement import Disagreement
from emu.lab.replay.log_judge import LoggedStep, begins_transition, judge_logs, normalised
from emu.lab.replay.looks import DEBUG, LIVEPATCH, SYSCTL, TRACING
from emu.lab.replay.observer import Observer, sorted_tree
from emu.lab.replay.plan import Plan
from emu.lab.replay.record import Record, RecordError, Step, parse_record
from emu.lab.replay.session import Caller, Session
from emu.lab.replay.unlisted import unlisted_patch
from emu.lab.replay.words import Sentence, listed, parameters_of, texts_of

_PATIENCE = 10.0
"""Seconds of the guest that a step waits for a transition to end. # assumed: the record does not tell"""
_LONGEST_SLEEP = 30.0
"""Seconds that the shell is asked to sleep at once: it gives up after twice that."""
_TRACING_FILES = ("current_tracer", "set_ftrace_filter", "set_ftrace_notrace", "trace", "tracing_on")


def boot(arch: str) -> Machine:
    """Return the machine that records are replayed on: two CPUs, and no tasks but those of the record."""
    return Machine("reference", arch=arch, cpus=2, workers=0, users=0, spare_tasks=16)


def replay(
    scenario: Mapping[str, object] | Record,
    *,
    arch: str = "x86_64",
    machine: Callable[[str], Machine] = boot,
    origin: str = "scenario",
) -> list[Disagreement]:
    """Do what a record says on a machine, and return in what that differs from the real kernel.

    Args:
        scenario: a record, or one as decoded JSON.
        arch: port.
        machine: makes the machine for a port; image ``reference``, with room for tasks.
        origin: how messages name the record.

    Raises:
        RecordError: it is no record, or a step is not understood or can't be done.
    """
    record = scenario if isinstance(scenario, Record) else parse_record(scenario, origin=origin)
    plan = Plan(record)
    with machine(arch) as made:
        session = Session(made, callers=plan.callers, spinners=plan.spinners)
        return sorted(_Player(record, plan, session).play(), key=lambda found: found.step)


class _Player:
    def __init__(self, record: Record, plan: Plan, session: Session) -> None:
        self._record, self._plan, self._session = record, plan, session
        self._observer = Observer(record, plan, session)
        self._acts: dict[str, Callable[[Step, Mapping[str, str]], object]] = {
            "helpers": self._helpers,
            "load": self._load,
            "unload": self._unload,
            "write": self._write,
            "debug": self._debug,
            "wait": self._wait,
            "later": self._later,
            "gate": self._gate,
            "thread": self._thread,
            "tell": self._tell,
            "again": self._again,
            "done": self._done,
            "others": lambda _step, _parts: None,  # what they see is observed, which makes them call
            "call": lambda _step, _parts: None,  # likewise
            "look": self._look,
        }

    def play(self) -> Iterator[Disagreement]:
        logged = []
        for step in self._record.steps:
            sentence = self._plan.sentences[step.number]
            try:
                returned = self._acts[sentence.kind](step, sentence.parts)
                if begins_transition(sentence) or _tells_an_end(step):
                    self._end_where_it_ended(step)
                if returned != step.returned:
                    yield self._disagreement(step, "returned", step.returned, returned)
                ours = normalised(self._session.log_since())
                logged.append(
                    LoggedStep(step=step, sentence=sentence, real=normalised(step.dmesg), ours=ours)
                )
                yield from self._observe(step, sentence)
            except RecordError:
                raise
            except EmuError as error:
                raise self._record.error(step, str(error)) from error
        yield from judge_logs(logged)

    def _disagreement(self, step: Step, what: str, real: object, ours: object) -> Disagreement:
        return Disagreement(step=step.number, action=step.action, what=what, real=real, ours=ours)

    # --- the ends of transitions ----------------------------------------------------------------

    def _end_where_it_ended(self, step: Step) -> None:
        """Let a transition that was over on the real kernel end here, too, before anybody looks."""
        tree = step.observed.get("livepatch")
        over = _tells_an_end(step) or (isinstance(tree, dict) and not _in_transition(tree))
        if over and self._session.in_transition:
            self._session.await_transition(_PATIENCE)

    def _observe(self, step: Step, sentence: Sentence) -> Iterator[Disagreement]:
        for key, value in step.observed.items():
            real, ours = self._observer.look(step, key, value)
            if key.startswith("livepatch") and begins_transition(sentence):
                real = self._but_for_time(step, real, ours)
            if real != ours:
                yield self._disagreement(step, key, real, ours)

    def _but_for_time(self, step: Step, real: object, ours: object) -> object:
        """Return the real kernel's tree as it was when the transitions that are over here were over there."""
        assert isinstance(real, dict), "trees are told by patch"
        assert isinstance(ours, dict), "trees are told by patch"
        ending = _in_transition(real) - _in_transition(ours)
        if not ending:
            return real
        return sorted_tree(self._plan.settled_tree(step))

    # --- actions --------------------------------------------------------------------------------

    def _helpers(self, _step: Step, parts: Mapping[str, str]) -> object:
        results = [self._session.shell.insmod(name) for name in parts["modules"].split(", ")]
        return _returned(next((result for result in results if result), 0))

    def _load(self, step: Step, parts: Mapping[str, str]) -> object:
        module = self._observer.patch = parts["module"]
        self._make_known(step, module)
        return _returned(self._session.shell.insmod(module, parameters_of(parts["parameters"])))

    def _make_known(self, step: Step, module: str) -> None:
        """Let the machine have a livepatch that only the record knows."""
        machine = self._session.machine
        if module in machine.manifest.patches or module in machine.manifest.modules:
            return
        replacements = [f"lp_{unit.name}" for unit in read_units(machine.port, REPLACEMENTS)]
        patch = unlisted_patch(self._record, module, replacements)
        if patch is None:
            problem = (
                f"image {machine.manifest.name} has no module {module!r}, and no step tells what it does"
            )
            raise self._record.error(step, problem)
        machine.loader.manifest = machine.manifest.extended({}, {module: patch})

    def _unload(self, _step: Step, parts: Mapping[str, str]) -> object:
        return _returned(self._session.shell.rmmod(parts["module"]))

    def _write(self, step: Step, parts: Mapping[str, str]) -> object:
        path = self._observer.path = _full_path(parts["path"])
        self._observer.patch = path.removeprefix(f"{LIVEPATCH}/").partition("/")[0]
        texts = texts_of(parts["texts"])
        counts = step.returned if isinstance(step.returned, list) else [step.returned]
        if len(counts) != len(texts):
            raise self._record.error(step, f"{len(texts)} writes cannot return {step.returned}")
        results = []
        for at, (text, count) in enumerate(zip(texts, counts, strict=True)):
            # a text in quotes is the whole text; else the count tells whether a line end was written along
            is_whole = parts["texts"].startswith("'") or count != len(text) + 1
            whole = text if is_whole else f"{text}\n"
            results.append(_returned(self._session.shell.write(path, whole, append=at > 0)))
        return results if isinstance(step.returned, list) else results[0]

    def _debug(self, _step: Step, parts: Mapping[str, str]) -> object:
        self._session.machine.livepatch.core.log.debug_on = parts["switch"] == "on"
        return parts["switch"]

    def _wait(self, _step: Step, parts: Mapping[str, str]) -> object:
        seconds = float(parts["seconds"] or _PATIENCE)
        return "ended" if self._session.await_transition(seconds) else "still in progress"

    def _later(self, _step: Step, parts: Mapping[str, str]) -> object:
        seconds = float(parts["seconds"])
        while seconds > 0:
            self._session.shell.sleep(min(seconds, _LONGEST_SLEEP))
            seconds -= _LONGEST_SLEEP
        return None

    def _gate(self, _step: Step, parts: Mapping[str, str]) -> object:
        for gate in listed(parts["gates"]):
            self._session.set_gate(int(gate), is_open=parts["how"] == "open")
        return len(f"{parts['how'][0]}{gate}")  # what is written to viccore's file

    # --- tasks ----------------------------------------------------------------------------------

    def _tell(self, step: Step, parts: Mapping[str, str]) -> object:
        """Have processes call a function; if that does not come to a closed gate, they are back at once."""
        session, goes_to_sleep = self._session, "sleep" in parts["does"] + parts["rest"]
        for name in listed(parts["names"]):
            caller = session.callers[name]
            gate = self._gate_of(step, caller, closed=goes_to_sleep)
            session.begin(caller, parts["function"], gate, interruptible=_is_interruptible(parts["rest"]))
            if goes_to_sleep:
                session.shell.settle()
            else:
                self._observer.reply = session.finish(caller)
        return step.returned

    def _again(self, step: Step, parts: Mapping[str, str]) -> object:
        for name in listed(parts["names"]):
            caller = self._session.callers[name]
            self._observer.reply = self._session.ask(caller, caller.function, caller.gate)
        return step.returned

    def _done(self, step: Step, parts: Mapping[str, str]) -> object:
        for name in listed(parts["names"]):
            self._observer.reply = self._session.finish(self._session.callers[name])
        return step.returned

    def _thread(self, step: Step, parts: Mapping[str, str]) -> object:
        session, loops = self._session, "loop" in parts["rest"]
        gate = self._gate_of(step, None, closed=True)
        session.start_thread(
            parts["names"],
            parts["function"],
            gate,
            loops=loops,
            interruptible=_is_interruptible(parts["rest"]),
        )
        does = "loop" if loops else parts["function"].removeprefix("vic_")
        return len(f"{parts['names']} {does} {gate}")  # what is written to viccore's file

    def _gate_of(self, step: Step, caller: Caller | None, *, closed: bool) -> int:
        session = self._session
        if caller is not None and caller.function and not closed:
            return caller.gate  # where it stopped before, and does not now
        if not closed:
            return max(session.open_gates(), default=0)
        stopped = {thread.gate for thread in session.threads}
        return self._plan.gate_for(step, taken=session.slept_at() | stopped, opened=session.open_gates())

    def _look(self, step: Step, _parts: Mapping[str, str]) -> object:
        words = step.action.split()
        for name in self._session.spinners:
            if name in words and "result" in step.observed:
                self._observer.reply = self._session.end_spin(name)
        return None


def _full_path(path: str) -> str:
    """Return the file that a record names by its end.

    >>> _full_path("lp_a1/enabled"), _full_path("ftrace_enabled"), _full_path("/proc/modules")
    ('/sys/kernel/livepatch/lp_a1/enabled', '/proc/sys/kernel/ftrace_enabled', '/proc/modules')
    """
    if path.startswith("/"):
        return path
    if path.startswith("kprobes/"):
        return f"{DEBUG}/{path}"
    if path in _TRACING_FILES or path.startswith(("events/", "options/")):
        return f"{TRACING}/{path}"
    return f"{LIVEPATCH}/{path}" if "/" in path else f"{SYSCTL}/{path}"


def _is_interruptible(rest: str) -> bool:
    return re.search(r"\binterruptibl", rest) is not None


def _returned(result: int) -> object:
    return result if result >= 0 else error_name(result)


def _in_transition(tree: Mapping[str, object]) -> set[str]:
    return {
        name for name, patch in tree.items() if isinstance(patch, dict) and patch.get("transition") == "1"
    }


def _tells_an_end(step: Step) -> bool:
    return any(line.endswith("patching complete") for line in step.dmesg)
