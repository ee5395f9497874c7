"""Running a scenario from end to end, and everything there is to say about it."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from emu.analysis import Report, report_of
from emu.build.manifest import load_manifest
from emu.errors import UnknownNameError
from emu.kernel.installer import Job
from emu.lab.machine import Machine
from emu.lab.patching import PatchHandle
from emu.lab.report import StopReport
from emu.lab.scenario import Scenario, Step
from emu.machine.state import Stop
from emu.trace.run import Run

SCHEMA = "klpemu.run/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What a step of the scenario did.

    Args:
        step: the step.
        result: 0 or a negative errno.
        cycle: furthest clock when it was complete.
        sites: first bytes of each affected site then, by function.
        reasons: why functions of a patch that was refused can't be patched.
    """

    step: Step
    result: int
    cycle: int
    sites: dict[str, bytes]
    reasons: tuple[str, ...] = ()

    @property
    def answer(self) -> str:
        """``ok`` or the errno's name."""
        return "ok" if self.result >= 0 else f"-{errno.errorcode.get(-self.result, str(-self.result))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A finished scenario.

    Args:
        scenario: what ran.
        run: what it recorded.
        steps: what each step did.
        stopped: why the machine stopped.
        bad_results: calls that came back with a wrong result, register or stack.
        sites_before: first bytes of each affected site before anything was done.
        out: where the recording is; None: nowhere.
    """

    scenario: Scenario
    run: Run
    steps: list[StepResult]
    stopped: StopReport
    bad_results: int
    sites_before: dict[str, bytes]
    facts: Report
    out: Path | None = None

    @property
    def ok(self) -> bool:
        """Whether the guest did nothing wrong and every step was done."""
        done = all(step.result >= 0 for step in self.steps)
        clean = not self.bad_results and not self.run.meta["warnings"] and self.facts["audit"]["passed"]
        return self.stopped.ok and done and clean

    def to_json(self) -> dict[str, object]:
        """Return the JSON document of ``klpemu run`` (schema ``klpemu.run/1``)."""
        meta, facts = self.run.meta, self.facts
        return {
            "schema": SCHEMA,
            "ok": self.ok,
            "scenario": self.scenario.name,
            "arch": meta["arch"],
            "image": meta["image"],
            "cpus": meta["cpus"],
            "seed": meta["seed"],
            "mode": meta["mode"],
            "timing": meta["timing"],
            "ordering": meta["ordering"],
            "schedule": meta["schedule"],
            "fetch": meta["fetch"],
            "calls": meta["calls"],
            "instructions": meta["instructions"],
            "cycles": meta["cycles"],
            **facts,
            "warnings": meta["warnings"],
            "bad_results": self.bad_results,
            "sites_before": {name: code.hex(" ") for name, code in self.sites_before.items()},
            "steps": [
                {
                    "after_calls": step.step.after_calls,
                    step.step.action: step.step.subject,
                    "result": step.answer,
                    "reasons": list(step.reasons),
                    "cycle": step.cycle,
                    "sites": {name: code.hex(" ") for name, code in step.sites.items()},
                }
                for step in self.steps
            ],
            "stopped": {
                "reason": self.stopped.reason.name.lower(),
                "ok": self.stopped.ok,
                "what": self.stopped.what,
                "cpu": self.stopped.cpu,
                "task": self.stopped.task,
                "where": self.stopped.where,
                "report": [] if self.stopped.ok else self.stopped.lines(),
            },
            "log": list(self.run.log),
            "digest": meta["digest"],
            "out": str(self.out) if self.out is not None else None,
        }


def run_scenario(
    scenario: Scenario, *, out: Path | None = None, progress: Callable[[int], None] = lambda _calls: None
) -> Outcome:
    """Run ``scenario`` to its end, or to where the guest goes wrong.

    Args:
        scenario: what to run.
        out: directory to record to; None: in memory.
        progress: told from time to time how many calls have completed.

    Raises:
        EmuError: the scenario names something that does not exist, or ``out`` can't be written.
    """
    with machine_of(scenario, None) as machine:
        _check_steps(machine, scenario.steps)
        if out is not None:
            machine.record_to(out)
        watched = _watched_functions(machine, scenario)
        before = {name: machine.site_bytes(name) for name in watched}
        steps: list[StepResult] = []
        stopped = StopReport(reason=Stop.CALLS, ok=True)
        for step in (*scenario.steps, None):
            target = scenario.calls if step is None else min(step.after_calls, scenario.calls)
            stopped = _run_to(machine, target, progress)
            if step is None or not stopped.ok:
                break
            result, stopped = _do(machine, step, watched)
            if result is not None:
                steps.append(result)
            if not stopped.ok:
                break
        bad_results = machine.bad_results()
        run = machine.finish()
    return Outcome(
        scenario=scenario, run=run, steps=steps, stopped=stopped, bad_results=bad_results,
        sites_before=before, facts=report_of(run), out=out,
    )  # fmt: skip


def machine_of(scenario: Scenario, out: Path | None) -> Machine:
    """Return a booted machine as ``scenario`` describes it."""
    manifest = load_manifest(scenario.image).extended(scenario.modules, scenario.patches)
    return Machine(
        manifest, arch=scenario.arch, cpus=scenario.cpus, workers=scenario.workers,
        users=scenario.users, seed=scenario.seed, mode=scenario.mode, schedule=scenario.schedule,
        fetch=scenario.fetch, quantum=scenario.quantum, tick=scenario.tick, call_ops=scenario.call_ops,
        far_modules=scenario.far_modules, out=out,
    )  # fmt: skip


def _check_steps(machine: Machine, steps: Sequence[Step]) -> None:
    """Raise before anything runs if a step names what will not be there, or code that can't be compiled."""
    enabled: list[str] = []
    for at, step in enumerate(steps):
        if step.action == "load":
            machine.loader.code_of(step.subject)
        elif step.action == "enable":
            machine.livepatch.check(step.subject)
            enabled.append(step.subject)
        elif step.action == "disable" and step.subject not in enabled:
            raise UnknownNameError("enabled patch", step.subject, sorted(enabled))
        elif step.action == "unload" and step.subject not in machine.manifest.modules:
            raise UnknownNameError("module", step.subject, sorted(machine.manifest.modules))
        elif step.action in ("trace", "untrace") and all(before.action != "load" for before in steps[:at]):
            machine.tracing.check(step.subject)


