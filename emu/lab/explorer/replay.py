"""Plays an installation with chosen answers to its loads, and notes every operation.

The Python code of ``emu.livepatch`` and ``emu.ftrace`` runs as it does on a machine, on a copy of the
machine's memory. What it loads of places that other CPUs store to is given by the caller.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from enum import Enum
from typing import Any, cast

from emu.build.memory_map import HEAP, TRAMPOLINES
from emu.ftrace import Ftrace
from emu.kernel.guest import Guest
from emu.kernel.modules import Modules
from emu.kernel.rcu import Rcu
from emu.kernel.sched import Sched
from emu.lab.explorer.world import World
from emu.livepatch import Livepatch
from emu.machine.engine import Engine
from emu.machine.memory import Memory
from emu.machine.operations import Condition, Operation, OpKind
from emu.structs import PERCPU
from emu.units import PAGE_SIZE, page_up

_QUIET = ("kernel/guest.py", "kernel/installer.py", "explorer/replay.py", "kernel/sched.py", "kernel/rcu.py")
"""Files whose lines say how an operation is made, not what for."""
_LONGEST = 100_000
"""Operations of one installation; more is a loop that nothing ends. # assumed: ample, they have hundreds"""


class End(Enum):
    """Why a replay ended."""

    DONE = "done"
    STUCK = "waits for tasks to switch"
    WARN = "warns"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One operation that was played.

    Args:
        operation: that.
        answer: what it gave.
        asked: the answer was the caller's to give.
        flavour: of a wait for a grace period: ``rcu`` or ``tasks``.
        size: bytes freed.
        place: where in the source it comes from.
        text: after a text store, what stands at the instruction's place.
    """

    operation: Operation
    answer: int = 0
    asked: bool = False
    flavour: str = ""
    size: int = 0
    place: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What an installation did under certain answers.

    Args:
        entries: in order.
        end: how it ended; ``note`` says more.
        answers: all of them, those beyond what was given being memory's own.
    """

    entries: tuple[Entry, ...]
    end: End
    note: str
    answers: tuple[int, ...]


class _StopError(Exception):
    """The replay is over."""


class _Overlay:
    """Memory that starts as another's; pages are copied when they are stored to."""

    def __init__(self, below: Memory) -> None:
        self._below = below
        self._pages: dict[int, bytearray] = {}

    def read(self, address: int, size: int) -> bytes:
        """Return bytes."""
        page = address // PAGE_SIZE
        if (address + size - 1) // PAGE_SIZE != page:
            half = (page + 1) * PAGE_SIZE - address
            return self.read(address, half) + self.read(address + half, size - half)
        if page not in self._pages:
            return self._below.read(address, size)
        offset = address % PAGE_SIZE
        return bytes(self._pages[page][offset : offset + size])

    def write(self, address: int, content: bytes) -> None:
        """Store bytes."""
        while content:
            page, offset = divmod(address, PAGE_SIZE)
            if page not in self._pages:
                self._pages[page] = bytearray(self._below.read(page * PAGE_SIZE, PAGE_SIZE))
            part = content[: PAGE_SIZE - offset]
            self._pages[page][offset : offset + len(part)] = part
            address, content = address + len(part), content[len(part) :]

    def load(self, address: int, size: int = 8) -> int:
        """Return an unsigned integer."""
        return int.from_bytes(self.read(address, size), "little")

    def store(self, address: int, value: int, size: int = 8) -> None:
        """Store the low bytes of an integer."""
        self.write(address, (value & (1 << 8 * size) - 1).to_bytes(size, "little"))


class _Still:
    """An engine whose CPUs stand still: memory, and nobody to interrupt."""

    def __init__(self, memory: _Overlay) -> None:
        self.memory = memory

    def interrupt(self, cpu: int, irq: int, *, sender: int = 0) -> None:
        """Nobody listens."""


