"""A stress run: patches come, go, replace each other and turn round while tasks call what they patch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from emu.errors import EmuError
from emu.kernel.errno import EBUSY, EINVAL, ENOENT, error_name
from emu.kernel.installer import Job
from emu.lab.machine import Machine
from emu.lab.patching import PatchHandle
from emu.livepatch import Func, Object, Patch
from emu.trace.schema import EventKind

FUNCTIONS = (
    "mini_leaf", "mini_nested", "mini_recursive", "mini_tail", "mini_many", "mini_sleep", "mini_loop",
    "cmdline_proc_show", "meminfo_proc_show", "uptime_proc_show",
)  # fmt: skip
"""Functions of the kernel that patches are made of: leaves, callers, one that sleeps, one that loops."""
PATCHES = 12
"""Patches that take turns."""
REPLACING = 3
"""Every so many of them is a replace patch."""
_CALLS_BETWEEN = (50, 3_000)
"""Least and most calls between two actions."""
_LAST_CALLS = 200_000
"""Calls within which everything must have settled at the end."""


T = TypeVar("T")


class StressError(EmuError):
    """Something that must not happen has happened; the message says what, and when."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stressed:
    """What a stress run did.

    Args:
        machine: as it was left: nothing is enabled, no patch module loaded.
        actions: how often each kind of action was done.
        refused: how many of them livepatch refused because a transition had overtaken them.
        settled: how many transitions came to their end.
    """

    machine: Machine
    actions: dict[str, int]
    refused: int
    settled: int


class Stress:
    """One run.

    Args:
        machine: a fresh one.
        seed: of the actions.
    """

    def __init__(self, machine: Machine, *, seed: int) -> None:
        self.machine = machine
        self._random = np.random.default_rng(seed)
        self._patches = [self._patch(number) for number in range(PATCHES)]
        self._jobs: list[tuple[str, Job[int]]] = []
        self._handles: list[PatchHandle] = []
        self.actions = dict.fromkeys(("enable", "replace", "disable", "reverse", "unload"), 0)
        self.refused = 0

    def _patch(self, number: int) -> Patch:
        chosen = self._random.permutation(len(FUNCTIONS))[: self._random.integers(1, len(FUNCTIONS) + 1)]
        funcs = tuple(Func(FUNCTIONS[i], f"lp_{FUNCTIONS[i]}") for i in sorted(chosen.tolist()))
        return Patch(f"stress{number}", (Object(None, funcs),), replace=number % REPLACING == 0)

    def run(self, calls: int) -> Stressed:
        """Act at random until so many calls have completed, then undo everything.

        Raises:
            StressError: the guest went wrong, or a transition does not end.
        """
        machine = self.machine
        while machine.calls_done < calls:
            self._run(calls=int(self._random.integers(*_CALLS_BETWEEN)))
            self._look_at_answers()
            self._act()
        self._undo()
        settled = int((machine.trace.events["kind"] == EventKind.SETTLED).sum())
        return Stressed(machine=machine, actions=self.actions, refused=self.refused, settled=settled)

    # --- actions --------------------------------------------------------------------------------

    def _act(self) -> None:
        facts = self.machine.livepatch.facts()
        under_way = [name for name, patch in facts.items() if patch.transition]
        if under_way:
            if self._random.random() < 0.1:
                self._write_enabled(under_way[0], enabled=not facts[under_way[0]].enabled, action="reverse")
            return
        loaded, asked = set(self.machine.livepatch.loaded()), {handle.patch.name for handle in self._handles}
        idle = [patch for patch in self._patches if patch.name not in loaded | asked]
        going = {what.removeprefix("unload ") for what, _ in self._jobs}
        gone = sorted(loaded - asked - going - set(facts))
        choices: list[tuple[float, Callable[[], None]]] = [
            (3.0 * bool(idle), lambda: self._enable(self._one_of(idle))),
            (2.0 * bool(facts), lambda: self._disable(self._one_of(list(facts)))),
            (2.0 * bool(gone), lambda: self._unload(self._one_of(gone))),
        ]
        weights = np.array([weight for weight, _ in choices])
        if weights.any():
            choices[int(self._random.choice(len(choices), p=weights / weights.sum()))][1]()

    def _one_of(self, things: list[T]) -> T:
        return things[int(self._random.integers(len(things)))]

    def _enable(self, patch: Patch) -> None:
        self.actions["replace" if patch.replace else "enable"] += 1
        self._handles.append(self.machine.livepatch.enable(patch))

    def _disable(self, name: str) -> None:
        self._write_enabled(name, enabled=False, action="disable")

    def _write_enabled(self, name: str, *, enabled: bool, action: str) -> None:
        self.actions[action] += 1
        self._jobs.append((f"{action} {name}", self.machine.livepatch.write_enabled(name, enabled=enabled)))

    def _unload(self, name: str) -> None:
        self.actions["unload"] += 1
        self._jobs.append((f"unload {name}", self.machine.livepatch.unload(name)))

    def _look_at_answers(self) -> None:
        """Take in what livepatch has answered; it may only refuse what a transition has overtaken."""
        for handle in [handle for handle in self._handles if handle.answered()]:
            self._handles.remove(handle)
            self._judge(f"enable {handle.patch.name}", handle.result)
        for what, job in [(what, job) for what, job in self._jobs if job.done]:
            self._jobs.remove((what, job))
            self._judge(what, job.result())

    def _judge(self, what: str, result: int) -> None:
        late = what.startswith(("reverse", "disable")) and result in (-EINVAL, -ENOENT)
        if result == -EBUSY or late:  # the transition ended, or began, between the asking and the doing
            self.refused += 1
        elif result < 0:
            raise StressError(f"{what}: {error_name(result)}, at call {self.machine.calls_done:_}")

    # --- running --------------------------------------------------------------------------------

    def _run(self, *, calls: int | None = None, until: Callable[[], bool] | None = None) -> None:
        report = self.machine.run(calls=calls, until=until)
        if not report.ok:
            raise StressError("\n".join(report.lines()))

    def _quiet(self) -> None:
        """Run until nothing is asked for and no transition is under way."""
        machine, last = self.machine, self.machine.calls_done + _LAST_CALLS
        while not machine.livepatch.is_quiet():
            if machine.calls_done > last:
                stuck = machine.why_stuck()
                raise StressError("\n".join(stuck.lines() if stuck else ["livepatch never gets quiet"]))
            self._run(calls=_CALLS_BETWEEN[1])
        self._look_at_answers()

    def _undo(self) -> None:
        self._quiet()
        while names := list(self.machine.livepatch.facts()):
            self._disable(names[-1])
            self._quiet()
        for name in sorted(self.machine.livepatch.loaded()):
            self._unload(name)
        self._quiet()
