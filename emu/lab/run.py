"""Running a scenario from end to end, and everything there is to say about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from emu.analysis import Report, report_of
from emu.build.manifest import load_manifest
from emu.kernel.errno import error_name
from emu.kernel.installer import Job, done_job
from emu.lab.interrupts import RunInterruptedError, noted_interrupts
from emu.lab.machine import Machine
from emu.lab.patching import PatchHandle
from emu.lab.rehearsal import rehearse
from emu.lab.report import StopReport
from emu.lab.scenario import Scenario
from emu.lab.start_task import start_tasks
from emu.lab.step import Step
from emu.lab.story import Moment, story
from emu.lab.wrong_results import WrongResult
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
        text: what the file held that it read.
        reasons: why functions can't be patched, of a patch or a module that was refused for it.
    """

    step: Step
    result: int
    cycle: int
    sites: dict[str, bytes]
    text: str | None = None
    reasons: tuple[str, ...] = ()

    @property
    def answer(self) -> str:
        """``ok`` or the errno's name."""
        return "ok" if self.result >= 0 else error_name(self.result)

    @property
    def texts(self) -> dict[str, str]:
        """``text``: what was written or read, if something was."""
        text = self.step.text if self.step.action == "write" else self.text
        return {} if text is None else {"text": text}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A finished scenario.

    Args:
        scenario: what ran.
        run: what it recorded.
        steps: what each step did.
        stopped: why the machine stopped.
        bad_results: calls that came back with a wrong result, register or stack.
        wrong_results: the first of them.
        sites_before, sites_at_end: first bytes of each affected site before anything is done, and in the end.
        story: what led to the first thing that went wrong.
        out: where the recording is; None: nowhere.
    """

    scenario: Scenario
    run: Run
    steps: list[StepResult]
    stopped: StopReport
    bad_results: int
    wrong_results: tuple[WrongResult, ...]
    sites_before: dict[str, bytes]
    sites_at_end: dict[str, bytes]
    facts: Report
    story: tuple[Moment, ...] = ()
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
            "defect": self.scenario.defect,
            "arch": meta["arch"],
            "flavour": self.scenario.flavour,
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
            "wrong_results": [asdict(wrong) for wrong in self.wrong_results],
            "sites_before": {name: code.hex(" ") for name, code in self.sites_before.items()},
            "sites_at_end": {name: code.hex(" ") for name, code in self.sites_at_end.items()},
            "steps": [
                {
                    "after_calls": step.step.after_calls,
                    step.step.action: step.step.subject,
                    **step.texts,
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
            "story": [asdict(moment) for moment in self.story],
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
        RunInterruptedError: Ctrl-C came; ``out`` holds all calls until then.
    """
    scenario = scenario.on_its_port()
    with machine_of(scenario, None) as machine:
        rehearse(machine, scenario)
        if out is not None:
            machine.record_to(out)
        watched = _watched_functions(machine, scenario)
        before = {name: machine.site_bytes(name) for name in watched}
        with noted_interrupts() as interrupted:

            def run_on(calls: int | None, done: Callable[[], bool]) -> StopReport:
                report = machine.run(calls=calls, until=lambda: done() or interrupted())
                progress(machine.calls_done)
                if interrupted():
                    raise RunInterruptedError(out, len(machine.recording.calls))
                return report

            steps, stopped = _play(machine, scenario, watched, run_on)
        at_end = {name: machine.site_bytes(name) for name in watched}
        run = machine.recording.finish()
        facts = report_of(run)  # before anybody can replace the run
        told = story(run, stopped, freed=machine.kernel.heap.what_was_at)
    return Outcome(
        scenario=scenario, run=run, steps=steps, stopped=stopped, bad_results=machine.bad_results(),
        wrong_results=tuple(machine.wrong_results.noted), sites_before=before, sites_at_end=at_end,
        facts=facts, story=tuple(told), out=out,
    )  # fmt: skip


