"""A booted kernel in miniature: image loaded, CPUs and tasks set up, installer and heap ready."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from emu.arch.port import Port
from emu.build.contents import Call
from emu.build.image import Image
from emu.errors import EmuError
from emu.kernel.call_tables import CallTables
from emu.kernel.grace_periods import GracePeriods
from emu.kernel.guest import Guest
from emu.kernel.heap import Heap
from emu.kernel.installer import PATCHING_CPU, Installer
from emu.kernel.tasklist import TasklistLock
from emu.kernel.tasks import DRIVER, Task, create_spare, create_task, link_ring, percpu_address
from emu.kernel.unwind import Unwinder
from emu.machine import state as s
from emu.machine.access import record_event
from emu.machine.engine import Engine
from emu.machine.state import Fetch, Ordering, ProbeKind, Schedule
from emu.structs import CONSTANTS, PERCPU, TASK
from emu.timing import CpuModel
from emu.trace.schema import CallFlag, EventKind
from emu.units import signed64, unsigned64

_FLAG_LABELS = {
    "klp_in_transition": CallFlag.TRANSITION,
    "klp_ran_nop": CallFlag.NOP,
    "klp_no_recursion_bit": CallFlag.RECURSION,
}
_BOOT_SPREAD = 1000
"""Cycles within which the CPUs come up, each at a time of its own. # assumed: any small number will do"""
_TRAMPOLINES = {
    "ftrace_caller": "ftrace_call",
    "ftrace_regs_caller": "ftrace_regs_call",
    "ftrace_caller_ops": "ftrace_caller_ops_return",
    "ftrace_regs_caller_ops": "ftrace_regs_caller_ops_return",
    "mcount_caller": "mcount_caller_return",
}
"""Trampolines, and the label behind the call of the handler, or on that call where it is poked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How CPUs take turns.

    Args:
        exact: one instruction at a time; else full speed between landings.
        schedule: who runs next.
        fetch: when text stores reach other CPUs.
        seed: of all that is drawn.
        quantum: mean instructions of a turn.
        tick: cycles between timer interrupts, 0 = none.
        tickless: CPUs that have none, whatever ``tick`` says.
        ordering: which outcomes of loads and stores there can be.
        cpu_model: what tells how long instructions take; None: one cycle each.
    """

    exact: bool
    schedule: Schedule
    fetch: Fetch
    seed: int
    quantum: int
    tick: int
    tickless: frozenset[int] = frozenset()
    ordering: Ordering = Ordering.SC
    cpu_model: CpuModel | None = None


class NoSpareTaskError(EmuError):
    """There is no room for another task."""

    def __init__(self, comm: str, cpu: int) -> None:
        super().__init__(f"no room for task {comm!r} on CPU{cpu}: make the machine with more spare tasks")
        self.comm, self.cpu = comm, cpu


