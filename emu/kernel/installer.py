"""Playing Python code as work of the patching CPU, one operation at a time.

A job runs in a greenlet of its own. Each operation it makes hands control back to
the machine; the patching CPU's ``klp_driver`` task fetches the next one whenever it
comes by ``klpemu_step``. See docs/adr/0002-installation-runs-in-a-greenlet.md.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

import greenlet

from emu.kernel.operation_time import spend_time
from emu.machine.engine import Engine
from emu.machine.memory import text_offset
from emu.machine.operations import Barrier, Condition, Operation, OpKind
from emu.machine.state import IRQ_RESCHEDULE, IRQ_SYNC
from emu.structs import CALL_ENTRY, CONSTANTS, PERCPU, TASK
from emu.trace.schema import EventKind

T = TypeVar("T")

PATCHING_CPU = 0
"""The CPU whose ``klp_driver`` task plays installations."""

_AGAIN, _NOT_READY, _NOTHING, _CALL, _SLEEP = range(5)  # what klpemu_step returns; docs/guest-kernel.md


class Job(Generic[T]):
    """Python code that the patching CPU runs, step by step."""

    def __init__(self, name: str, body: Callable[[], T]) -> None:
        self.name = name
        self.body = body
        self.done = False
        self.operations = 0
        self._result: T | None = None
        self._error: BaseException | None = None

    def finish(self, result: T | None, error: BaseException | None) -> None:
        """Note how the body ended."""
        self.done, self._result, self._error = True, result, error

    def result(self) -> T:
        """Return what the body returned, or raise what it raised.

        Raises:
            ValueError: it is not done yet.
        """
        if not self.done:
            raise ValueError(f"{self.name} is not done; run the machine on")
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]  # None is T when the body returned it


def done_job(name: str, result: int = 0) -> Job[int]:
    """Return a job that was done at once."""
    job = Job(name, lambda: result)
    job.finish(result, None)
    return job


class Installer:
    """Plays operations: at once while the CPUs stand still, else as steps of the patching CPU.

    Args:
        engine: the machine.
        percpu: guest address of each CPU's per-CPU area.
        gate: address of ``klp_driver_gate``.
        driver: address of the task_struct of ``klp_driver``.
        log: takes each line of the kernel log.
        event: records (kind, a, b, c) as the patching CPU's.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        percpu: Sequence[int],
        gate: int,
        driver: int,
        log: Callable[[str], None],
        event: Callable[[EventKind, int, int, int], None],
    ) -> None:
        self._engine, self._percpu, self._gate, self._driver = engine, percpu, gate, driver
        self._log, self._event = log, event
        self._jobs: deque[Job[object]] = deque()
        self._delayed: dict[str, tuple[int, Job[object]]] = {}
        self._running: greenlet.greenlet | None = None
        self._machine = greenlet.getcurrent()
        self._answer = 0
        self._waiting: Operation | None = None
        self._calling = False
        self._unattended: list[Job[object]] = []
        self._wait_began = 0
        self.dropped: frozenset[str] = frozenset()
        self.drops_seen: set[str] = set()
        self.on_operation: Callable[[Operation], None] = lambda _operation: None

    # --- jobs ---------------------------------------------------------------------------------

    def submit(self, name: str, body: Callable[[], T]) -> Job[T]:
        """Queue ``body`` for the patching CPU and wake its driver task."""
        job = Job(name, body)
        self._jobs.append(job)  # type: ignore[arg-type]  # a queue of jobs of every result
        self._wake_driver()
        return job

    def _wake_driver(self) -> None:
        self._engine.memory.store(self._gate, 1)
        self._engine.memory.store(self._driver + TASK.offset("wake_at"), 0)  # if it sleeps for delayed work
        self._engine.interrupt(PATCHING_CPU, IRQ_RESCHEDULE)

    def submit_delayed(self, ticks: int, name: str, body: Callable[[], T]) -> None:
        """Queue ``body`` when the patching CPU's jiffies have advanced by ``ticks``.

        One of that name that is pending already stays as it is, and this one is forgotten, as
        schedule_delayed_work has it.
        """
        if name not in self._delayed:
            job: Job[object] = Job(name, body)
            self._delayed[name] = (self.jiffies() + ticks, job)
            self._unattended.append(job)
            self._wake_driver()

    def jiffies(self) -> int:
        """Return how many ticks the patching CPU has taken."""
        return self._engine.memory.load(self._percpu[PATCHING_CPU] + PERCPU.offset("jiffies"))

    def _queue_what_is_due(self) -> None:
        now = self.jiffies()
        for name, (due, job) in list(self._delayed.items()):
            if due <= now:
                del self._delayed[name]
                self._jobs.append(job)

    @property
    def idle(self) -> bool:
        """Whether every job is done."""
        return not self._jobs

    @property
    def current(self) -> str:
        """Name of the job under way, empty if there is none."""
        return self._jobs[0].name if self._jobs else ""

    @property
    def waiting_for(self) -> str:
        """What the current job waits for, empty if it doesn't wait."""
        return self._waiting.what if self._waiting is not None else ""

    def step(self) -> None:
        """The driver asks for its next operation: play it and set the driver's answer."""
        self._engine.order.show(PATCHING_CPU)
        answer = self._next_operation()
        self._engine.write_register(PATCHING_CPU, self._engine.port.registers.result, answer)
        self._engine.memory.store(self._gate, 0 if answer == _NOTHING else 1)
        if answer == _SLEEP:
            due = min(due for due, _ in self._delayed.values())
            self._engine.memory.store(self._driver + TASK.offset("wake_at"), due)

    def _next_operation(self) -> int:
        if self._waiting is not None:
            self._end_wait(self._waiting)
        self._queue_what_is_due()
        if not self._jobs:
            return self._nothing_now()
        if self._calling:
            self._end_call()
        job = self._jobs[0]
        if self._running is None:
            self._machine = greenlet.getcurrent()
            self._running = greenlet.greenlet(self._run_body)
            operation = self._running.switch(job)
        else:
            operation = self._running.switch(self._answer)
        if self._running.dead:
            self._running = None
            self._jobs.popleft()
            if job in self._unattended:
                self._unattended.remove(job)
                job.result()  # nobody else would hear of an error
            return _AGAIN if self._jobs else self._nothing_now()
        job.operations += 1
        return self._begin(operation)

    def _nothing_now(self) -> int:
        return _SLEEP if self._delayed else _NOTHING

    @staticmethod
    def _run_body(job: Job[object]) -> None:
        try:
            job.finish(job.body(), None)
        except Exception as error:  # handed to whoever asks for the job's result
            job.finish(None, error)

    def abandon(self) -> None:
        """Let go of the job under way: a greenlet that is never done keeps the whole machine in memory.

        Does nothing in another thread than the job's, which can't switch to it.
        """
        with suppress(greenlet.error):
            while self._running is not None and not self._running.dead:
                self._running.throw()  # again if a ``finally`` of the job plays an operation
            self._running = None

    # --- operations -----------------------------------------------------------------------------

    def play(self, operation: Operation) -> int:
        """Play ``operation``: as the patching CPU's next step inside a job, at once outside."""
        if self.in_job:
            return int(self._machine.switch(operation))
        answer = 0  # not _answer: a job may be under way, with its own still to come
        if not self._is_dropped(operation):
            self.on_operation(operation)
            if operation.kind is OpKind.SYNC:
                for cpu in range(self._engine.cpus):
                    self._engine.fetch.synchronise(cpu)
            elif operation.kind is not OpKind.WAIT:
                assert operation.kind is not OpKind.CALL, "only the driver task calls guest functions"
                answer = self._effect(operation)
                self._engine.order.settle()
        return answer

    @property
    def in_job(self) -> bool:
        """Whether the code that asks is a job's, so that CPUs run between any two of its operations."""
        return self._running is not None and greenlet.getcurrent() is self._running

    def _is_dropped(self, operation: Operation) -> bool:
        if operation.what in self.dropped:
            self.drops_seen.add(operation.what)
            return True
        return False

    def _begin(self, operation: Operation) -> int:
        self._answer = 0
        if self._is_dropped(operation):
            return _AGAIN
        self.on_operation(operation)
        spend_time(self._engine, PATCHING_CPU, operation)
        if operation.kind is OpKind.SYNC:
            self._engine.order.barrier(PATCHING_CPU, Barrier.MB)  # as of smp_call_function_many
            return self._start_wait(operation, self._raise_sync())
        if operation.kind is OpKind.CALL:
            return self._begin_call(operation)
        if operation.kind is OpKind.WAIT:
            assert operation.until is not None, "a WAIT says what for"
            self._engine.order.synchronise()  # a grace period begins and ends with a full barrier on each CPU
            return self._start_wait(operation, operation.until())
        self._answer = self._effect(operation)
        return _AGAIN

    def _begin_call(self, operation: Operation) -> int:
        memory = self._engine.memory
        self._engine.order.settle()
        row = memory.view(CALL_ENTRY, memory.load(self._driver + TASK.offset("work")))[0]
        row["fn"], row["flags"] = operation.address, CONSTANTS["CALL_ANY_RESULT"]
        row["args"] = 0
        row["args"][: len(operation.args)] = operation.args
        self._calling = True
        return _CALL

    def _end_call(self) -> None:
        memory = self._engine.memory
        self._engine.order.settle()
        row = memory.view(CALL_ENTRY, memory.load(self._driver + TASK.offset("work")))[0]
        self._answer = int(row["result"])
        self._calling = False

    def _raise_sync(self) -> list[Condition]:
        engine, acknowledged = self._engine, PERCPU.offset("sync_ack")
        engine.fetch.synchronise(PATCHING_CPU)
        conditions = []
        for cpu, area in enumerate(self._percpu):
            if cpu != PATCHING_CPU:
                address = area + acknowledged
                engine.interrupt(cpu, IRQ_SYNC)
                self._event(EventKind.IPI, 0, cpu, 0)
                conditions.append(
                    Condition(
                        address=address,
                        value=engine.memory.load(address) + 1,
                        at_least=True,
                        who=f"CPU{cpu}",
                    )
                )
        return conditions

    def _start_wait(self, operation: Operation, conditions: Sequence[Condition]) -> int:
        self._waiting, self._wait_began = operation, self._engine.clock(PATCHING_CPU)
        self._engine.wait_for([(c.address, c.value, c.at_least) for c in conditions])
        self._conditions = list(conditions)
        return _NOT_READY

    def _end_wait(self, operation: Operation) -> None:
        self._engine.wait_for([])
        if operation.kind is OpKind.SYNC:
            self._engine.order.barrier(PATCHING_CPU, Barrier.MB)
        else:
            self._engine.order.synchronise()
        self._waiting = None
        kind = EventKind.SYNC if operation.kind is OpKind.SYNC else EventKind.GRACE_PERIOD
        self._event(kind, self._wait_began, len(self._conditions), 0)

    def unmet(self) -> list[str]:
        """Return who the current wait still waits for."""
        if self._waiting is None:
            return []
        load = self._engine.memory.load
        return [
            c.who
            for c in self._conditions
            if (load(c.address) < c.value if c.at_least else load(c.address) == c.value)
        ]

    def _effect(self, operation: Operation) -> int:
        memory, fetch, order = self._engine.memory, self._engine.fetch, self._engine.order
        match operation.kind:
            case OpKind.LOAD:
                return order.load(PATCHING_CPU, operation.address, operation.size)
            case OpKind.STORE:
                order.store(PATCHING_CPU, operation.address, operation.value, operation.size)
                if text_offset(operation.address) >= 0:  # a literal: data, which every CPU loads coherently
                    fetch.load(operation.address, memory.read(operation.address, operation.size))
            case OpKind.ATOMIC_ADD:
                order.barrier(PATCHING_CPU, Barrier.MB)
                value = order.load(PATCHING_CPU, operation.address, operation.size) + operation.value
                order.update(PATCHING_CPU, operation.address, value, operation.size)
                order.barrier(PATCHING_CPU, Barrier.MB)
                return memory.load(operation.address, operation.size)
            case OpKind.SET_BIT | OpKind.CLEAR_BIT:
                bit, value = 1 << operation.value, order.load(PATCHING_CPU, operation.address, 8)
                value = value | bit if operation.kind is OpKind.SET_BIT else value & ~bit
                order.update(PATCHING_CPU, operation.address, value, 8)
            case OpKind.TEXT_STORE:
                order.before_text_store(PATCHING_CPU)
                fetch.store(operation.address, operation.data)
                self._engine.tables.redescribe(operation.address, operation.data)
                first = int.from_bytes(operation.data[:8], "little")
                self._event(EventKind.TEXT_POKE, operation.address, operation.size, first)
            case OpKind.CACHE_CLEAN:
                fetch.clean(operation.address, operation.size)
            case OpKind.CACHE_INVALIDATE:
                fetch.invalidate(operation.address, operation.size)
            case OpKind.BARRIER:
                assert operation.barrier is not None, "a BARRIER says which"
                order.barrier(PATCHING_CPU, operation.barrier)
                if operation.barrier is Barrier.DSB:
                    fetch.data_barrier()
                elif operation.barrier is Barrier.ISB:
                    fetch.synchronise(PATCHING_CPU)
            case OpKind.LOG:
                self._log(operation.line)
            case OpKind.MARK:
                kind = EventKind[operation.what]
                self._event(kind, operation.address, operation.value, 0)
            case OpKind.ALLOC | OpKind.FREE | OpKind.CALLBACK:
                assert operation.call is not None, "ALLOC, FREE and CALLBACK bring their effect along"
                if operation.kind is OpKind.CALLBACK and operation.under_locks:
                    order.synchronise()
                result = operation.call()
                if operation.kind is OpKind.ALLOC:
                    self._event(EventKind.ALLOC, result, operation.size, 0)
                elif operation.kind is OpKind.FREE:
                    self._event(EventKind.FREE, operation.address, operation.size, 0)
                return result
        return 0
