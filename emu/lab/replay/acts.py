"""Doing what a sentence says, on the machine: each returns what it gave back, as a record has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import zip_longest

from emu.build.assembly_files import read_units
from emu.kernel.errno import EACCES, ENOENT, error_name
from emu.lab.patching import REPLACEMENTS
from emu.lab.replay.cast import GATES
from emu.lab.replay.kprobe_places import port_offset
from emu.lab.replay.looks import TRACING, full_path
from emu.lab.replay.observer import Observer
from emu.lab.replay.phrases import full_function, listed
from emu.lab.replay.plan import Plan
from emu.lab.replay.record import Record, Step
from emu.lab.replay.session import LIVEPATCH, Caller, Session
from emu.lab.replay.unlisted import unlisted_patch
from emu.lab.replay.words import UNDER_WAY, Sentence, parameters_of, texts_of

PATIENCE = 10.0
"""Seconds of the guest that a step waits for a transition to end. # assumed: the record does not tell"""
_LONG_PATIENCE = 60.0
"""The same where the record says that it ended."""
_LONGEST_SLEEP = 30.0
"""Seconds that the shell is asked to sleep at once: it gives up after twice that."""
_GLANCE = 0.1
"""Seconds between two looks at a transition that is waited for."""
_SIGNALING = "livepatch: signaling remaining tasks"


