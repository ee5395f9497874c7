"""Comparing what was observed: for each key, what the real kernel showed and what the machine shows."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

from emu.lab.replay.enabled_lines import EnabledLine
from emu.lab.replay.looks import SHARED, Looks, first_call, trampoline_of
from emu.lab.replay.plan import Plan
from emu.lab.replay.record import Record, Step
from emu.lab.replay.session import Session

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
        reply: what the task told last has replied.
    """

    def __init__(self, record: Record, plan: Plan, session: Session) -> None:
        self._record, self._plan, self._session = record, plan, session
        self._looks = Looks(session)
        self.path = self.patch = ""
        self.reply: str | None = None
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
            "result": lambda _step, real: (real, self.reply),
            "results": lambda _step, real: (real, self._session.thread_results()),
            "taint": lambda _step, real: (real, self._looks.text("/proc/sys/kernel/tainted")),
            "trace": lambda _step, real: (real, self._looks.trace()),
            "value": lambda _step, real: (real, self._looks.text(self.path)),
            "modes": lambda _step, real: (real, self._looks.modes(self.patch)),
            "entered": self._entered,
            "trampoline": self._trampoline,
            "code": self._code,
        }

    def look(self, step: Step, key: str, real: object) -> Pair:
        """Return both sides of an observation.

        Raises:
            RecordError: the key is not known.
        """
        known = key if key in self._keys else self._beginning(key)
        if known:
            return self._keys[known](step, real)
        if isinstance(real, dict) and "first_bytes" in real:
            return self._function(step, key, real)
        caller = key.partition("_")[0]
        if caller in self._session.callers and isinstance(real, str):
            return real, self._sees(caller, real)
        if key == self.path.rpartition("/")[2]:
            return real, self._looks.text(self.path)
        if isinstance(real, str) and real.startswith("0x"):  # an address: that there is such a function
            return key, key if self._looks.has_symbol(key) else f"no symbol {key}"
        raise self._record.error(step, f"don't know how to look at {key!r}; see emu/lab/replay/observer.py")

    def _beginning(self, key: str) -> str:
        """Return the known key that ``key`` is a longer form of, as ``livepatch_at_once`` is; "" if none."""
        return max((name for name in self._keys if key.startswith(f"{name}_")), key=len, default="")

    # --- patches and modules --------------------------------------------------------------------

    def _livepatch(self, _step: Step, real: object) -> Pair:
        return sorted_tree(real), sorted_tree(self._looks.livepatch())

    def _modules(self, _step: Step, real: object) -> Pair:
        assert isinstance(real, dict), "modules are told by name"
        patches = {module.name for module in self._session.machine.modules.loaded() if module.livepatch}
        ours = {n: fields for n, fields in self._looks.modules().items() if n in patches or n in real}
        return list(real.items()), list(ours.items())  # the order tells, too: newest first

    # --- calls and tasks ------------------------------------------------------------------------

    def _calls(self, _step: Step, real: object) -> Pair:
        assert isinstance(real, dict), "calls are told by function"
        return real, {name: self._session.reply(name) for name in real}

    def _sees(self, caller: str, real: str) -> str:
        """Have a process call the function that the reply names, at a gate that is open."""
        function = f"vic_{real.partition(':')[0]}"
        gate = max(self._session.open_gates(), default=1)
        return self._session.ask(self._session.callers[caller], function, gate)

    def _state(self, _step: Step, real: object) -> Pair:
        assert isinstance(real, dict), "states are told by task"
        return real, {name: self._looks.state(name) for name in real}

    # --- code -----------------------------------------------------------------------------------

    def _enabled_functions(self, step: Step, real: object) -> Pair:
        assert isinstance(real, list), "one line a function"
        both = [
            [EnabledLine.parse(line) for line in lines] for lines in (real, self._looks.enabled_functions())
        ]
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


ANOTHER = "a function that the record does not name"


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
