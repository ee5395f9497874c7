"""Running a machine on until one of several limits, and telling why it stopped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Protocol

from emu.kernel.kernel import Kernel
from emu.lab.patience import Patience, TransitionPatience
from emu.lab.report import NORMAL, Reporter, StopReport, stuck_report
from emu.lab.scenario import Scenario
from emu.lab.stuck import Stuck, WhyStuck
from emu.machine.engine import UNLIMITED
from emu.machine.memory import GuestAddressError
from emu.machine.state import Stop


class Watcher(Protocol):
    """Somebody who has the engine stop at certain places, looks, and lets it run on."""

    def watched(self) -> AbstractContextManager[None]:
        """Have the engine stop there."""
        ...

    def is_here(self) -> bool:
        """Whether it has stopped there."""
        ...

    def note(self) -> None:
        """Look."""
        ...


class Runner:
    """Runs one machine.

    Args:
        kernel: the machine.
        scenario: what it was made as: its tick, and how patient one is with transitions.
        transition: tells the livepatch transition under way from others; None while there is none.
        why_stuck: tells what that waits for.
        reporter: explains stops.
        watchers: who looks at it while it runs.
        on_stop: called whenever it stops.
    """

    def __init__(
        self,
        kernel: Kernel,
        scenario: Scenario,
        *,
        transition: Callable[[], object | None],
        why_stuck: WhyStuck,
        reporter: Reporter,
        watchers: Sequence[Watcher],
        on_stop: Callable[[], None],
    ) -> None:
        self._kernel, self._scenario, self._transition = kernel, scenario, transition
        self._why_stuck, self._reporter = why_stuck, reporter
        self._watchers, self._on_stop = watchers, on_stop

    def run(
        self,
        *,
        calls: int | None,
        until: Callable[[], bool] | None,
        instructions: int | None,
        cycles: int | None,
    ) -> StopReport:
        """Run on until one of the limits, see `Machine.run`; None: that is no limit."""
        kernel, engine = self._kernel, self._kernel.engine
        target = UNLIMITED if calls is None else engine.calls_done() + calls
        budget = UNLIMITED if instructions is None else engine.instructions() + instructions
        deadline = UNLIMITED if cycles is None else kernel.furthest_clock() + cycles
        bounded = instructions is not None or cycles is not None
        waits = not bounded and calls is None
        patience = Patience(kernel, calls=calls is not None, tick=self._scenario.tick)
        transition = TransitionPatience(
            kernel.installer.jiffies, self._transition, seconds=self._scenario.patience
        )
        with ExitStack() as watched:
            for watcher in self._watchers:
                watched.enter_context(watcher.watched())
            while until is None or not until():
                look = min(budget, patience.next_look())
                reason = engine.run(calls=target, instructions=look, cycles=deadline)
                if reason is Stop.STEP:
                    patience.step()
                    try:
                        kernel.installer.step()
                    except GuestAddressError as error:
                        return self.explain(Stop.FAULT, broken=error)
                    if waits and kernel.installer.idle and transition.is_out():
                        return self.explain(Stop.INSTRUCTIONS, stuck=self._why_stuck.ask())
                elif reason is Stop.BREAK and self._noted():
                    pass
                elif reason is not Stop.INSTRUCTIONS:
                    return self.explain(reason, asked=reason is Stop.CYCLES)
                elif engine.instructions() >= budget:
                    return self.explain(reason, asked=True)
                elif patience.is_out() and not bounded:
                    return self.explain(reason, nowhere_for=patience.passed())
            return self.explain(Stop.BREAK)

    def _noted(self) -> bool:
        """Whether the engine has stopped for a watcher, who has looked then."""
        watcher = next((watcher for watcher in self._watchers if watcher.is_here()), None)
        if watcher is not None:
            watcher.note()
        return watcher is not None

    def explain(
        self,
        reason: Stop,
        *,
        asked: bool = False,
        nowhere_for: int = 0,
        broken: GuestAddressError | None = None,
        stuck: Stuck | None = None,
    ) -> StopReport:
        """Return the report of a stop that has just happened.

        Args:
            reason: the engine's word for it.
            asked: it is what the caller wanted, whatever the engine calls it.
            nowhere_for: instructions since the guest last got anywhere.
            broken: where a kernel structure led out of memory.
            stuck: the transition that has taken too long.
        """
        if not self._kernel.engine.settle() and (asked or reason in NORMAL):
            reason, asked = Stop.FAULT, False
        self._on_stop()
        if reason in NORMAL or asked:
            return StopReport(reason=reason, ok=True)
        if stuck is not None:
            return stuck_report(stuck, seconds=self._scenario.patience)
        if broken is not None:
            return self._reporter.broken_structure(broken)
        return self._reporter.report(reason, nowhere_for=nowhere_for)
