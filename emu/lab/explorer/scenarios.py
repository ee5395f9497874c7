"""The livepatch scenarios: what the patching CPU does, and what calls must run meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from emu.lab.explorer.replay import Replay
from emu.lab.explorer.world import patch_named

ORIGINAL = "original"
_FIRST, _SECOND, _OTHER = "livepatch-1", "livepatch-2", "livepatch-other"


def _nothing(_replay: Replay) -> None:
    """Begin with no patch."""


def _with_first(replay: Replay) -> None:
    """Begin with the first patch enabled."""
    replay.klp.enable(patch_named(_FIRST))


def _with_both(replay: Replay) -> None:
    """Begin with the second patch on top of the first."""
    replay.klp.enable(patch_named(_FIRST))
    replay.klp.enable(patch_named(_SECOND))


def _enable(name: str, *, replace: bool = False) -> Callable[[Replay], None]:
    def body(replay: Replay) -> None:
        replay.klp.enable(patch_named(name, replace=replace))
        replay.settled()

    return body


def _disable(replay: Replay, name: str = _FIRST) -> None:
    replay.klp.disable(replay.klp.find(name))
    replay.settled()


def _disable_second(replay: Replay) -> None:
    _disable(replay, _SECOND)
    replay.klp.unload(replay.klp.find(_SECOND))


def _unload(replay: Replay) -> None:
    _disable(replay)
    replay.klp.unload(replay.klp.find(_FIRST))


def _replace(replay: Replay) -> None:
    _enable(_SECOND, replace=True)(replay)
    replay.klp.unload(replay.klp.find(_FIRST))


def _reverse(replay: Replay) -> None:
    replay.klp.enable(patch_named(_FIRST))
    replay.under_way()
    replay.klp.disable(replay.klp.find(_FIRST))  # how it ends is what "disable" shows


@dataclass(frozen=True, slots=True, kw_only=True)
class Livepatching:
    """One scenario.

    Args:
        name, description: for people.
        setup: what has been done before, with every task switched.
        body: what the patching CPU does.
        side: on which side of the transition tasks begin.
        versions: what a task must run, by its side.
        items: what a dispatching CPU does; the last is the whole of it, those before are parts of it that are
            looked at first, so that a counterexample is a short one.
    """

    name: str
    description: str
    setup: Callable[[Replay], None] = _nothing
    body: Callable[[Replay], None]
    side: int = 0
    versions: Mapping[int, str] = field(default_factory=dict)
    items: tuple[tuple[str, ...], ...] = (("call",), ("exit", "call"), ("call", "exit", "call"))


LIVEPATCHING: Mapping[str, Livepatching] = MappingProxyType(
    {
        scenario.name: scenario
        for scenario in (
            Livepatching(
                name="enable",
                description="a first patch is enabled: handler, site, transition",
                body=_enable(_FIRST),
                versions={0: ORIGINAL, 1: _FIRST},
            ),
            Livepatching(
                name="disable",
                description="the only patch is disabled: the site goes off, the klp_ops is freed",
                setup=_with_first,
                body=_disable,
                side=1,
                versions={0: ORIGINAL, 1: _FIRST},
            ),
            Livepatching(
                name="reverse",
                description="enabling a patch is turned round while tasks switch",
                body=_reverse,
                versions={0: ORIGINAL, 1: _FIRST},
                items=(("call",), ("exit", "call"), ("exit", "exit", "call")),
            ),
            Livepatching(
                name="stacked-enable",
                description="a second patch goes on top of the first: no site changes",
                setup=_with_first,
                body=_enable(_SECOND),
                versions={0: _FIRST, 1: _SECOND},
            ),
            Livepatching(
                name="stacked-disable",
                description="the second of two patches is disabled and unloaded: no site changes",
                setup=_with_both,
                body=_disable_second,
                side=1,
                versions={0: _FIRST, 1: _SECOND},
            ),
            Livepatching(
                name="replace",
                description="a second patch replaces the first, which is then unloaded",
                setup=_with_first,
                body=_replace,
                versions={0: _FIRST, 1: _SECOND},
            ),
            Livepatching(
                name="replace-nop",
                description="a patch of another function replaces the first: a nop brings the original back",
                setup=_with_first,
                body=_enable(_OTHER, replace=True),
                versions={0: _FIRST, 1: ORIGINAL},
            ),
            Livepatching(
                name="unpatch-and-free",
                description="the only patch is disabled and its module unloaded",
                setup=_with_first,
                body=_unload,
                side=1,
                versions={0: ORIGINAL, 1: _FIRST},
            ),
        )
    }
)
"""By name."""