class Kernel:
    """One booted machine.

    Args:
        port: its architecture.
        image: the kernel.
        calls: what workers call, in turn.
        cpus: 1 to 64.
        workers: kernel threads per CPU that make calls.
        users: user tasks per CPU that make them by system calls.
        spares: room for tasks that are made while the machine runs, see `spawn`.
        timing: how CPUs take turns.
    """

    def __init__(
        self,
        port: Port,
        image: Image,
        *,
        calls: Sequence[Call],
        cpus: int,
        workers: int,
        users: int,
        spares: int,
        timing: Timing,
    ) -> None:
        self.port, self.image, self.cpus = port, image, cpus
        self.tasks = self._plan_tasks(workers, users, spares)
        self._first_spare = len(self.tasks) - spares
        self.on_task: Callable[[], None] = lambda: None
        self._tickless = timing.tickless
        self.engine = Engine(
            port, cpus=cpus, slots=[[t.index for t in self.tasks if t.cpu == c] for c in range(cpus)],
            exact=timing.exact, schedule=timing.schedule, fetch=timing.fetch, seed=timing.seed,
            quantum=timing.quantum, tick=timing.tick, ordering=timing.ordering,
            cpu_model=timing.cpu_model,
        )  # fmt: skip
        self.log: list[str] = []
        self.on_log: Callable[[str], None] = lambda _line: None
        self.places: list[str] = []
        self.images: list[Image] = []
        self.unwinder = Unwinder(port, self.engine.memory)
        self.heap = Heap(self.engine)
        self.percpu = [percpu_address(cpu) for cpu in range(cpus)]
        driver = self._driver()
        self.installer = Installer(
            self.engine, percpu=self.percpu, gate=image.address("klp_driver_gate"), driver=driver.struct,
            log=self.printk, event=self.event,
        )  # fmt: skip
        self.fail: Callable[[str], int] = lambda _step: 0
        self.grace_periods = GracePeriods(self.engine, self.percpu, self.tasks, timing.tickless)
        self.guest = Guest(
            port, self.installer, allocate=self.heap.allocate, release=self._release,
            grace_period=self.grace_periods.start, fail=lambda step: self.fail(step),
        )  # fmt: skip
        self.tasklist = TasklistLock(
            self.guest, self.installer, self.engine, lock=image.address("tasklist_lock"),
            percpu=self.percpu[PATCHING_CPU],
        )  # fmt: skip
        self.load_image(image)
        self._watch_kernel()
        self.call_tables = CallTables(self.engine.memory, image, self.tasks, spares=spares)
        kernel_calls = [(call, image.address(call.fn)) for call in calls]
        self.offer_calls(kernel_calls)
        self._boot(seed=timing.seed)
        self.call_tables.prepare_clone(kernel_calls)

    # --- setting up -----------------------------------------------------------------------------

    def _driver(self) -> Task:
        return next(task for task in self.tasks if task.is_driver)

    def _plan_tasks(self, workers: int, users: int, spares: int) -> list[Task]:
        image, tasks = self.image, []
        for cpu in range(self.cpus):
            tasks.append(Task(index=cpu, pid=0, comm=f"swapper/{cpu}", cpu=cpu, kind="idle"))

        def add(comm: str, cpu: int, kind: str, entry: str) -> None:
            index = len(tasks)
            pid = index - self.cpus + 1
            tasks.append(
                Task(index=index, pid=pid, comm=comm, cpu=cpu, kind=kind, entry=image.address(entry))
            )

        add(DRIVER, PATCHING_CPU, "kthread", DRIVER)
        for cpu in range(self.cpus):
            for number in range(workers):
                add(f"worker/{cpu}.{number}", cpu, "kthread", "worker")
            for number in range(users):
                add(f"user/{cpu}.{number}", cpu, "user", "user_loop")
        for number in range(spares):
            cpu = (number + 1) % self.cpus  # the patching CPU last
            tasks.append(Task(index=len(tasks), pid=0, comm="", cpu=cpu, kind="spare"))
        return tasks

    def load_image(self, image: Image) -> None:
        """Put an image's text and data in memory where no CPU has been yet, and watch its landings."""
        self.images.append(image)
        self.unwinder.add_image(image)
        for address, code in image.text:
            self.engine.fetch.load(address, code)
        for address, content in image.data:
            self.engine.memory.write(address, content)
        self.engine.tables.describe(list(image.text))
        for address, place, is_bug in image.traps:
            kind = ProbeKind.BUG if is_bug else ProbeKind.WARN
            self.engine.tables.set_probe(address, kind, len(self.places))
            self.places.append(place)

    def unload_image(self, image: Image) -> None:
        """Forget an image; its text is the caller's to free, and its traps and landings go with that."""
        self.images.remove(image)
        self.unwinder.remove_image(image)

    def mcount_locations(self, image: Image) -> list[int]:
        """Return the ``__mcount_loc`` table of an image as the guest's memory holds it."""
        table, count = image.mcount_loc
        return [self.engine.memory.load(table + 8 * at) for at in range(count)]

    def _watch_kernel(self) -> None:
        tables, symbols = self.engine.tables, self.image.symbols
        for name, kind in (
            ("klpemu_step", ProbeKind.STEP), ("send_ipi", ProbeKind.SEND_IPI),
            ("finish_task_switch", ProbeKind.SWITCH),
        ):  # fmt: skip
            tables.set_probe(self.image.address(name), kind)
        for name, flag in _FLAG_LABELS.items():
            tables.set_probe(self.image.address(name), ProbeKind.FLAG, flag)
        for name in _TRAMPOLINES:
            if name in symbols:
                tables.set_probe(symbols[name].address, ProbeKind.FLAG, CallFlag.HOOKED)
                self.classify_trampoline(symbols[name].address, symbols[name].size, symbols[name].address)
        for name in ("ftrace_ops_list_func", "ftrace_ops_test", "rcu_is_watching"):
            walk = symbols[name]
            tables.set_region(walk.address, walk.address + walk.size, s.PART_WALK)
        self.engine.set_vectors(
            sync=self.image.address("vector_sync"),
            timer=self.image.address("vector_timer"),
            reschedule=self.image.address("vector_reschedule"),
            trap=self.image.address("vector_breakpoint"),
            syscall=self.image.address("vector_syscall"),
        )

    def classify_trampoline(self, address: int, size: int, template: int) -> None:
        """Tell what saves and what restores in the trampoline at ``address``, a copy of ``template``."""
        symbols, tables = self.image.symbols, self.engine.tables
        name = next(name for name in _TRAMPOLINES if name in symbols and symbols[name].address == template)
        label = symbols[_TRAMPOLINES[name]].address
        behind = label if _TRAMPOLINES[name].endswith("_return") else label + self.port.site.poke_size
        restores = address + behind - template
        tables.set_region(address, restores, s.PART_SAVE)
        tables.set_region(restores, address + size, s.PART_RESTORE)

    def watch_function(self, function: int, body: int, size: int) -> None:
        """Record calls of a traced function.

        Args:
            function: its address.
            body: where its code is behind its site.
            size: bytes of all of it.
        """
        tables = self.engine.tables
        tables.set_probe(function, ProbeKind.ENTRY, function, end=function + size)
        tables.set_probe(body, ProbeKind.BODY, function)
        tables.set_region(function, body, s.PART_SITE)

    def watch_version(self, function: int, patch: int, size: int) -> None:
        """Record landings on the replacement at ``function``, of ``size`` bytes, as ``patch``'s."""
        self.engine.tables.set_probe(function, ProbeKind.VERSION, patch, end=function + size)

    def watch_trampoline(self, address: int) -> None:
        """Let a landing at ``address`` count as the site of the current call being on."""
        self.engine.tables.set_probe(address, ProbeKind.FLAG, CallFlag.HOOKED)

    def offer_calls(self, calls: Sequence[tuple[Call, int]]) -> None:
        """Let workers make these calls (call, address of its function) from now on, see `CallTables`."""
        self.call_tables.offer(calls)

    def _boot(self, *, seed: int) -> None:
        memory, address = self.engine.memory, self.image.address
        for task in self.tasks:
            if task.kind == "spare":
                continue
            first = address("ret_to_user_first" if task.kind == "user" else "ret_from_fork")
            create_task(memory, self.port, task, work=self.call_tables.work_of(task), first=first)
        start_times = np.random.default_rng(seed).integers(0, _BOOT_SPREAD, self.cpus)
        for spare in self.tasks:
            if spare.kind == "spare":
                create_spare(memory, spare)
        for cpu, area in enumerate(self.percpu):
            idle, own = self.tasks[cpu], [t for t in self.tasks if t.cpu == cpu and t.kind != "idle"]
            row = memory.view(PERCPU, area)[0]
            row["self"], row["cpu_number"] = area, cpu
            row["current_task"] = row["idle_task"] = idle.struct
            row["top_of_stack"] = idle.kernel_stack[1]
            row["rq"] = link_ring(memory, own)
            if cpu in self._tickless:
                self.engine.stop_tick(cpu)
            self.engine.start(
                cpu, pc=address("start_cpu"), argument=area, percpu=area, task=idle.index,
                task_struct=idle.struct, clock=int(start_times[cpu]),
            )  # fmt: skip

    def spawn(
        self,
        comm: str,
        calls: Sequence[tuple[int, tuple[int, ...]]],
        *,
        cpu: int,
        entry: str = "worker",
        forever: bool = False,
    ) -> Task:
        """Start a task that makes calls, whatever they return.

        Args:
            comm: its name.
            calls: (function, arguments), at most `SPARE_CALLS`.
            cpu: where it runs.
            entry: what it runs: ``worker``, as a kernel thread; or user text that makes each call by a system
                call: ``user_loop`` or ``user_spin``.
            forever: it starts again after the last call; else it is over then.

        Raises:
            NoSpareTaskError: every task there is room for on that CPU is in use.
        """
        index = next((task.index for task in self.tasks if task.cpu == cpu and self._is_free(task)), -1)
        if index < 0:
            raise NoSpareTaskError(comm, cpu)
        last_pid = self.image.address("last_pid")
        pid = self.engine.memory.load(last_pid) + 1
        self.engine.memory.store(last_pid, pid)
        user = entry != "worker"
        task = Task(
            index=index, pid=pid, comm=comm, cpu=cpu, kind="user" if user else "kthread",
            entry=self.image.address(entry),
        )  # fmt: skip
        whole = list(calls) if forever else [*calls, (self.image.address("do_exit"), ())]
        first = self.image.address("ret_to_user_first" if user else "ret_from_fork")
        work = self.call_tables.fill_spare(task, whole)
        create_task(self.engine.memory, self.port, task, first=first, work=work)
        parent = self._driver()  # copied together, as klp_copy_process has it
        for member in ("flags", "patch_state"):
            self.engine.memory.store(task.struct + TASK.offset(member), self.task_field(parent, member))
        self._enter(task)
        self.engine.memory.store(task.struct + TASK.offset("state"), CONSTANTS["TASK_RUNNING"])
        self.engine.interrupt(cpu, s.IRQ_RESCHEDULE)
        return task

    def _enter(self, task: Task) -> None:
        """Let a task take its slot, whoever has had it before."""
        self.engine.forget_task(task.index)
        self.tasks[task.index] = task
        self.on_task()

    def enter_child(self, struct: int) -> Task:
        """Take note of the child that kernel_clone is about to let run, and return it."""
        row = self.engine.memory.view(TASK, struct)[0]
        task = Task(
            index=int(row["index"]), pid=int(row["pid"]), comm=row["comm"].decode(), cpu=int(row["cpu"]),
            kind="user", entry=int(row["user_pc"]),
        )  # fmt: skip
        self._enter(task)
        return task

    def wake(self, task: Task, member: str, value: int) -> None:
        """Store to a member of a task's struct, or where its gate is, and let its CPU see to it."""
        self.engine.memory.store(task.struct + TASK.offset(member), value)
        self.engine.interrupt(task.cpu, s.IRQ_RESCHEDULE)

    def _is_free(self, task: Task) -> bool:
        """Whether a spare task's slot is in use neither by a task nor by a CPU that has not left it yet."""
        current = self.engine.memory.load(self.percpu[task.cpu] + PERCPU.offset("current_task"))
        dead = self.task_field(task, "state") == CONSTANTS["TASK_DEAD"]
        return task.index >= self._first_spare and dead and current != task.struct

    # --- services to the layers above -----------------------------------------------------------

    def printk(self, line: str) -> None:
        """Append a line to the kernel log."""
        self.log.append(line)
        self.on_log(line)

    def event(self, kind: EventKind, a: int = 0, b: int = 0, c: int = 0, *, cpu: int = PATCHING_CPU) -> None:
        """Record an event of a CPU.

        Args:
            kind: what has happened.
            a, b, c: its operands, each a u64.
            cpu: where it has.
        """
        block = self.engine.blocks[cpu]
        record_event(self.engine.ctl, block, int(kind), *(signed64(word) for word in (a, b, c)))

    def furthest_clock(self) -> int:
        """Return the clock of the CPU that is furthest ahead, cycles."""
        return max(self.engine.clock(cpu) for cpu in range(self.cpus))

    def warnings(self) -> int:
        """Return how many WARNs and BUGs have been hit."""
        return int(self.engine.ctl[s.CTL_WARNINGS])

    def event_module(self, base: int, size: int, *, loaded: bool) -> None:
        """Record that a module has come or gone."""
        self.event(EventKind.MODULE_LOAD if loaded else EventKind.MODULE_UNLOAD, base, size)

    def task_field(self, task: Task, member: str) -> int:
        """Return a member of a task's struct, unsigned."""
        return self.engine.memory.load(task.struct + TASK.offset(member))

    def stack(self, task: Task) -> list[int] | int:
        """Return the call stack of a task that stands still, newest first, or -EINVAL: see `Unwinder`.

        The patching task is on its CPU when it asks; every other one is switched out.
        """
        asks = task.struct == self.engine.blocks[PATCHING_CPU, s.CPU_TASK_STRUCT]
        return self.unwinder.reliable(task, self.registers_on_cpu(task) if asks else None)

    def registers_on_cpu(self, task: Task) -> dict[str, int]:
        """Return the registers that unwinding a task begins with, which its CPU runs now."""
        read = self.engine.read_register
        return {name: unsigned64(read(task.cpu, name)) for name in self.unwinder.registers}

    def last_breakpoint(self, cpu: int) -> int:
        """Return the address of the breakpoint that a CPU hit last, 0 if it never did."""
        return int(self.engine.blocks[cpu, s.CPU_BREAK_AT])

    def _release(self, address: int) -> None:
        self.heap.free(address)
