"""Two CPUs moved by hand: CPU0 installs, CPU1 calls, and a test says who runs the next instruction."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from emu.build.contents import Call
from emu.ftrace import enabled_functions
from emu.kernel.installer import Job
from emu.lab.machine import Machine
from emu.lab.report import StopReport
from emu.livepatch import Func, Object, Patch
from emu.machine import state as s
from emu.machine.operations import Operation
from emu.machine.state import IRQ_TIMER, ProbeKind, Schedule, Stop
from emu.structs import CONSTANTS, PERCPU, TASK
from tests.exhaustive.at_once import switch_at_once
from tests.exhaustive.schemes import Scheme

CALLS = {
    "mini_leaf": Call(fn="mini_leaf", args=(41,), expected=42),
    "mini_nested": Call(fn="mini_nested", args=(10, 20), expected=32),
    "target_sum": Call(fn="target_sum", args=(3, 4), expected=7),
    "mini_landing": Call(fn="mini_landing", args=(7,), expected=21),
}
PATCHER, CALLER = 0, 1
LONG = 1 << 40


class GuestWentWrongError(Exception):
    """The guest stopped where it must not."""

    def __init__(self, report: StopReport) -> None:
        super().__init__("\n".join(report.lines()))
        self.report = report


class NeverEndsError(AssertionError):
    """The installation waits for something that never comes."""


class Lockstep:
    """A machine of two CPUs at rest: the patch module is in place, nothing is patched, CPU1 is between calls.

    Args:
        scheme: port and entry scheme.
        fetch: how early CPU1 sees text pokes.
        functions: those that CPU1 calls, in turn.
        patched: those that the patch replaces; by default all that are called.
        workers: tasks on CPU1 that make the calls.
        traced: each function has a counting handler from the beginning.
        below: another patch of the same functions is enabled already.
        late: a function of module "target", which is not loaded, to have a replacement for.
        drop: installation steps to leave out from now on.
    """

    def __init__(
        self,
        scheme: Scheme,
        *,
        fetch: str = "stale",
        functions: Sequence[str] = ("mini_leaf", "mini_landing"),
        patched: Sequence[str] | None = None,
        workers: int = 1,
        traced: bool = False,
        below: bool = False,
        late: str = "",
        drop: Sequence[str] = (),
    ) -> None:
        self.machine = machine = Machine(
            arch=scheme.arch, call_ops=scheme.call_ops, cpus=2, workers=workers, users=0, mode="exact",
            schedule="round-robin", fetch=fetch, tick=0, ordering="sc",  # about instruction fetch alone
        )  # fmt: skip
        switch_at_once(machine)
        self.kernel, self.engine = machine.kernel, machine.kernel.engine
        self.functions, covered = tuple(functions), tuple(patched or functions)
        self.engine.set_schedule(Schedule.SCRIPT)
        self.engine.tables.set_probe(machine.kallsyms.address_of("cond_resched"), ProbeKind.BREAK)
        for task in self.kernel.tasks:
            if task.comm.startswith("worker") and task.cpu == PATCHER:
                self.engine.memory.store(task.struct + TASK.offset("state"), CONSTANTS["TASK_DEAD"])
        self.offer(functions)
        self._load_replacements(covered, late)
        self.patch = Patch("again", (self._object(None, covered),))
        self._late = Patch("late", (self._object("target", (late,)),)) if late else self.patch
        self.sites = {
            name: machine.ftrace.sites.locate(machine.kallsyms.address_of(name)) for name in covered
        }
        self.last_operation, self.below, self._scripted = "", below, -1
        self._seen: dict[str, set[bytes]] = {name: set() for name in self.sites}
        self.kernel.installer.on_operation = self._note
        self.handle = 0
        self._sync_answer = 0
        self._rest = machine.kallsyms.address_of("cond_resched")
        self._forget_entries()
        self.call()
        if traced:
            for name in functions:
                self.finish_job(machine.tracing.add(name))
        if below:
            self.finish_job(self._submit_enable(Patch("below", self.patch.objects)))
        self.call()
        self.take_rows()
        self.kernel.installer.dropped = frozenset(drop)

    def offer(self, functions: Sequence[str]) -> None:
        """Have CPU1 call these functions from now on, in turn."""
        kallsyms = self.machine.kallsyms
        owners = (None, *kallsyms.objects())
        found = {name: next(s for o in owners for s in kallsyms.find(o, name)) for name in functions}
        self.kernel.offer_calls([(CALLS[name], symbol.address) for name, symbol in found.items()])

    def _object(self, owner: str | None, functions: Sequence[str]) -> Object:
        find = self.machine.kallsyms.find
        return Object(owner, tuple(Func(name, find("lp", f"lp_{name}")[0].address) for name in functions))

    def _load_replacements(self, functions: Sequence[str], late: str) -> None:
        objects = [Object(None, tuple(Func(name, f"lp_{name}") for name in functions))]
        if late:
            objects.append(Object("target", (Func(late, f"lp_{late}"),)))
        handle = self.machine.livepatch.enable(Patch("lp", tuple(objects)))
        self.finish(handle.settled)
        assert handle.result == 0
        handle.disable()
        self.finish(handle.settled)
        self._run([(PATCHER, 2_000)], Stop.SCRIPT)  # its driver goes to sleep

    def _forget_entries(self) -> None:
        """Clear what the breakpoint handler looks in, as after boot: leftovers look like what comes."""
        shield = self.machine.port.tracing.shield
        if shield:
            (symbol,) = self.machine.kallsyms.find(None, shield)
            self.engine.memory.write(symbol.address, bytes(symbol.size))

    def _note(self, operation: Operation) -> None:
        self.last_operation = operation.what

    # --- moving -------------------------------------------------------------------------------

    def _run(self, turns: list[tuple[int, int]], until: Stop) -> None:
        self.engine.script(turns)
        self._scripted = -1
        while True:
            reason = self.engine.run()
            if reason is Stop.STEP:
                self.kernel.installer.step()
            elif reason is until:
                return
            elif reason is not Stop.BREAK:
                raise GuestWentWrongError(self.machine.runner.explain(reason))

    def step(self, cpu: int) -> None:
        """Let ``cpu`` run one instruction; if that asks for an operation, play it."""
        self._run([(cpu, 1)], Stop.SCRIPT)

    def step_and_call(self) -> None:
        """One instruction of the patching CPU, then one whole call on the other."""
        self._run([(PATCHER, 1), (CALLER, LONG)], Stop.BREAK)

    def call(self) -> None:
        """Let CPU1 make one whole call: up to where it is between calls again."""
        self._run([(CALLER, LONG)], Stop.BREAK)

    def let_schedule(self) -> None:
        """Have CPU1's task call ``schedule`` after the call it is in: the way out of every grace period."""
        self.engine.memory.store(self.kernel.percpu[CALLER] + PERCPU.offset("need_resched"), 1)

    def play_one(self) -> None:
        """Let CPU0 run up to where it has played its next operation, or polled once while it waits."""
        if self._scripted != PATCHER:
            self.engine.script([(PATCHER, LONG)])
            self._scripted = PATCHER
        reason = self.engine.run(instructions=self.engine.instructions() + 100)
        if reason is Stop.STEP:
            self.kernel.installer.step()
        elif reason is not Stop.INSTRUCTIONS:
            raise GuestWentWrongError(self.machine.runner.explain(reason))

    def answer_sync(self) -> None:
        """Let CPU1 take the sync interrupt, if it can now, and come back to where it is."""
        pc = self._pc()
        self.step(CALLER)
        if self.engine.blocks[CALLER, s.CPU_PENDING]:
            return
        if self._sync_answer:
            self._run([(CALLER, self._sync_answer)], Stop.SCRIPT)
        else:
            while self._pc() != pc:
                self.step(CALLER)
                self._sync_answer += 1
        assert self._pc() == pc, "the way through the interrupt is always as long"

    def go_on_until_served(self) -> None:
        """Let CPU1 go on, by an instruction or an interrupt at a time, until nothing waits for it."""
        for _ in range(5_000):
            if not self.waits_in_vain:
                return
            if self.waits_for_grace:
                if self.between_calls:
                    self.let_schedule()
                self.step(CALLER)
            else:
                self.answer_sync()
        raise AssertionError(f"CPU1 never serves {self.kernel.installer.waiting_for}")

    def _pc(self) -> int:
        return self.engine.read_register(CALLER, self.machine.port.registers.pc)

    def step_into(self, symbol: str) -> None:
        """Let CPU1 go on to the first instruction of the newest text that is called ``symbol``."""
        kallsyms = self.machine.kallsyms
        found = [kallsyms.find(owner, symbol) for owner in (None, *kallsyms.objects())]
        address = max(s.address for symbols in found for s in symbols)
        for _ in range(1_000):
            if self._pc() == address:
                return
            self.step(CALLER)
        raise AssertionError(f"CPU1 does not come by {symbol}")

    def preempt(self) -> None:
        """Let CPU1's timer take it from its task, and the next task come to between two calls."""
        self.engine.interrupt(CALLER, IRQ_TIMER)
        self.call()

    @property
    def between_calls(self) -> bool:
        """Whether CPU1 is between two calls."""
        return self._pc() == self._rest

    def keep_waiting(self, rounds: int) -> None:
        """Give up on an installation that has taken so many rounds."""
        if rounds > 20_000:
            installer = self.kernel.installer
            raise NeverEndsError(f"never ends: waits in {installer.waiting_for!r} for {installer.unmet()}")

    @property
    def waits_in_vain(self) -> bool:
        """Whether the installation waits for something that only CPU1 can bring about."""
        return bool(self.kernel.installer.unmet())

    @property
    def waits_for_grace(self) -> bool:
        """Whether that is a grace period."""
        return self.waits_in_vain and not self.kernel.installer.waiting_for.startswith(
            ("sync after", "ftrace_sync")
        )

    # --- installing ---------------------------------------------------------------------------

    def submit_enable(self) -> Job[int]:
        """Ask for the patch to be enabled."""
        return self._submit_enable(self.patch)

    def submit_enable_late(self) -> Job[int]:
        """Ask for the patch of the late module's function to be enabled."""
        return self._submit_enable(self._late)

    def _submit_enable(self, patch: Patch) -> Job[int]:
        def body() -> int:
            self.handle = self.machine.livepatch.core.enable(patch, number=1)
            return min(self.handle, 0)

        return self.kernel.installer.submit("enable", body)

    def submit_disable(self) -> Job[int]:
        """Ask for the patch to be disabled and its module unloaded."""

        def body() -> int:
            core = self.machine.livepatch.core
            return core.disable(self.handle) or core.unload(self.handle)

        return self.kernel.installer.submit("disable", body)

    def finish_job(self, job: Job[int]) -> None:
        """Play the rest of ``job``, which must succeed."""
        self.finish(lambda: job.done)
        assert job.result() == 0

    def finish(self, done: Callable[[], bool]) -> None:
        """Play on until ``done``, CPU1 making calls and scheduling as needed."""
        for _ in range(10_000):
            if done():
                return
            self._run([(PATCHER, 200)], Stop.SCRIPT)
            if self.waits_in_vain:
                self.let_schedule()
                self.call()
        raise AssertionError("the installation never ends")

    # --- looking ------------------------------------------------------------------------------

    def take_rows(self) -> tuple[NDArray[np.void], NDArray[np.void]]:
        """Return the calls and events since the last time."""
        return self.engine.take_rows()

    def text_seen(self) -> dict[str, bytes]:
        """Return the bytes that CPU1 fetches at each patched site."""
        size = self.machine.port.site.poke_size
        return {name: self.engine.fetch.seen_by(CALLER, site, size) for name, site in self.sites.items()}

    def look(self) -> None:
        """Note what CPU1 fetches at each patched site now."""
        for name, code in self.text_seen().items():
            self._seen[name].add(code)

    def take_seen(self) -> dict[str, set[bytes]]:
        """Return what CPU1 could fetch at each patched site since the last time."""
        seen, self._seen = self._seen, {name: set() for name in self.sites}
        return seen

    def text_held(self) -> dict[str, bytes]:
        """Return the bytes that memory holds at each patched site."""
        size = self.machine.port.site.poke_size
        return {name: self.engine.memory.read(site, size) for name, site in self.sites.items()}

    def live_objects(self) -> list[tuple[str, int]]:
        """Return name and size of everything on the heap, and how many text blocks are in use."""
        heap = sorted((found.what, found.size) for found in self.kernel.heap.live())
        return heap + [(area.area.name, len(area.live())) for area in self.machine.text_areas]

    def registered(self) -> list[str]:
        """Return the sites that are on, as ``enabled_functions`` shows them."""
        return enabled_functions(self.machine.ftrace)

    def complaints(self) -> list[str]:
        """Return what went wrong without stopping the guest."""
        found = []
        if self.machine.bad_results():
            found.append(f"{self.machine.bad_results()} calls with a wrong result, register or stack pointer")
        if self.kernel.warnings():
            found.append(f"{self.kernel.warnings()} WARNs")
        return found