class Replay:
    """One installation on a fresh kernel.

    Args:
        world: the machine that it begins with.
        watched: addresses that other CPUs store to.
        answers: what loads of those give, in order; after that, what memory has.
        dropped: operations that are left out, by name.

    Attributes:
        klp: livepatch of that kernel.
        memory: of it, as the patching CPU has made it.
        objects: what has been allocated: (address, size, what).
    """

    def __init__(
        self,
        world: World,
        *,
        watched: frozenset[int] = frozenset(),
        answers: Sequence[int] = (),
        dropped: frozenset[str] = frozenset(),
    ) -> None:
        self.world, self._watched, self._given, self._dropped = world, watched, tuple(answers), dropped
        self.memory = _Overlay(world.memory)
        self._recording = False
        self._entries: list[Entry] = []
        self.objects: list[tuple[int, int, str]] = []
        self._answers: list[int] = []
        self._heap, self._sizes = HEAP.base + HEAP.size // 2, dict[int, int]()
        self._text = TRAMPOLINES.base + TRAMPOLINES.size // 2
        self._flavour, self._line = "", ""
        guest = Guest(
            world.port,
            self,
            allocate=self._allocate,
            release=lambda _address: None,
            grace_period=self._grace_period,
        )
        self.guest = guest
        kallsyms, modules = world.kallsyms(), Modules()
        self.ftrace = Ftrace(
            guest, kallsyms, modules, Rcu(guest), text_alloc=self._allocate_text, text_free=lambda _at: None
        )
        ret = self.ftrace.ftrace_init(world.locations)
        assert ret == 0, "the kernel's sites are what its table says"
        sched = Sched(
            guest,
            cast("Engine", _Still(self.memory)),
            world.tasks,
            percpu=world.percpu,
            unwind=lambda _task: [],
            tasklist=nullcontext,
        )
        self.klp = Livepatch(guest, self.ftrace, kallsyms, modules, sched=sched, retry=lambda _work: None)

    # --- driving -------------------------------------------------------------------------------

    def occupy(self, *, running: bool) -> None:
        """Let each CPU run its user task, or have all of them stand still outside of everything."""
        for task in self.world.users:
            address = self.world.percpu[task.cpu] + PERCPU.offset("current_task")
            self.memory.store(address, task.struct if running else 0)
        driver = next(task for task in self.world.tasks if task.comm == "klp_driver")
        self.memory.store(self.world.percpu[0] + PERCPU.offset("current_task"), driver.struct)

    def trace(self, body: Callable[[Replay], object]) -> Trace:
        """Note all operations of ``body`` from now on, until it ends or can't go on."""
        self._recording = True
        end, note = End.DONE, ""
        try:
            body(self)
        except _StopError as stop:
            end, note = stop.args
        self._recording = False
        return Trace(entries=tuple(self._entries), end=end, note=note, answers=tuple(self._answers))

    def settled(self) -> None:
        """Go on if the transition is complete; if not, the replay ends here."""
        if self.klp.transition.patch is not None:
            raise _StopError(End.STUCK, "the transition waits for tasks to switch")

    def under_way(self) -> None:
        """Go on if a transition is under way; if not, the replay ends here."""
        if self.klp.transition.patch is None:
            raise _StopError(End.DONE, "")

    def _grace_period(self, flavour: str) -> list[Condition]:
        self._flavour = flavour
        return []

    def _allocate(self, size: int, what: str) -> int:
        address, self._heap = self._heap, self._heap + page_up(size)
        assert self._heap <= HEAP.end, "the heap is large enough for a patch or two"
        self._sizes[address] = size
        self.objects.append((address, size, what))
        self.memory.write(address, bytes(size))
        return address

    def _allocate_text(self, size: int) -> int:
        address, self._text = self._text, self._text + page_up(size)
        return address

    # --- playing -------------------------------------------------------------------------------

    def play(self, operation: Operation) -> int:
        """Play an operation on memory at once, and note it."""
        if not self._recording:
            return self._effect(operation)
        if operation.what in self._dropped:
            return 0
        if operation.kind is OpKind.WAIT and (words := _waited_for(operation)):
            # How long that takes is the explorer's to say, at the operation before. Here all let go at once.
            for word in words:
                self.memory.store(word, 0)
            return 0
        if len(self._entries) == _LONGEST:
            raise _StopError(End.STUCK, "it goes round and round")
        asked = operation.kind is OpKind.LOAD and operation.address in self._watched
        place = _place()
        if asked:
            at = len(self._answers)
            answer = self._given[at] if at < len(self._given) else self._effect(operation)
            self._answers.append(answer)
            self.memory.store(operation.address, answer, operation.size)
        else:
            self._flavour = ""
            answer = self._effect(operation)
        if operation.kind is OpKind.LOG:
            self._line = operation.line
        if operation.kind is OpKind.MARK and operation.what == "WARN":
            raise _StopError(End.WARN, self._line)
        size = self._sizes.get(operation.address, 0) if operation.kind is OpKind.FREE else 0
        self._entries.append(
            Entry(
                operation=operation, answer=answer, asked=asked, flavour=self._flavour, size=size, place=place
            )
        )
        return answer

    def _effect(self, operation: Operation) -> int:
        memory, address, size = self.memory, operation.address, operation.size
        match operation.kind:
            case OpKind.LOAD:
                return memory.load(address, size)
            case OpKind.STORE:
                memory.store(address, operation.value, size)
            case OpKind.ATOMIC_ADD:
                memory.store(address, memory.load(address, size) + operation.value, size)
                return memory.load(address, size)
            case OpKind.SET_BIT:
                memory.store(address, memory.load(address) | 1 << operation.value)
            case OpKind.CLEAR_BIT:
                memory.store(address, memory.load(address) & ~(1 << operation.value))
            case OpKind.TEXT_STORE:
                memory.write(address, operation.data)
            case OpKind.WAIT:
                assert operation.until is not None, "a WAIT says what for"
                operation.until()
            case OpKind.ALLOC | OpKind.FREE | OpKind.CALLBACK:
                assert operation.call is not None, "it brings its effect along"
                return operation.call()
        return 0


def _waited_for(operation: Operation) -> list[int]:
    """Return the words that a WAIT wants to see changed; none if it is for a grace period."""
    assert operation.until is not None, "a WAIT says what for"
    return [condition.address for condition in operation.until() if not condition.at_least]


def _place() -> str:
    """Return the source line that made the operation, past the helpers that all use."""
    frame: Any = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename.replace("\\", "/")
        if not name.endswith(_QUIET):
            short = name[name.rfind("/emu/") + 1 :]
            return f"{short}:{frame.f_lineno} {frame.f_code.co_name}"
        frame = frame.f_back
    return ""
