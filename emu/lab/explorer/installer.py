"""The patching CPU as a program of the explorer: the operations that livepatch and ftrace play."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from emu.lab.explorer.orders import Track
from emu.lab.explorer.places import Places
from emu.lab.explorer.replay import End, Entry, Trace
from emu.lab.explorer.requests import QUIESCENT, STOP_MACHINE, SYNC, TASKS, ack, request
from emu.machine.operations import Barrier, OpKind
from emu.ordering.columns import READ
from emu.ordering.models import Model
from emu.ordering.tree import Step, Wanted

POISON = 0x6B6B6B6B6B6B6B6B
"""What a load of freed memory gives. Source: include/linux/poison.h, POISON_FREE."""

PRINTK = "printk"
"""What is dropped so that log lines order nothing. Else each is a full barrier: prb_reserve moves the head of
the ring by a compare-and-exchange with return value, which is fully ordered.

Source: kernel/printk/printk_ringbuffer.c, desc_reserve (6.1); Documentation/atomic_t.txt.
"""

_FENCES = {Barrier.WMB: "st", Barrier.RMB: "ld", Barrier.MB: "full", Barrier.DSB: "dsb", Barrier.ISB: "isb"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TextStore:
    """What a text store means to those who fetch: locations and the values that they get."""

    writes: tuple[tuple[Hashable, Any], ...]


class Ended(NamedTuple):
    """How the patching CPU ended."""

    end: End
    note: str


class _State(NamedTuple):
    answers: tuple[int, ...]
    at: int
    """The operation that comes next."""
    part: int
    """How far it is inside the operation: whose answer it waits for; of an atomic one, 1: it has read."""
    requests: int
    track: Track
    sources: tuple[int, ...] = ()
    """What it has stored so far to the word that others copy from."""


class Installer:
    """The program.

    Args:
        model: of memory.
        replayed: (answers) -> what is played when the watched loads give those.
        cpus: the dispatching CPUs, which answer requests.
        relevant: locations that others touch; all else makes no events. None: all.
        text: what each text store means to fetchers; what is not in it means nothing.
        lines: (address, size) -> locations of the code there, for cache maintenance.
        gates: (address) -> the word that has to be stored to before others store to the one there: they
            do that only when they see it set. A load before that can't give what they store: it would come
            after a store that comes after it, in every model, since what follows here waits for the load.
        source: the word whose values others store, to the places that loads are answered for.
        initial: value of each location at first.
        syncs: whether a sync, by its entry's place in the trace, is one that fetchers wait for.
        dropped: steps that are left out by name.
        places: where events' tags are kept.
        done: word that it sets at the end of all; 0: none.
    """

    def __init__(
        self,
        model: Model,
        replayed: Callable[[tuple[int, ...]], Trace],
        *,
        cpus: Iterable[int],
        relevant: frozenset[Hashable] | None,
        text: Callable[[Trace, int], TextStore | None],
        lines: Callable[[int, int], tuple[Hashable, ...]],
        syncs: Callable[[Trace, int], bool],
        gates: Mapping[int, int],
        source: int,
        initial: Mapping[Hashable, Any],
        dropped: frozenset[str],
        places: Places,
        done: int = 0,
    ) -> None:
        self._model, self._replayed, self._cpus = model, replayed, tuple(cpus)
        self._relevant, self._text, self._lines, self._syncs = relevant, text, lines, syncs
        self._dropped, self._places = dropped, places
        self._gates, self._source, self._initial, self._done = gates, source, initial, done

    def start(self) -> Step:
        """Return the first step."""
        return self._run(_State((), 0, 0, 0, Track(self._model)))

    def way(self, state: _State, number: int) -> Step:
        """There are no ways to choose from."""
        raise AssertionError("an installer has no choice")

    def read(self, state: _State, value: Hashable) -> Step:
        """Return the step that begins with the wanted load giving ``value``."""
        track = state.track.copy()
        entry = self._entry(state)
        operation, tag = entry.operation, self._tag(entry)
        kind = operation.kind
        gate = self._gates.get(operation.address)
        if gate is not None and value != self._expected(state, operation.address):
            early = gate not in track.own
            strange = operation.address != gate and value not in (self._initial[self._source], *state.sources)
            if early or strange:
                return Step(events=track.events, state=state, dead=True)
        if kind is OpKind.LOAD:
            _, deps = track.read(operation.address, value, tag)
            track.branch(deps)  # livepatch looks at it and decides
            assert isinstance(value, int)
            known = state._replace(answers=(*state.answers, value), at=state.at + 1, track=track)
            return self._run(known)
        if kind in (OpKind.SYNC, OpKind.WAIT):
            if value != 1:
                return Step(events=track.events, state=state, dead=True)  # it goes on waiting
            _, deps = track.read(ack(state.requests, self._cpus[state.part]), value, tag)
            track.branch(deps)
            return self._run(state._replace(part=state.part + 1, track=track))
        if state.part:  # a count that others still hold: wait until it is 0
            if value != 0:
                return Step(events=track.events, state=state, dead=True)
            _, deps = track.read(operation.address, value, tag)
            track.branch(deps)
            track.barrier("full")
            return self._run(state._replace(at=state.at + 1, part=0, track=track))
        assert isinstance(value, int), "flags and counts are numbers"
        read, deps = track.read(
            operation.address, value, tag, locked=True, unused=kind is not OpKind.ATOMIC_ADD
        )
        if kind is OpKind.ATOMIC_ADD:
            new = (value + operation.value) & (1 << 8 * operation.size) - 1
        elif kind is OpKind.SET_BIT:
            new = value | 1 << operation.value
        else:
            new = value & ~(1 << operation.value)
        track.write(operation.address, new, tag, atomic_read=read, data=deps, locked=True)
        if kind is OpKind.ATOMIC_ADD:
            track.barrier("full")
            if new >> 8 * operation.size - 1:  # nobody holds it, so nobody will let go
                ended = Ended(End.STUCK, "waits for a count that is below zero")
                return Step(events=track.events, state=state, completed=track.completed, final=ended)
            if new:
                return self._want(state._replace(part=1, track=track), operation.address)
        return self._run(state._replace(at=state.at + 1, track=track))

    def key(self, state: _State) -> Hashable:
        """Return what decides which values it can still store."""
        own = frozenset(state.track.own.items())
        return state.answers, state.at, state.part, state.requests, state.sources, own

    def stage(self, state: _State) -> Hashable:
        """Return the operation that comes next."""
        return state.at, state.part

    # --- going on ------------------------------------------------------------------------------

    def _entry(self, state: _State) -> Entry:
        return self._replayed(state.answers).entries[state.at]

    def _expected(self, state: _State, address: int) -> Any:
        """Return what a word holds if nobody else has stored to it."""
        return state.track.own.get(address, self._initial[address])

    def _tag(self, entry: Entry) -> int:
        what = entry.operation.what or entry.operation.kind.name.lower()
        return self._places.tag(f"{entry.place}|{what}" if entry.place else what)

    def _counts(self, location: Hashable) -> bool:
        return self._relevant is None or location in self._relevant

    def _run(self, state: _State) -> Step:
        track = state.track
        trace = self._replayed(state.answers)
        index, part, requests, sources = state.at, state.part, state.requests, state.sources
        while index < len(trace.entries):
            entry = trace.entries[index]
            operation = entry.operation
            kind, address = operation.kind, operation.address
            here = _State(state.answers, index, part, requests, track, sources)
            if operation.what in self._dropped or (kind is OpKind.LOG and PRINTK in self._dropped):
                index += 1
                continue
            if entry.asked:
                if self._counts(address):
                    return self._want(here, address)
                raise AssertionError("what is watched is what others store to")
            if kind is OpKind.STORE:
                if self._counts(address):
                    value = operation.value & (1 << 8 * operation.size) - 1
                    track.write(address, value, self._tag(entry))
                    if address == self._source:
                        sources = (*sources, value)
            elif kind in (OpKind.SET_BIT, OpKind.CLEAR_BIT, OpKind.ATOMIC_ADD):
                if kind is OpKind.ATOMIC_ADD:
                    track.barrier("full")
                if self._counts(address):
                    return self._want(here, address)
                if kind is OpKind.ATOMIC_ADD:
                    track.barrier("full")
            elif kind is OpKind.BARRIER:
                assert operation.barrier is not None, "a BARRIER says which"
                track.barrier(_FENCES[operation.barrier])
            elif kind is OpKind.TEXT_STORE:
                found = self._text(trace, index)
                if found is not None:
                    for location, meaning in found.writes:
                        track.write(location, meaning, self._tag(entry))
            elif kind in (OpKind.CACHE_CLEAN, OpKind.CACHE_INVALIDATE):
                for line in self._lines(address, operation.size):
                    if kind is OpKind.CACHE_CLEAN:
                        track.clean(line, self._tag(entry))
                    else:
                        track.invalidate(line, self._tag(entry))
            elif kind is OpKind.LOG:
                track.barrier("full")
            elif kind is OpKind.FREE:
                for location in sorted(self._within(address, entry.size)):
                    track.write(location, POISON, self._tag(entry))
            elif kind in (OpKind.SYNC, OpKind.WAIT):
                if kind is OpKind.SYNC and not self._syncs(trace, index):
                    index += 1
                    continue
                if part == 0:
                    requests += 1
                    track.barrier("full")
                    if kind is OpKind.SYNC:
                        asks = STOP_MACHINE if operation.what == STOP_MACHINE else SYNC
                    else:
                        asks = TASKS if entry.flavour == "tasks" else QUIESCENT
                    track.write(request(requests), asks, self._tag(entry))
                    track.barrier("full")
                if part < len(self._cpus):
                    waiting = _State(state.answers, index, part, requests, track, sources)
                    return self._want(waiting, ack(requests, self._cpus[part]))
                part = 0
                track.barrier("full")
                if kind is OpKind.SYNC:
                    track.synchronise(self._tag(entry))
            index += 1
        if self._done:
            track.write(self._done, 1, self._places.tag("complete"))
        ended = Ended(trace.end, trace.note)
        return Step(events=track.events, state=state, completed=track.completed, final=ended)

    def _within(self, address: int, size: int) -> list[int]:
        if self._relevant is None:
            return []
        return [
            place for place in self._relevant if isinstance(place, int) and address <= place < address + size
        ]

    def _want(self, state: _State, location: Hashable) -> Step:
        own = (state.track.own[location],) if location in state.track.own else ()
        return Step(
            events=state.track.events,
            state=state,
            wants=Wanted(location, READ, own),
            completed=state.track.completed,
        )
