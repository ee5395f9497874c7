"""Comparing what was observed: for each key, what the real kernel showed and what the machine shows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from emu.lab.replay.enabled_lines import EnabledLine
from emu.lab.replay.kprobe_places import probe_line
from emu.lab.replay.looks import SHARED, Looks, first_call, full_path, names_a_file, trampoline_of
from emu.lab.replay.phrases import full_function
from emu.lab.replay.plan import Plan
from emu.lab.replay.record import Record, Step
from emu.lab.replay.session import CannotCallError, Session
from emu.lab.replay.words import Sentence

Pair: TypeAlias = tuple[object, object]
"""What the real kernel showed, and what the machine does, in a form that can be compared."""


class Observer:
    """Looks at one machine, key by key.

    Args:
        record, plan: what is replayed.
        session: the machine.

    Attributes:
        path: of the file that was written last.
        patch: whose directory was written to last, or that was loaded last.
        replies: what the tasks that the step is about have replied, by name.
    """

    def __init__(self, record: Record, plan: Plan, session: Session) -> None:
        self._record, self._plan, self._session = record, plan, session
        self._looks = Looks(session)
        self.path = self.patch = ""
        self.replies: dict[str, str] = {}
        self._keys: dict[str, Callable[[Step, object], Pair]] = {
            "livepatch": self._livepatch,
            "calls": self._calls,
            "enabled_functions": self._enabled_functions,
            "trampoline_symbols": self._trampoline_symbols,
            "modules": self._modules,
            "state": self._state,
            "named_tasks_left": lambda _step, real: (real, self._looks.named_tasks_left()),
            "other_tasks_left": lambda _step, real: (real, self._looks.other_tasks_left()),
            "sleeping_at_gates": lambda _step, real: (real, sorted(self._session.slept_at())),
            "result": self._result,
            "results": lambda _step, real: (real, self._session.thread_results()),
            "tainted": lambda _step, real: (real, self._looks.text("/proc/sys/kernel/tainted")),
            "patch_state": self._state,
            "open_gates": lambda _step, real: (real, sorted(self._session.open_gates())),
            "taint": lambda _step, real: (real, self._looks.text("/proc/sys/kernel/tainted")),
            "trace": lambda _step, real: (real, self._looks.trace()),
            "value": lambda _step, real: (real, self._looks.text(self.path)),
            "modes": lambda _step, real: (real, self._looks.modes(self.patch)),
            "kprobes": self._kprobes,
            "entered": self._entered,
            "trampoline": self._trampoline,
            "code": self._code,
        }

    def look(self, step: Step, key: str, real: object) -> Pair:
        """Return both sides of an observation.

        Raises:
            RecordError: the key is not known.
        """
        self._check_form(step, key, real)
        known = key if key in self._keys else self._beginning(key)
        if known == "trace" and isinstance(real, str):
            known = ""
        if known:
            return self._keys[known](step, real)
        if isinstance(real, dict) and "first_bytes" in real:
            return self._function(step, key, real)
        caller = self._caller_in(key)
        if caller and isinstance(real, str):
            return real, self._sees(caller, key, real)
        if key == self.path.rstrip("/").rpartition("/")[2] or key in ("text", "content", "contents", "read"):
            return real, self._as_lines(real, self._looks.text(self.path))
        if names_a_file(key):
            return real, self._as_lines(real, self._looks.text(full_path(key)))
        if isinstance(real, str) and real.startswith("0x"):  # an address: that there is such a function
            return key, key if self._looks.has_symbol(key) else f"no symbol {key}"
        raise self._record.error(
            step, f"don't know how to look at {key!r}; docs/records.md has what is known"
        )

    def _check_form(self, step: Step, key: str, real: object) -> None:
        """Raise an error for an observation that is not what the kernel's file or the helper gives."""
        for names, form, called in _FORMS:
            if key in names and not isinstance(real, form):
                raise self._record.error(step, f"{key!r} must be {called}, not {real!r}")

    @property
    def real_path(self) -> str:
        """The file that was written or read last, by a path that the guest has."""
        return self._looks.own_path(self.path)

    def in_order(self, step: Step, sentence: Sentence) -> Iterator[tuple[str, object]]:
        """Yield what was observed; the calls first where calling is what the step does."""
        calls_first = sentence.kind == "call"
        yield from sorted(
            step.observed.items(), key=lambda item: not (calls_first and item[0].startswith("calls"))
        )

    @staticmethod
    def _as_lines(real: object, text: str) -> object:
        return text.splitlines() if isinstance(real, list) else text

    def _caller_in(self, key: str) -> str:
        """Return which caller a key is about, as ``free_sees`` and ``sleeper`` are; "" none."""
        names = (name for name in self._session.callers if key == name or key.startswith(f"{name}_"))
        return max(names, key=len, default="")

    def _result(self, _step: Step, real: object) -> Pair:
        """What the tasks of the step replied, in the form that the record has: one, a list, or by name."""
        if isinstance(real, dict):
            return real, dict(self.replies)
        if isinstance(real, list):
            return real, [*self.replies.values()]
        return real, next(reversed(self.replies.values()), None)

    def _kprobes(self, _step: Step, real: object) -> Pair:
        lines = real.splitlines() if isinstance(real, str) else [str(line) for line in _list(real)]
        ours = [probe_line(self._session, line, is_real=False) for line in self._looks.kprobes()]
        return sorted(probe_line(self._session, line, is_real=True) for line in lines), sorted(ours)

    def _beginning(self, key: str) -> str:
        """Return the known key that ``key`` is a longer form of, as ``livepatch_at_once`` is; "" if none."""
        return max((name for name in self._keys if key.startswith(f"{name}_")), key=len, default="")

    # --- patches and modules --------------------------------------------------------------------

    def _livepatch(self, _step: Step, real: object) -> Pair:
        return sorted_tree(real), sorted_tree(self._looks.livepatch())

    def _modules(self, _step: Step, real: object) -> Pair:
        real = _mapping(real)
        patches = {module.name for module in self._session.machine.modules.loaded() if module.livepatch}
        ours = {n: fields for n, fields in self._looks.modules().items() if n in patches or n in real}
        return list(real.items()), list(ours.items())  # the order tells, too: newest first

    # --- calls and tasks ------------------------------------------------------------------------

    def _calls(self, _step: Step, real: object) -> Pair:
        return real, {name: self._replies(name, value) for name, value in _mapping(real).items()}

    def _replies(self, name: str, real: object) -> object:
        """Call a function once, or once for each of several replies; vic_count with the number it had."""
        if isinstance(real, list):
            return [self._replies(name, reply) for reply in real]
        told = re.match(r"count\((\d+)\)=", str(real))
        return self._session.reply(name, argument=int(told[1])) if told else self._session.reply(name)

    def _sees(self, caller: str, key: str, real: str) -> str:
        """Return what a process has replied in this step; else have it call what the key or reply names."""
        if caller in self.replies:
            return self.replies[caller]
        said = (full_function(word) for word in (real.partition(":")[0], key.rpartition("_")[2]))
        function = next((name for name in said if name and self._session.find(name)), "")
        if not function:
            raise CannotCallError(caller, "anything", f"neither {key!r} nor {real!r} tells which function")
        gate = max(self._session.open_gates(), default=1)
        return self._session.ask(self._session.callers[caller], function, gate)

    def _state(self, _step: Step, real: object) -> Pair:
        return real, {name: self._looks.state(name) for name in _mapping(real)}

    # --- code -----------------------------------------------------------------------------------

    def _enabled_functions(self, step: Step, real: object) -> Pair:
        sides = ([str(line) for line in _list(real)], self._looks.enabled_functions())
        try:
            both = [[EnabledLine.parse(line) for line in lines] for lines in sides]
        except ValueError as error:
            raise self._record.error(step, str(error)) from error
        if not self._looks.has_trampolines:
            both = [[line.without_way() for line in lines] for lines in both]
        # the observer asked for some functions only: others may be there that the record says are in use
        extra = self._plan.in_use(step) - {line.function for line in both[0]}
        ours = [line for line in both[1] if line.function not in extra]
        return _by_name(both[0]), _by_name(ours)

    def _function(self, step: Step, key: str, real: Mapping[str, object]) -> Pair:
        function = (
            self._plan.function_at(step, real) if key == "function" else self._session.full_name(key) or key
        )
        code, way = self._looks.site(function)
        target = real.get("call_target")
        if target is None:
            ours = "calls nothing" if not way else f"calls {way}"
            if self._looks.has_trampolines and not way:  # the same port: the same NOP
                return str(real["first_bytes"])[: 3 * len(code) - 1], code.hex(" ")
            return "calls nothing", ours
        if not self._looks.has_trampolines:
            return "calls", "calls" if way else "calls nothing"
        return f"calls {self._real_way(step, str(target))}", f"calls {way}"

    def _real_way(self, step: Step, target: str) -> str:
        lines = step.observed.get("enabled_functions")
        for line in map(str, lines) if isinstance(lines, list) else ():
            if f"tramp: {target} " in line:
                handler = line.partition(f"{target} (")[2].partition(")")[0]
                return trampoline_of(re.sub(r"\+0x\w+/0x\w+", "", handler))
        return SHARED

    def _trampoline_symbols(self, _step: Step, real: object) -> Pair:
        assert isinstance(real, list), "one line a trampoline"
        if not self._looks.has_trampolines:
            return "not compared", "not compared"
        ours = self._looks.trampoline_symbols()
        return [_but_address(str(line)) for line in real], [_but_address(line) for line in ours]

    def _entered(self, step: Step, real: object) -> Pair:
        """Which of the kernel's entries the site calls."""
        return real, [self._looks.entry_called(self._plan.function_at(step, _shown(step)))]

    def _trampoline(self, step: Step, real: object) -> Pair:
        """What the trampoline's code calls; all addresses in it are the machine's own."""
        if not self._looks.has_trampolines:
            return "not compared", "not compared"
        shown = _shown(step)
        ours = self._looks.trampoline_calls(self._plan.function_at(step, shown))
        return f"calls {_called(step, str(real), str(shown.get('call_target')))}", f"calls {ours}"

    def _code(self, step: Step, real: object) -> Pair:
        """What the shared entry's code calls; the record names some of the kernel's functions."""
        if not self._looks.has_trampolines:
            return "not compared", "not compared"
        called = _called(step, str(real), str(_shown(step).get("call_target")))
        ours = self._looks.shared_entry_calls()
        return f"calls {called}", f"calls {ours if ours in _symbols(step).values() else ANOTHER}"


