"""A player without CPUs: every operation takes effect at once on memory and is noted down."""

from __future__ import annotations

from collections.abc import Callable

from emu.arch.port import Port
from emu.build.memory_map import HEAP, TRAMPOLINES, Area
from emu.kernel.errno import ENOMEM
from emu.kernel.guest import Guest
from emu.machine.memory import Memory
from emu.machine.operations import Operation, OpKind


class BumpAllocator:
    """Hands out addresses of one area, never twice, and remembers what lives."""

    def __init__(self, memory: Memory, area: Area, *, poison: bytes) -> None:
        self._memory, self._area, self._poison = memory, area, poison
        self._next = area.base
        self.live: dict[int, tuple[int, str]] = {}

    def allocate(self, size: int, what: str = "text") -> int:
        """Return zeroed memory, or 0 when the area is full."""
        address, following = self._next, self._next + -(-size // 64) * 64
        if following > self._area.end:
            return 0
        self._next = following
        self._memory.write(address, bytes(size))
        self.live[address] = (size, what)
        return address

    def release(self, address: int) -> None:
        """Poison memory; freeing twice is an error."""
        size, _ = self.live.pop(address)
        filler = self._poison * (size // len(self._poison) + 1)
        self._memory.write(address, filler[:size])


class PlainPlayer:
    """Plays every operation at once."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.operations: list[Operation] = []
        self.log: list[str] = []
        self.marks: list[tuple[str, int]] = []
        self.on_operation: Callable[[Operation], None] = lambda _operation: None

    def play(self, operation: Operation) -> int:
        """Take effect and note it."""
        self.operations.append(operation)
        self.on_operation(operation)
        o, memory = operation, self.memory
        match o.kind:
            case OpKind.LOAD:
                return memory.load(o.address, o.size)
            case OpKind.STORE:
                memory.store(o.address, o.value, o.size)
            case OpKind.ATOMIC_ADD:
                memory.store(o.address, memory.load(o.address, o.size) + o.value, o.size)
                return memory.load(o.address, o.size)
            case OpKind.TEXT_STORE:
                memory.write(o.address, o.data)
            case OpKind.LOG:
                self.log.append(o.line)
            case OpKind.MARK:
                self.marks.append((o.what, o.value))
            case OpKind.ALLOC | OpKind.FREE | OpKind.CALLBACK:
                assert o.call is not None
                return o.call()
            case OpKind.WAIT:
                assert o.until is not None
                o.until()
        return 0

    def names(self, *kinds: OpKind) -> list[str]:
        """Return the names of the operations of these kinds, in order; all named ones when none is given."""
        return [o.what for o in self.operations if (o.kind in kinds if kinds else o.what)]


class FailAt:
    """Fails the k-th time that a named step is asked about."""

    def __init__(self) -> None:
        self.asked: dict[str, int] = {}
        self._step, self._at, self._errno = "", 0, 0

    def arm(self, step: str, at: int, errno: int = ENOMEM) -> None:
        """Fail the ``at``-th ``step`` from now on, counted from 1."""
        self.asked.clear()
        self._step, self._at, self._errno = step, at, errno

    def __call__(self, step: str) -> int:
        self.asked[step] = self.asked.get(step, 0) + 1
        hit = step == self._step and self.asked[step] == self._at
        return self._errno if hit else 0


def plain_guest(
    port: Port, memory: Memory
) -> tuple[Guest, PlainPlayer, BumpAllocator, BumpAllocator, FailAt]:
    """Return a guest on ``memory``, its player, heap, trampoline memory and failure switch."""
    player, fail = PlainPlayer(memory), FailAt()
    heap = BumpAllocator(memory, HEAP, poison=b"\x6b")
    text = BumpAllocator(memory, TRAMPOLINES, poison=port.trap)
    guest = Guest(
        port, player, allocate=heap.allocate, release=heap.release,
        grace_period=lambda _flavour: (), fail=fail,
    )  # fmt: skip
    return guest, player, heap, text, fail
