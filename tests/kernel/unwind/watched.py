"""A machine whose unwinder is told of all code, and whose every stack is compared with the truth."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar
from unittest.mock import patch as replaced

from emu.arch.tracing import Poke
from emu.build.image import Image
from emu.build.memory_map import TRAMPOLINES, USER_TEXT
from emu.kernel.installer import Job
from emu.kernel.modules import Module
from emu.kernel.unwind import Unwinder
from emu.lab.machine import Machine
from emu.livepatch import Func, Object, Patch
from emu.machine.state import IRQ_RESCHEDULE, IRQ_TIMER
from tests.kernel.unwind.twin import Interrupted, Twin

T = TypeVar("T")

PATCHES = ("livepatch-mini", "livepatch-show", "livepatch-target")
"""Of the manifest: together they replace every function of the kernel and of module target that can be."""
TRACED_ALONE = "mini_loop"
"""The one that is left out: a handler that wants all registers has its site for itself."""
TRACED_TOO = ("mini_leaf", "mini_nested", "mini_mcount", "mini_tail")
"""They are traced as well, so that the list function is between."""
HANDLERS = ("interrupt_common", "irq_exit")
"""First instructions, of either port, where the registers of what was interrupted are all saved."""


class Watched:
    """One machine.

    Args:
        arch: its port.
        options: further arguments of `Machine`.
    """

    def __init__(self, arch: str, **options: object) -> None:
        given: dict[str, object] = {"cpus": 2, "workers": 1, "users": 1, "tick": 2_000, "seed": 5, **options}
        given = {"mode": "exact", "schedule": "random", **given}
        self.machine = Machine(arch=arch, **given)  # type: ignore[arg-type]  # each test names what it needs
        self.kernel, self.port = self.machine.kernel, self.machine.port
        self.unwinder = Unwinder(self.port, self.kernel.engine.memory)
        self.unwinder.add_image(self.kernel.image)
        self.copies: list[range] = []
        self._listen()

    def _listen(self) -> None:
        loader, trampolines = self.machine.loader, self.machine.ftrace.trampolines
        on_module, on_plt, on_trampoline = loader.on_module, trampolines.on_plt, trampolines.on_trampoline

        def module(new: Module, image: Image) -> None:
            on_module(new, image)
            self.unwinder.add_image(image)

        def plt(name: str, entries: Sequence[Poke], targets: Sequence[int]) -> None:
            on_plt(name, entries, targets)
            code = b"".join(entry.data for entry in entries)
            self.unwinder.add_text(f"plt of {name}", entries[0].address, code)

        def trampoline(at: int, code: bytes, template: int, ops: int) -> None:
            on_trampoline(at, code, template, ops)
            self.unwinder.add_text("ftrace_trampoline", at, code, template=template)
            self.copies.append(range(at, at + len(code)))

        loader.on_module, trampolines.on_plt, trampolines.on_trampoline = module, plt, trampoline

    # --- doing --------------------------------------------------------------------------------------

    def at_once(self, ask: Callable[[], T]) -> T:
        """Have what ``ask`` submits done before the next instruction of any CPU."""
        jobs: list[Job[object]] = []

        def submit(name: str, body: Callable[[], object]) -> Job[object]:
            jobs.append(Job(name, body))
            return jobs[-1]

        with replaced.object(self.kernel.installer, "submit", submit):
            answer = ask()
        for job in jobs:
            job.finish(job.body(), None)
            assert job.result() in (0, None) or int(str(job.result())) > 0, f"{job.name}: {job.result()}"
        return answer

    def replace_everything(self) -> None:
        """Patch all that can be patched but one, and trace some of it, before anybody runs."""
        machine, functions = self.machine, defaultdict[str, dict[str, str]](dict)
        self.at_once(lambda: machine.load("target"))
        for name in PATCHES:
            for owner, pairs in machine.manifest.patches[name].objects.items():
                functions[owner] |= {old: new for old, new in pairs.items() if old != TRACED_ALONE}
        objects = [
            Object(None if owner == "vmlinux" else owner, tuple(Func(*pair) for pair in pairs.items()))
            for owner, pairs in functions.items()
        ]
        self.at_once(lambda: machine.livepatch.enable(Patch("everything", tuple(objects))))
        for function in TRACED_TOO:
            self.at_once(partial(machine.tracing.add, function))
        for function in (TRACED_ALONE, "mini_leaf"):
            self.at_once(partial(machine.tracing.add, function, save_regs=True))


class Score:
    """The unwinder's answers, beside the truth, at each place of each stack that comes up for the first time.

    Args:
        watched: the machine; it has not run yet.
        interrupting: an interrupt comes before each instruction that takes one, once.

    Attributes:
        reliable: the places, as functions see them, that were reported right.
        unreliable: by function, the problems that were named.
        asleep: how many times a stack was right when its task was switched out.
        in_copies: how many stacks had a place in a kprobe's copy of an instruction, which nobody can tell.
    """

    def __init__(self, watched: Watched, *, interrupting: bool = False) -> None:
        self.watched, self.twin = watched, Twin(watched.kernel, watched.copies)
        self._interrupting = interrupting
        self._interrupted: set[int] = set()
        self._seen: set[tuple[int, ...]] = set()
        self._handlers = {
            watched.kernel.image.address(name) for name in HANDLERS if name in watched.kernel.image.symbols
        }
        self.reliable: set[int] = set()
        self.unreliable: dict[str, set[str]] = defaultdict(set)
        self.asleep = self.in_copies = 0

    def run(self, steps: int) -> None:
        """Execute so many instructions and compare."""
        for _ in range(steps):
            self.step()

    def step(self) -> int:
        """Execute one instruction, compare, and return the CPU that did."""
        number = self.twin.step()
        if self.twin.switched_out is not None:
            self._compare_asleep()
        cpu = self.twin.cpus[number]
        if cpu.pc not in USER_TEXT:
            self._compare(number)
            if self._interrupting and cpu.pc not in self._interrupted:
                self._interrupt(number)
        return number

    def _interrupt(self, number: int) -> None:
        engine = self.watched.kernel.engine
        if engine.interrupts_enabled(number):
            self._interrupted.add(self.twin.cpus[number].pc)
            engine.interrupt(number, IRQ_TIMER if len(self._interrupted) % 2 else IRQ_RESCHEDULE)

    def _compare_asleep(self) -> None:
        task = self.twin.switched_out
        assert task is not None
        walk, truth = self.watched.unwinder.walk(task), self.twin.asleep(task)
        if self._has_copy(truth):
            assert walk.problem, f"{task.comm} asleep: in a kprobe's copy"
            return
        assert not walk.problem, f"{task.comm} asleep: {walk.problem}"
        self._assert_same(list(walk.entries), truth)
        self.asleep += 1

    def _compare(self, number: int) -> None:
        cpu, engine = self.twin.cpus[number], self.watched.kernel.engine
        truth = self.twin.running(number)
        key = self._place(number, truth)
        if key in self._seen:
            return
        self._seen.add(key)
        registers = {name: engine.read_register(number, name) for name in self.watched.port.registers.all}
        walk = self.watched.unwinder.walk(cpu.task, registers)
        if self._has_copy(truth):
            assert walk.problem, "a kprobe's copy has no frame that is known"
            self.in_copies += 1
        elif walk.problem:
            assert not engine.interrupts_enabled(number), f"{walk.problem}, and interrupts are on"
            function = self.watched.unwinder.place(cpu.pc).split("+")[0]
            self.unreliable[function].add(walk.problem)
        else:
            changing = self.twin.in_breakpoint(number)
            self._assert_same(list(walk.entries), truth, may_have_more=changing)
            self.reliable.add(cpu.pc)

    def _has_copy(self, truth: list[int]) -> bool:
        """Whether a place is in a kprobe's copy of an instruction, which lies between the trampolines."""
        known = self.watched.copies
        return any(at in TRAMPOLINES and not any(at in code for code in known) for at in truth)

    def _place(self, number: int, truth: list[int]) -> tuple[int, ...]:
        """Return what makes a place a new one: all of its stack; in a handler, only the handler's part."""
        stack = self.twin.cpus[number].stack
        interrupted = [at for at, entry in enumerate(reversed(stack)) if isinstance(entry, Interrupted)]
        whole = not interrupted or truth[0] in self._handlers
        return tuple(truth if whole else truth[: interrupted[0] + 1])

    def _assert_same(self, found: list[int], truth: list[int], *, may_have_more: bool = False) -> None:
        if may_have_more and set(truth) <= set(found):
            return
        place = self.watched.unwinder.place
        assert found == truth, f"found {[place(at) for at in found]}, true are {[place(at) for at in truth]}"