_FORMS = (
    (("calls", "modules", "state", "patch_state", "livepatch", "livepatch_at_once", "modes"), dict,
     "an object"),
    (("enabled_functions", "trampoline_symbols", "results", "named_tasks_left", "sleeping_at_gates",
      "entered"), list, "a list"),
    (("kprobes",), (list, str), "a list of lines"),
)  # fmt: skip
"""Keys, and what they hold."""
ANOTHER = "a function that the record does not name"


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _shown(step: Step) -> Mapping[str, object]:
    shown = step.observed.get("function")
    return shown if isinstance(shown, dict) else {}


def _symbols(step: Step) -> dict[str, str]:
    """Return the names of the kernel's functions that a step tells, by address."""
    return {
        value: key
        for key, value in step.observed.items()
        if isinstance(value, str) and value.startswith("0x")
    }


def _called(step: Step, code: str, address: str) -> str:
    """Return the name of what code of the real kernel, x86-64, calls first."""
    target = first_call(bytes.fromhex(code), int(address, 16))
    return _symbols(step).get(hex(target), ANOTHER) if target else "nothing"


def sorted_tree(tree: object) -> object:
    """Return a tree whose dictionaries and lists can be compared, and read, whatever their order was."""
    if isinstance(tree, dict):
        return {key: sorted_tree(tree[key]) for key in sorted(tree)}
    return sorted(tree) if isinstance(tree, list) else tree


def _but_address(line: str) -> str:
    return line.partition(" ")[2]


def _by_name(lines: list[EnabledLine]) -> list[EnabledLine]:
    return sorted(lines, key=lambda line: (line.module, line.function))
