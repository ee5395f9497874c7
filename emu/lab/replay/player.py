"""Doing on a machine what was done to a real kernel, step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from emu.errors import EmuError
from emu.lab.machine import Machine
from emu.lab.replay.acts import PATIENCE, Acts
from emu.lab.replay.disagreement import Disagreement
from emu.lab.replay.helper_lines import as_far_as_told
from emu.lab.replay.log_judge import LoggedStep, begins_transition, judge_logs, normalised
from emu.lab.replay.observer import Observer, sorted_tree
from emu.lab.replay.outcome import Outcome
from emu.lab.replay.plan import Plan
from emu.lab.replay.record import Record, RecordError, Step, parse_record
from emu.lab.replay.session import Session
from emu.lab.replay.words import Sentence
from emu.lab.report import GuestStoppedError
from emu.lab.userland import NoEndError


def boot(arch: str) -> Machine:
    """Return the machine that records are replayed on: two CPUs, and no tasks but those of the record.

    It is configured as the kernel of the records is: with KPROBES_ON_FTRACE on every port.
    """
    machine = Machine("reference", arch=arch, cpus=2, workers=0, users=0, spare_tasks=16)
    machine.ftrace_users.kprobes.on_ftrace = True
    return machine


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
        RecordError: it is no record, or a step is not understood or can't be done; `play` goes on then.
    """
    outcome = play(scenario, arch=arch, machine=machine, origin=origin)
    if outcome.unplayed:
        raise outcome.unplayed[0]
    return [*outcome.disagreements]


def play(
    scenario: Mapping[str, object] | Record,
    *,
    arch: str = "x86_64",
    machine: Callable[[str], Machine] = boot,
    origin: str = "scenario",
) -> Outcome:
    """Do what a record says on a machine as far as that is possible, and tell what came of it.

    A step that is not understood or can't be done is left out; the rest is done, and compared, without it.

    Args:
        scenario, arch, machine, origin: see `replay`.

    Raises:
        RecordError: it is no record.
    """
    record = scenario if isinstance(scenario, Record) else parse_record(scenario, origin=origin)
    plan = Plan(record)
    with machine(arch) as made:
        session = Session(made, callers=plan.cast.callers, spinners=plan.cast.spinners)
        player = _Player(record, plan, session)
        found = sorted(player.play(), key=lambda disagreement: disagreement.step)
    return Outcome(
        disagreements=tuple(found), unplayed=tuple(player.unplayed), notes=tuple(plan.notes()),
        played=player.played, steps=len(record.steps),
    )  # fmt: skip


class _Player:
    def __init__(self, record: Record, plan: Plan, session: Session) -> None:
        self._record, self._plan, self._session = record, plan, session
        self._observer = Observer(record, plan, session)
        self._acts = Acts(record, plan, session, self._observer)
        self.unplayed: list[RecordError] = []
        self.played = 0

    def play(self) -> Iterator[Disagreement]:
        logged: list[LoggedStep] = []
        for step in self._record.steps:
            try:
                yield from self._step(step, logged)
            except (GuestStoppedError, NoEndError) as error:  # nothing can go on after that
                self.unplayed.append(
                    self._record.error(step, f"{error}; what follows can't be played, either")
                )
                break
            except EmuError as error:
                self._cannot(step, error)
                self._session.log_since()
        yield from judge_logs(logged)

    def _cannot(self, step: Step, error: EmuError) -> None:
        known = isinstance(error, RecordError)
        self.unplayed.append(error if known else self._record.error(step, str(error)))  # type: ignore[arg-type]

    def _step(self, step: Step, logged: list[LoggedStep]) -> Iterator[Disagreement]:
        sentence = self._plan.sentence(step)
        returned = self._acts.do(step, sentence)
        self.played += 1
        if begins_transition(sentence) or _tells_an_end(step):
            self._end_where_it_ended(step)
        if step.returned is not None and returned != step.returned:
            yield self._disagreement(step, "returned", step.returned, returned)
        real, ours = as_far_as_told(normalised(step.dmesg), normalised(self._session.log_since()))
        logged.append(LoggedStep(step=step, sentence=sentence, real=real, ours=ours))
        for key, value in self._observer.in_order(step, sentence):
            try:
                yield from self._observe(step, sentence, key, value)
            except (GuestStoppedError, NoEndError):
                raise
            except EmuError as error:
                self._cannot(step, error)
        self._observer.replies.clear()

    def _disagreement(self, step: Step, what: str, real: object, ours: object) -> Disagreement:
        return Disagreement(step=step.number, action=step.action, what=what, real=real, ours=ours)

    # --- the ends of transitions ----------------------------------------------------------------

    def _end_where_it_ended(self, step: Step) -> None:
        """Let a transition that was over on the real kernel end here, too, before anybody looks."""
        tree = step.observed.get("livepatch")
        over = _tells_an_end(step) or (isinstance(tree, dict) and not _in_transition(tree))
        if over and self._session.in_transition:
            self._session.await_transition(PATIENCE)

    def _observe(self, step: Step, sentence: Sentence, key: str, value: object) -> Iterator[Disagreement]:
        real, ours = self._observer.look(step, key, value)
        if key.startswith("livepatch") and begins_transition(sentence):
            real = self._but_for_time(step, real, ours)
        if real != ours:
            yield self._disagreement(step, key, real, ours)

    def _but_for_time(self, step: Step, real: object, ours: object) -> object:
        """Return the real kernel's tree as it was when the transitions that are over here were over there."""
        if not isinstance(real, dict) or not isinstance(ours, dict):
            return real
        ending = _in_transition(real) - _in_transition(ours)
        if not ending:
            return real
        return sorted_tree(self._plan.settled_tree(step))


def _in_transition(tree: Mapping[str, object]) -> set[str]:
    return {
        name for name, patch in tree.items() if isinstance(patch, dict) and patch.get("transition") == "1"
    }


def _tells_an_end(step: Step) -> bool:
    return any(line.endswith("patching complete") for line in step.dmesg)