class Acts:
    """What can be done on one machine.

    Args:
        record, plan: what is replayed.
        session: the machine.
        observer: gets told what the step is about.
    """

    def __init__(self, record: Record, plan: Plan, session: Session, observer: Observer) -> None:
        self._record, self._plan, self._session, self._observer = record, plan, session, observer
        self._acts: dict[str, Callable[[Step, Mapping[str, str]], object]] = {
            "helpers": self._load,
            "load": self._load,
            "unload": self._unload,
            "write": self._write,
            "read": self._read,
            "debug": self._debug,
            "wait": self._wait,
            "later": self._later,
            "gate": self._gate,
            "thread": self._thread,
            "spin": self._spin,
            "tell": self._tell,
            "again": self._again,
            "done": self._done,
            "others": self._others,
            "call": self._call,
            "look": self._look,
        }

    def do(self, step: Step, sentence: Sentence) -> object:
        """Do what a step says, and return what it gave back.

        Raises:
            RecordError: it can't be done, and nothing was.
            EmuError: likewise, or the machine has failed.
        """
        return self._acts[sentence.kind](step, sentence.parts)

    # --- modules --------------------------------------------------------------------------------

    def _load(self, step: Step, parts: Mapping[str, str]) -> object:
        modules = listed(parts["modules"])
        for module in modules:
            self._make_known(step, module)
        given = self._parameters(step, modules, parameters_of(parts.get("parameters", "")))
        results = []
        for module in modules:
            self._observer.patch = module
            results.append(self._session.shell.insmod(module, given))
        return _one_or_all(step, results)

    def _parameters(self, step: Step, modules: list[str], given: dict[str, str]) -> dict[str, str]:
        """Return the parameters; an offset of a kprobe is one in x86-64 code."""
        if modules != ["kp_user"] or not given.get("off", "0").isdecimal():
            return given
        off = int(given.get("off", "0"))
        there = port_offset(self._session, given.get("fn", ""), off)
        if there is None:
            problem = f"nothing tells what is {off} bytes behind the entry of {given.get('fn')} on this port"
            raise self._record.error(step, problem)
        return {**given, "off": str(there)} if off else given

    def _make_known(self, step: Step, module: str) -> None:
        """Let the machine have a livepatch that only the record knows."""
        machine = self._session.machine
        if module in machine.manifest.patches or module in machine.manifest.modules:
            return
        if step.returned == error_name(-ENOENT) and not step.dmesg:
            return  # there was no such file there, and there is none here
        replacements = [f"lp_{unit.name}" for unit in read_units(machine.port, REPLACEMENTS)]
        patch = unlisted_patch(self._record, module, replacements)
        if patch is None:
            problem = (
                f"image {machine.manifest.name} has no module {module!r}, and no step tells what it does"
            )
            raise self._record.error(step, problem)
        machine.loader.manifest = machine.manifest.extended({}, {module: patch})

    def _unload(self, step: Step, parts: Mapping[str, str]) -> object:
        return _one_or_all(step, [self._session.shell.rmmod(name) for name in listed(parts["modules"])])

    # --- files ----------------------------------------------------------------------------------

    def _path(self, step: Step, named: str) -> str:
        path = full_path(named)
        if UNDER_WAY in path:
            patch = self._session.patch_under_way
            if not patch:
                raise self._record.error(step, "no transition is under way whose patch could be meant")
            path = path.replace(UNDER_WAY, patch)
        return path

    def _write(self, step: Step, parts: Mapping[str, str]) -> object:
        path = self._observer.path = self._path(step, parts["path"])
        if path.startswith(f"{LIVEPATCH}/"):
            self._observer.patch = path.removeprefix(f"{LIVEPATCH}/").partition("/")[0]
        texts = texts_of(parts["texts"])
        counts = step.returned if isinstance(step.returned, list) else [step.returned]
        if len(counts) > len(texts):
            raise self._record.error(step, f"{len(texts)} writes cannot return {step.returned}")
        is_quoted, results = parts["texts"].startswith("'"), []
        for at, (text, count) in enumerate(zip_longest(texts, counts)):
            whole = text if is_quoted else _with_line_end(text, count, path)
            result = self._session.shell.write(path, whole, append=at > 0 or bool(parts["append"]))
            results.append(self._as_opened(path, result, count))
        return _one_or_all(step, results, last=True)

    def _as_opened(self, path: str, result: int, real: object) -> int:
        """Return the result, or what Linux answers to O_CREAT for a file that is not there, if it did."""
        inside = path.rstrip("/").rpartition("/")[0]
        if result == -ENOENT and real == error_name(-EACCES):
            there = self._session.shell.listdir(inside) if self._session.shell.is_mounted(inside) else 0
            return -EACCES if isinstance(there, list) else result
        return result

    def _read(self, step: Step, parts: Mapping[str, str]) -> object:
        found: list[object] = []
        for named in listed(parts["paths"]):
            self._observer.path = self._path(step, named)
            text = self._session.shell.read(self._observer.real_path)
            if isinstance(text, int):
                found.append(error_name(text))
            elif isinstance(step.returned, int):
                found.append(len(text))
            else:
                found.append(text if str(step.returned).endswith("\n") else text.removesuffix("\n"))
        return found[0] if len(found) == 1 else found

    def _debug(self, _step: Step, parts: Mapping[str, str]) -> object:
        self._session.machine.livepatch.core.log.debug_on = parts["switch"] == "on"
        return parts["switch"]

    # --- time -----------------------------------------------------------------------------------

    def _wait(self, step: Step, parts: Mapping[str, str]) -> object:
        if parts["seconds"]:
            ended = self._session.await_transition(float(parts["seconds"]))
        elif step.returned == "still in progress":
            ended = self._wait_in_vain(step)
        else:
            ended = self._session.await_transition(_LONG_PATIENCE)
        return "ended" if ended else "still in progress"

    def _wait_in_vain(self, step: Step) -> bool:
        """Wait as long as the record tells by whether fake signals were sent meanwhile."""
        session, waited = self._session, 0.0
        told = _SIGNALING in step.dmesg
        ended = False
        while not ended:
            signalled = session.has_logged(_SIGNALING)
            if (told == signalled and waited >= PATIENCE) or waited >= 2.5 * PATIENCE:
                break
            if not told and session.will_signal:
                break  # at its next try, which the real kernel's had not come to
            ended = session.await_transition(_GLANCE)
            waited += _GLANCE
        return ended

    def _later(self, _step: Step, parts: Mapping[str, str]) -> object:
        seconds = float(parts["seconds"])
        while seconds > 0:
            self._session.shell.sleep(min(seconds, _LONGEST_SLEEP))
            seconds -= _LONGEST_SLEEP
        return None

    # --- gates ----------------------------------------------------------------------------------

    def _gate(self, step: Step, parts: Mapping[str, str]) -> object:
        gates = self._gates(step, parts)
        lengths = []
        for gate in gates:
            self._session.set_gate(gate, is_open=parts["how"] == "open")
            lengths.append(len(f"{parts['how'][0]}{gate}"))  # what is written to viccore's file
        if isinstance(step.returned, list):
            return lengths
        fits = [*lengths, sum(lengths)] if len(lengths) != 1 or not parts["gates"] else lengths
        return step.returned if step.returned in fits or not parts["gates"] else lengths[-1]

    def _gates(self, step: Step, parts: Mapping[str, str]) -> list[int]:
        session = self._session
        if parts["gates"]:
            return [int(gate) for gate in listed(parts["gates"])]
        if parts["names"]:
            return [session.callers[name].gate for name in self._plan.names(step) if name in session.callers]
        closed = set(range(GATES)) - session.open_gates()
        if parts["every"] != "the":
            return sorted(closed if parts["how"] == "open" else session.open_gates())
        meant = session.slept_at() if parts["how"] == "open" else session.open_gates()
        if len(meant) != 1:
            raise self._record.error(
                step, f"don't know which gate is meant; it may be any of {sorted(meant)}"
            )
        return sorted(meant)

    # --- tasks ----------------------------------------------------------------------------------

    def _tell(self, step: Step, parts: Mapping[str, str]) -> object:
        """Have processes call a function; if that does not come to a closed gate, they are back at once."""
        session, goes_to_sleep = self._session, bool(parts["sleeps"])
        function = full_function(parts["function"])
        for name in self._plan.names(step):
            caller = session.callers[name]
            gate = int(parts["gate"]) if parts["gate"] else self._gate_of(step, caller, closed=goes_to_sleep)
            session.begin(caller, function, gate, interruptible=bool(parts["interruptible"]))
            if goes_to_sleep:
                session.shell.settle()
            else:
                self._observer.replies[name] = session.finish(caller)
        return step.returned

    def _others(self, step: Step, parts: Mapping[str, str]) -> object:
        """Have a task call that takes no further part, unless looking at what it sees makes it call."""
        if "result" in step.observed and parts["function"]:
            self._tell(step, {**parts, "sleeps": "", "gate": parts.get("gate", ""), "interruptible": ""})
        return step.returned

    def _again(self, step: Step, _parts: Mapping[str, str]) -> object:
        for name in self._plan.names(step):
            caller = self._session.callers[name]
            self._observer.replies[name] = self._session.ask(caller, caller.function, caller.gate)
        return step.returned

    def _done(self, step: Step, _parts: Mapping[str, str]) -> object:
        session = self._session
        for name in self._plan.names(step):
            if name in session.spinners:
                self._observer.replies[name] = session.end_spin(name)
            elif name in session.callers:
                self._observer.replies[name] = session.finish(session.callers[name])
        return step.returned

    def _spin(self, step: Step, _parts: Mapping[str, str]) -> object:
        for name in self._plan.names(step):
            self._session.start_spinner(name)
        self._session.shell.settle()
        return step.returned

    def _thread(self, step: Step, parts: Mapping[str, str]) -> object:
        session, loops, lengths = self._session, bool(parts["loops"]), []
        function = full_function(parts["function"])
        does = "loop" if loops else parts["function"].removeprefix("vic_")
        for name in self._plan.names(step):
            gate = int(parts["gate"]) if parts["gate"] else self._gate_of(step, None, closed=True)
            session.start_thread(
                name, function, gate, loops=loops, interruptible=bool(parts["interruptible"])
            )
            lengths.append(len(f"{name} {does} {gate}"))  # what is written to viccore's file
        is_known = (loops or does in ("wait", "spin")) and not parts["interruptible"]
        if not is_known and isinstance(step.returned, int) and step.returned > 0:
            return step.returned  # no observation tells how that is written
        return _one_or_all(step, lengths, last=True)

    def _gate_of(self, step: Step, caller: Caller | None, *, closed: bool) -> int:
        session = self._session
        if caller is not None and caller.function and not closed:
            return caller.gate  # where it stopped before, and does not now
        if not closed:
            return max(session.open_gates(), default=0)
        stopped = {thread.gate for thread in session.threads}
        return self._plan.gate_for(step, taken=session.slept_at() | stopped, opened=session.open_gates())

    # --- looking --------------------------------------------------------------------------------

    def _call(self, step: Step, parts: Mapping[str, str]) -> object:
        """Have functions called, unless what they reply is observed, which makes the call."""
        told = any(key.startswith("calls") for key in step.observed)
        for _ in range(int(float(parts["times"])) - int(told)):
            for name in listed(parts["functions"]) if parts["functions"] else ():
                self._session.reply(name)
        return step.returned

    def _look(self, step: Step, _parts: Mapping[str, str]) -> object:
        words = step.action.split()
        for name in self._session.spinners:
            if name in words and "result" in step.observed:
                self._observer.replies[name] = self._session.end_spin(name)
        return None


def _with_line_end(text: str, count: object, path: str) -> str:
    """Return a text as it was written: the count tells whether a line end was; an error does not.

    Only the filters of tracing take a word otherwise when a line end follows it.
    """
    refused = isinstance(count, str) and path.startswith(TRACING)
    return f"{text}\n" if count == len(text) + 1 or refused else text


def _one_or_all(step: Step, results: list[int], *, last: bool = False) -> object:
    """Return several results as the record has them: all, or one: the first error, else the last."""
    named = [result if result >= 0 else error_name(result) for result in results]
    if isinstance(step.returned, list):
        return named
    if last:
        return named[-1]
    return next((error_name(result) for result in results if result < 0), named[-1])
