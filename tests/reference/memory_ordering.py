"""The plain, slow twin of `emu.machine.store_buffer` and `views`: histories, not overlays and undo logs."""

from __future__ import annotations

from dataclasses import dataclass, field

_U64 = (1 << 64) - 1


class Draws:
    """xorshift64*, as native code draws."""

    def __init__(self, state: int) -> None:
        self._state = state & _U64

    def next(self) -> int:
        x = self._state
        x ^= x >> 12
        x ^= x << 25 & _U64
        x ^= x >> 27
        self._state = x
        return (x * 0x2545F4914F6CDD1D & _U64) >> 1


@dataclass
class Pending:
    """A store that has not landed; ``content`` by address."""

    content: dict[int, int]
    due: int
    group: int
    release: bool
    seen: int
    atomic: bool = False


@dataclass
class Landing:
    """What became everybody's at ``time``, within one granule."""

    time: int
    content: dict[int, int]
    cpu: int
    forwards: int | None
    atomic: bool


@dataclass
class Cpu:
    """One CPU; ``register`` holds what X0 to X30 have seen."""

    number: int
    insns: int = 0
    pending: list[Pending] = field(default_factory=list)
    register: dict[int, int] = field(default_factory=dict)
    coherence: dict[int, int] = field(default_factory=dict)
    floor: int = 0
    reads: int = 0
    writes: int = 0
    released: int = 0
    group: int = 0
    monitor: tuple[int, int] | None = None