_CHUNK = 250_000
"""Calls between two reports of progress."""


def _run_to(machine: Machine, calls: int, progress: Callable[[int], None]) -> StopReport:
    report = StopReport(reason=Stop.CALLS, ok=True)
    while report.ok and machine.calls_done < calls:
        report = machine.run(calls=min(calls - machine.calls_done, _CHUNK))
        progress(machine.calls_done)
    return report


def _do(machine: Machine, step: Step, watched: list[str]) -> tuple[StepResult | None, StopReport]:
    """Do one step; its result is None when the machine stopped before it was complete."""
    deed = _start(machine, step)
    handle = deed if isinstance(deed, PatchHandle) else None
    stopped = machine.run(until=lambda: _is_done(deed))
    if not _is_done(deed):
        return None, stopped
    try:
        code = deed.result if isinstance(deed, PatchHandle) else deed.result()
    except (LookupError, AssertionError) as error:
        return None, StopReport(reason=Stop.FAULT, ok=False, what=_broken(step, error))
    return StepResult(
        step=step,
        result=code,
        cycle=machine.furthest_clock(),
        sites={name: machine.site_bytes(name) for name in watched},
        reasons=() if handle is None else handle.reasons,
    ), stopped


def _broken(step: Step, error: Exception) -> str:
    said = f"{type(error).__name__}: {error}"
    return f"{step.action} {step.subject} met a kernel structure that can't be; the guest broke it ({said})"


def _start(machine: Machine, step: Step) -> PatchHandle | Job[int]:
    actions: dict[str, Callable[[str], PatchHandle | Job[int]]] = {
        "enable": machine.livepatch.enable,
        "disable": machine.livepatch.disable,
        "load": machine.load,
        "unload": machine.unload,
        "trace": machine.tracing.add,
        "untrace": machine.tracing.remove,
    }
    return actions[step.action](step.subject)


def _is_done(deed: PatchHandle | Job[int]) -> bool:
    return deed.settled() if isinstance(deed, PatchHandle) else deed.done


def _watched_functions(machine: Machine, scenario: Scenario) -> list[str]:
    """Return the kernel functions that the scenario patches or traces, sorted."""
    wanted = set()
    for step in scenario.steps:
        if step.action in ("trace", "untrace"):
            wanted.add(step.subject)
        elif step.action == "enable" and step.subject in machine.manifest.patches:
            for functions in machine.manifest.patches[step.subject].objects.values():
                wanted |= functions.keys()
    return sorted(wanted & machine.kernel.image.sites.keys())
