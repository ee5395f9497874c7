"""Comparing kernel logs, but for what depends on when a transition happens to end."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from emu.lab.replay.disagreement import Disagreement
from emu.lab.replay.record import Step
from emu.lab.replay.words import Sentence

_DROPPED = re.compile(
    r"livepatch: klp_try_switch_task: .* is running|\(registers and stack trace left out\)"
    r"|-+\[ cut here \]-+|---\[ end trace [0-9a-f]+ \]---"
)
"""Lines that are not compared: which task runs is chance; of WARNs it is said that they happen, and where."""
_REPEATED = re.compile(
    r"livepatch: klp_try_switch_task: .* (is sleeping on function .*|has an unreliable stack)"
)
"""Lines that come again at every try."""
_COMPLETION = re.compile(
    r"livepatch: '.*': (un)?patching complete|livepatch: '.*': completing (un)?patching transition"
    r"|\S+: post_(un)?patch for .*"
)
_STATE = re.compile(r"  \S+: (own|earlier) state .*")
"""What a callback of a patch with states says next."""
_REWRITES = (
    (re.compile(r"(klp_try_switch_task: \S+):\d+ "), r"\1:PID "),
    (re.compile(r"<[0-9a-f]{16}, "), "<POINTER, "),
    (re.compile(r"WARNING: .*?\bat \S+:\d+ (\w+).*"), r"WARNING: at \1"),
)


def normalised(lines: Sequence[str]) -> list[str]:
    """Return the lines that are compared, without numbers that are another machine's.

    >>> normalised(["livepatch: klp_try_switch_task: a:12 is sleeping on function f"])
    ['livepatch: klp_try_switch_task: a:PID is sleeping on function f']
    """
    kept = []
    for line in lines:
        if not _DROPPED.fullmatch(line):
            for pattern, instead in _REWRITES:
                line = pattern.sub(instead, line)
            kept.append(line)
    return kept


def begins_transition(sentence: Sentence) -> bool:
    """Whether an action may begin a transition, which ends some time later."""
    parts = sentence.parts
    return sentence.kind == "load" or (sentence.kind == "write" and parts["path"].endswith("/enabled"))


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedStep:
    """A step and what was logged in it, normalised."""

    step: Step
    sentence: Sentence
    real: list[str]
    ours: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    fixed: list[str]
    completion: list[str]
    repeated: set[str]

    @staticmethod
    def of(lines: Sequence[str]) -> _Parts:
        """Split: what belongs to the step, what comes when a transition ends, what comes at every try."""
        fixed, completion, repeated, state_goes_to = list[str](), list[str](), set[str](), list[str]()
        for line in lines:
            if _REPEATED.fullmatch(line):
                repeated.add(line)
                continue
            if not _STATE.fullmatch(line):
                state_goes_to = completion if _COMPLETION.fullmatch(line) else fixed
            state_goes_to.append(line)
        return _Parts(fixed=fixed, completion=completion, repeated=repeated)


def judge_logs(steps: Sequence[LoggedStep]) -> Iterator[Disagreement]:
    """Yield what differs. Outside of transitions everything must be equal, step by step."""
    for stretch in _stretches(steps):
        if len(stretch) == 1:
            yield from _judge_whole(stretch[0])
        else:
            yield from _judge_stretch(stretch)


def _stretches(steps: Sequence[LoggedStep]) -> Iterator[list[LoggedStep]]:
    """Yield runs of steps from one that may begin a transition to the one that waits for its end."""
    stretch: list[LoggedStep] = []
    for logged in steps:
        if stretch or begins_transition(logged.sentence):
            stretch.append(logged)
            if logged.sentence.kind == "wait":
                yield stretch
                stretch = []
        else:
            yield [logged]
    if stretch:
        yield stretch


def _judge_whole(logged: LoggedStep) -> Iterator[Disagreement]:
    real, ours = (_without_repeats(lines) for lines in (logged.real, logged.ours))
    if real != ours:
        yield _disagreement(logged, real, ours)


def _without_repeats(lines: list[str]) -> list[str]:
    return [line for line in lines if not _REPEATED.fullmatch(line)]


def _judge_stretch(stretch: list[LoggedStep]) -> Iterator[Disagreement]:
    real = [_Parts.of(logged.real) for logged in stretch]
    ours = [_Parts.of(logged.ours) for logged in stretch]
    same_steps = [parts.completion for parts in real] == [parts.completion for parts in ours]
    for logged, of_real, of_ours in zip(stretch, real, ours, strict=True):
        if same_steps:
            yield from _judge_whole(logged)
        elif of_real.fixed != of_ours.fixed:
            yield _disagreement(logged, of_real.fixed, of_ours.fixed)
    ends = [[line for parts in side for line in parts.completion] for side in (real, ours)]
    if ends[0] != ends[1]:
        yield _disagreement(stretch[-1], *ends, what="dmesg up to here, of the transition's end")
    tries = [sorted({line for parts in side for line in parts.repeated}) for side in (real, ours)]
    if tries[0] != tries[1]:
        yield _disagreement(stretch[-1], *tries, what="dmesg up to here, of tries")


def _disagreement(logged: LoggedStep, real: object, ours: object, *, what: str = "dmesg") -> Disagreement:
    return Disagreement(step=logged.step.number, action=logged.step.action, what=what, real=real, ours=ours)