def machine_of(scenario: Scenario, out: Path | None) -> Machine:
    """Return a booted machine as ``scenario`` describes it."""
    manifest = load_manifest(scenario.image).extended(scenario.modules, scenario.patches)
    return Machine(
        manifest, arch=scenario.arch, cpus=scenario.cpus, workers=scenario.workers,
        users=scenario.users, seed=scenario.seed, mode=scenario.mode, timing=scenario.timing,
        schedule=scenario.schedule, fetch=scenario.fetch, ordering=scenario.memory_ordering,
        quantum=scenario.quantum, tick=scenario.tick, call_ops=scenario.call_ops,
        far_modules=scenario.far_modules, spare_tasks=scenario.slots, tickless=scenario.tickless,
        patience=scenario.patience, defect=scenario.defect, flavour=scenario.flavour, out=out,
    )  # fmt: skip


_CHUNK = 250_000
"""Calls between two reports of progress."""

_RunOn = Callable[[int | None, Callable[[], bool]], StopReport]
"""(calls, done): run for so many calls, or until it is done."""


def _play(
    machine: Machine, scenario: Scenario, watched: list[str], run_on: _RunOn
) -> tuple[list[StepResult], StopReport]:
    """Make the scenario's calls and do its steps, as far as the machine gets."""
    steps: list[StepResult] = []
    for step in scenario.steps:
        stopped = _run_to(machine, min(step.after_calls, scenario.calls), run_on)
        if stopped.ok:
            result, stopped = _do(machine, scenario, step, watched, run_on)
            steps += [result] if result is not None else []
        if not stopped.ok:
            return steps, stopped
    return steps, _run_to(machine, scenario.calls, run_on)


def _run_to(machine: Machine, calls: int, run_on: _RunOn) -> StopReport:
    report = StopReport(reason=Stop.CALLS, ok=True)
    while report.ok and machine.calls_done < calls:
        report = run_on(min(calls - machine.calls_done, _CHUNK), lambda: False)
    return report


def _do(
    machine: Machine, scenario: Scenario, step: Step, watched: list[str], run_on: _RunOn
) -> tuple[StepResult | None, StopReport]:
    """Do one step; its result is None when the machine stopped before it was complete."""
    text = machine.files.read(step.subject) if step.action == "read" else None
    deed = done_job("read", min(text, 0)) if isinstance(text, int) else _start(machine, scenario, step)
    handle = deed if isinstance(deed, PatchHandle) else None

    def is_done() -> bool:
        if isinstance(deed, PatchHandle):
            return deed.settled() if step.wait else deed.answered()
        waits = step.action == "write" and step.wait
        return deed.done and (not waits or machine.livepatch.is_quiet())

    stopped = run_on(None, is_done)
    if not is_done():
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
        text=text if isinstance(text, str) else None,
        reasons=_reasons(machine, step, handle),
    ), stopped


def _reasons(machine: Machine, step: Step, handle: PatchHandle | None) -> tuple[str, ...]:
    if step.action == "load":
        return machine.livepatch.refusals.get(step.subject, ())
    return () if handle is None else handle.reasons


def _broken(step: Step, error: Exception) -> str:
    said = f"{type(error).__name__}: {error}"
    return f"{step} met a kernel structure that can't be; the guest broke it ({said})"


def _start(machine: Machine, scenario: Scenario, step: Step) -> PatchHandle | Job[int]:
    def unload(name: str) -> Job[int]:
        is_patch = name in machine.manifest.patches
        return machine.livepatch.unload(name) if is_patch else machine.unload(name)

    def start(name: str) -> Job[int]:
        start_tasks(machine, scenario.tasks[name])
        return done_job(f"start {name}")

    actions: dict[str, Callable[[str], PatchHandle | Job[int]]] = {
        "enable": machine.livepatch.enable,
        "disable": machine.livepatch.disable,
        "load": machine.load,
        "unload": unload,
        "trace": machine.tracing.add,
        "untrace": machine.tracing.remove,
        "start": start,
        "write": lambda path: machine.files.write(path, step.text),
        "read": lambda path: done_job(f"read {path}"),
    }
    return actions[step.action](step.subject)


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