class Twin:
    """A memory that starts as zeros, and what CPUs do to it."""

    def __init__(self, cpus: int, draws: Draws, *, in_order: bool, limit: int) -> None:
        self.cpus = [Cpu(number) for number in range(cpus)]
        self.history: list[Landing] = []
        self._draws, self._in_order, self._limit = draws, in_order, limit
        self._shown: Cpu | None = None

    @property
    def now(self) -> int:
        return self.history[-1].time if self.history else 0

    def memory(self, address: int, size: int, time: int) -> bytes:
        """Return what memory held at ``time``."""
        held = dict.fromkeys(range(address, address + size), 0)
        for landing in self.history:
            if landing.time <= time:
                held.update({at: value for at, value in landing.content.items() if at in held})
        return bytes(held[at] for at in range(address, address + size))

    def run(self, number: int) -> Cpu:
        """Let it be a CPU's turn."""
        cpu = self.cpus[number]
        if self._shown is not cpu:
            if self._shown is not None:
                self._land_due(self._shown)
            self._shown = cpu
        return cpu

    def _precedes(self, first: Pending, second: Pending) -> bool:
        return (
            self._in_order or second.release or first.group < second.group
            or not first.content.keys().isdisjoint(second.content)
        )  # fmt: skip

    def land(self, cpu: Cpu, store: Pending) -> None:
        """Land a store and all that must precede it, in program order."""
        needed = [store]
        for earlier in reversed(cpu.pending[: _index(cpu.pending, store)]):
            if any(self._precedes(earlier, later) for later in needed):
                needed.insert(0, earlier)
        for one in needed:
            del cpu.pending[_index(cpu.pending, one)]
            for granule in sorted({at & ~7 for at in one.content}):
                content = {at: value for at, value in one.content.items() if at & ~7 == granule}
                time = self.now + 1
                whole = len(content) == len(one.content)
                forwards = one.seen if whole else None
                self.history.append(Landing(time, content, cpu.number, forwards, one.atomic))
                cpu.coherence[granule] = cpu.writes = time
            if one.release:
                cpu.released = self.now

    def _land_due(self, cpu: Cpu) -> None:
        for store in list(cpu.pending):
            earlier = cpu.pending[: _index(cpu.pending, store)]
            if store.due <= cpu.insns and not any(self._precedes(one, store) for one in earlier):
                self.land(cpu, store)

    def drain(self, cpu: Cpu) -> None:
        while cpu.pending:
            self.land(cpu, cpu.pending[-1]) if self._in_order else self.land(cpu, cpu.pending[0])

    def push(self, cpu: Cpu, address: int, content: bytes, *, release: bool, seen: int) -> Pending:
        if len(cpu.pending) == self._limit:
            self.land(cpu, cpu.pending[0])
        due = cpu.insns + (1 << self._draws.next() % 8)
        written = dict(zip(range(address, address + len(content)), content, strict=True))
        store = Pending(written, due, cpu.group, release, seen)
        cpu.pending.append(store)
        return store

    def land_overlapping(self, cpu: Cpu, address: int, size: int) -> None:
        wanted = set(range(address, address + size))
        while any(not wanted.isdisjoint(store.content) for store in cpu.pending):
            self.land(cpu, [store for store in cpu.pending if not wanted.isdisjoint(store.content)][-1])

    def load(
        self, cpu: Cpu, address: int, size: int, base: int, *, acquire: bool, acquire_pc: bool, fresh: bool
    ) -> tuple[bytes, int]:
        """Return what a load returns, and the time that its result has seen."""
        floor = max(cpu.floor, cpu.register.get(base, 0))
        if acquire:
            while any(store.release for store in cpu.pending):
                self.land(cpu, [store for store in cpu.pending if store.release][-1])
            floor = max(floor, cpu.released)
        if fresh:
            self.land_overlapping(cpu, address, size)
        acquires = acquire or acquire_pc
        value, time = self._satisfy(cpu, address, size, floor, fresh or self._in_order, acquires)
        cpu.reads = max(cpu.reads, time)
        if acquire or acquire_pc:
            cpu.floor = max(cpu.floor, time)
        return value, time

    def _satisfy(
        self, cpu: Cpu, address: int, size: int, floor: int, fresh: bool, acquires: bool
    ) -> tuple[bytes, int]:
        wanted = set(range(address, address + size))
        for store in reversed(cpu.pending):
            if wanted <= store.content.keys():
                return bytes(store.content[at] for at in sorted(wanted)), max(floor, store.seen)
            if not wanted.isdisjoint(store.content):
                self.land_overlapping(cpu, address, size)
                break
        if len({at & ~7 for at in wanted}) > 1:
            for granule in {at & ~7 for at in wanted}:
                cpu.coherence[granule] = self.now
            return self.memory(address, size, self.now), self.now
        granule = address & ~7
        least = max(floor, cpu.coherence.get(granule, 0))
        for landing in reversed(self.history):
            if landing.time <= least:
                break
            if not wanted.isdisjoint(landing.content) and (fresh or self._draws.next() & 1):
                cpu.coherence[granule] = landing.time
                return self.memory(address, size, landing.time), landing.time
        value = self.memory(address, size, least)
        if least > floor:  # as new as the newest that the CPU has seen here; unless that is its own store
            (landing,) = (landing for landing in self.history if landing.time == least)
            own = (
                landing.cpu == cpu.number
                and landing.forwards is not None
                and wanted <= landing.content.keys()
            )
            if own and landing is self._last_of(cpu, granule) and not (acquires and landing.atomic):
                return value, max(floor, landing.forwards or 0)
        return value, least

    def _last_of(self, cpu: Cpu, granule: int) -> Landing:
        return [
            landing
            for landing in self.history
            if landing.cpu == cpu.number and min(landing.content) & ~7 == granule
        ][-1]

    def may_store_exclusively(self, cpu: Cpu, address: int) -> bool:
        """Tell whether nobody else has stored to the monitored granule since."""
        granule = address // 16
        if cpu.monitor is None or cpu.monitor[0] != granule:
            return False
        since = cpu.monitor[1]
        return not any(
            landing.time > since
            and landing.cpu != cpu.number
            and any(at // 16 == granule for at in landing.content)
            for landing in self.history
        )


def _index(stores: list[Pending], store: Pending) -> int:
    return next(at for at, one in enumerate(stores) if one is store)
