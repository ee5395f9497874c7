"""How fast are calls traced, next to bare Unicorn and next to Unicorn with hooks in Python?

Everything runs the same code of the same booted kernel: one worker task per CPU calls the functions of
the mini image in turn (all but mini_sleep, which needs timer ticks) while livepatch-sample is enabled.

klpemu fast, klpemu exact   as users get them; exact with schedule "least-clock": the next CPU at each
                            instruction. Timer interrupts go on.
bare Unicorn                the same memory and registers in an instance without any hook; one CPU, nothing
                            recorded, no interrupts.
bare Unicorn, no code in data   the same, but told through Unicorn's virtual TLB that data pages hold no code:
                            without that it has every store look for translated code to drop.
Python block hooks          plain Unicorn as a user of its binding would do klpemu's job: a callable per
                            translation block counts instructions, notices entry, version and return of every
                            traced call, keeps a row of each, and ends a CPU's turn after its quantum.
Python instruction hooks    the same with a callable per instruction, and turns by Unicorn's own count.

Contenders take slices in turn (A B C A B C ...), so that each round's quotients are of the same moment.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Any, Protocol

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from numpy.typing import NDArray
from unicorn import unicorn_const as uc_const
from unicorn.unicorn_py3.unicorn import Uc

from benchmarks.harness import PORTS, Result, Table, Target, main, ratios, spread
from emu.build.memory_map import DATA_BASE, TEXT_WINDOWS
from emu.lab.machine import Machine
from emu.machine import state as s
from emu.machine.memory import TEXT_SIZE, page_aligned
from emu.machine.registers import engine_cpu, register_number

_QUANTUM = 500
_MOST_PYTHON_CPUS = 4
_EXACT_FLOOR = 2.5e6


class Contender(Protocol):
    """Something that runs calls and can say how many."""

    name: str
    cpus: int

    def run(self, seconds: float) -> tuple[float, int, int]:
        """Run for about so long; return (seconds, traced calls, instructions)."""


class Klpemu:
    """A machine as users get it."""

    def __init__(self, arch: str, cpus: int, mode: str) -> None:
        self.name, self.cpus = f"klpemu {mode}", cpus
        self.machine = _prepared(arch, cpus, mode)
        self._rate = 1e6
        self.run(0.05)

    def run(self, seconds: float) -> tuple[float, int, int]:
        """Run so many instructions as took this long last time."""
        machine = self.machine
        calls, instructions = machine.calls_done, machine.kernel.engine.instructions()
        began = time.perf_counter()
        report = machine.run(instructions=int(self._rate * seconds))
        took = time.perf_counter() - began
        assert report.ok, report.lines()
        instructions = machine.kernel.engine.instructions() - instructions
        self._rate = instructions / took
        return took, machine.calls_done - calls, instructions


def _prepared(arch: str, cpus: int, mode: str) -> Machine:
    """Return a patched machine whose CPUs all run their worker, which never sleeps."""
    schedule = "least-clock" if mode == "exact" else None
    machine = Machine(arch=arch, cpus=cpus, workers=1, users=0, mode=mode, schedule=schedule, ordering="sc")
    handle = machine.livepatch.enable("livepatch-sample")
    assert machine.run(until=handle.answered).ok, "livepatch answers"
    if not handle.settled():  # a worker that is alone on its CPU hardly ever sleeps where it can be switched
        machine.wait(machine.files.write(f"/sys/kernel/livepatch/{handle.patch.name}/force", "1"))
    report = machine.run(until=handle.settled)
    assert report.ok, report.lines()
    assert handle.result == 0, handle.patch.name
    kernel = machine.kernel
    kernel.offer_calls(
        [(call, kernel.image.address(call.fn)) for call in machine.manifest.calls if call.fn != "mini_sleep"]
    )
    machine.run(calls=1_000 * cpus)
    workers = {task.index for task in kernel.tasks if task.comm.startswith("worker")}
    assert set(kernel.engine.blocks[:, s.CPU_TASK].tolist()) <= workers, "no CPU is idle"
    return machine


class Copy:
    """The CPUs and the memory of a machine in Unicorn instances of their own, without hooks."""

    def __init__(self, arch: str, cpus: int) -> None:
        self.machine = _prepared(arch, cpus, "fast")
        engine, port = self.machine.kernel.engine, self.machine.port
        self._text: NDArray[np.uint8] = page_aligned(TEXT_SIZE)
        self._text[:] = engine.memory.text
        self.pc = [int(engine.blocks[cpu, s.CPU_PC]) for cpu in range(cpus)]
        self.pc_register = register_number(port, port.registers.pc)
        self.ucs = [self._copy(engine._uc[cpu]) for cpu in range(cpus)]

    def _copy(self, original: Uc) -> Uc:
        kind = engine_cpu(self.machine.port)
        uc = Uc(kind.arch, kind.mode)
        if kind.model is not None:
            uc.ctl_set_cpu_model(kind.model)
        uc.ctl_set_tcg_buffer_size(64 << 20)
        offset = self._text.ctypes.data
        readable = uc_const.UC_PROT_READ
        for window in TEXT_WINDOWS:
            uc.mem_map_ptr(window.base, window.size, readable | uc_const.UC_PROT_EXEC, offset)
            offset += window.size
        data = self.machine.kernel.engine.memory.data
        uc.mem_map_ptr(DATA_BASE, data.size, readable | uc_const.UC_PROT_WRITE, data.ctypes.data)
        uc.context_restore(original.context_save())
        return uc

    def top_level_calls(self) -> int:
        """Return how many calls the workers have made, as the guest counts them."""
        kernel = self.machine.kernel
        return sum(kernel.task_field(task, "calls_done") for task in kernel.tasks if task.kind != "idle")


def _on_tlb_fill(_uc: Uc, address: int, _kind: int, entry: Any, _user: object) -> bool:
    """Say once for each page where it is and what it may be used for."""
    entry.paddr = address
    entry.perms = uc_const.UC_PROT_READ
    entry.perms |= uc_const.UC_PROT_WRITE if address >= DATA_BASE else uc_const.UC_PROT_EXEC
    return True


class Bare:
    """Unicorn without hooks, one CPU."""

    def __init__(self, arch: str, *, no_code_in_data: bool = False) -> None:
        self.name, self.cpus = ("bare Unicorn, no code in data" if no_code_in_data else "bare Unicorn"), 1
        self._copy = Copy(arch, 1)
        if no_code_in_data:
            uc = self._copy.ucs[0]
            uc.ctl_set_tlb_mode(uc_const.UC_TLB_VIRTUAL)
            uc.hook_add(uc_const.UC_HOOK_TLB_FILL, _on_tlb_fill)
        self._calls_each, self._instructions_each = self._per_top_level_call()
        self.run(0.05)

    def _per_top_level_call(self) -> tuple[float, float]:
        """Return traced calls and instructions per call that the guest counts, as klpemu finds them."""
        machine = _prepared(self._copy.machine.scenario.arch, 1, "fast")
        task = next(task for task in machine.kernel.tasks if task.comm.startswith("worker"))
        engine = machine.kernel.engine
        engine.ctl[s.CTL_TICK] = 0  # bare Unicorn gets no timer interrupts either
        done = machine.kernel.task_field(task, "calls_done")
        calls, instructions = machine.calls_done, engine.instructions()
        machine.run(calls=100_000)
        done = machine.kernel.task_field(task, "calls_done") - done
        return (machine.calls_done - calls) / done, (engine.instructions() - instructions) / done

    def run(self, seconds: float) -> tuple[float, int, int]:
        """Run until another thread says stop; Unicorn's own timeout polls the clock all the time."""
        copy, uc = self._copy, self._copy.ucs[0]
        done, pc = copy.top_level_calls(), uc.reg_read(copy.pc_register)
        alarm = threading.Timer(seconds, uc.emu_stop)
        alarm.start()
        began = time.perf_counter()
        uc.emu_start(pc, 0)
        took = time.perf_counter() - began
        alarm.join()
        done = copy.top_level_calls() - done
        return took, int(done * self._calls_each), int(done * self._instructions_each)


class PythonHooks:
    """Unicorn with hooks in Python that trace calls and take turns."""

    def __init__(self, arch: str, cpus: int, *, every_instruction: bool) -> None:
        self.name = "Python instruction hooks" if every_instruction else "Python block hooks"
        self.cpus = cpus
        self._copy = Copy(arch, cpus)
        self._every_instruction = every_instruction
        machine, kernel = self._copy.machine, self._copy.machine.kernel
        registers = machine.port.registers
        self._sp, self._result = (register_number(machine.port, n) for n in (registers.sp, registers.result))
        self._link = engine_cpu(machine.port).link
        self._body = {
            site + machine.port.site.body_offset: kernel.image.address(name)
            for name, site in kernel.image.sites.items()
        }
        self._entry = {kernel.image.address(name) for name in kernel.image.sites}
        traced = machine.trace.calls
        patched = traced[traced["patch"] > 0]
        self._version = {int(target): int(patch) for target, patch in np.unique(patched[["target", "patch"]])}
        self._watched = {*self._body, *self._entry, *self._version}
        self._lengths: dict[int, int] = {}
        self.rows: list[tuple[int, ...]] = []
        self._instructions = [0] * cpus
        self._turn_end = [0] * cpus
        self._open: list[list[list[int]]] = [[] for _ in range(cpus)]
        self._expected = [-1] * cpus
        self._index = np.array(kernel.engine.tables.index)
        hook = self._on_instruction if every_instruction else self._on_block
        kind = uc_const.UC_HOOK_CODE if every_instruction else uc_const.UC_HOOK_BLOCK
        for cpu, uc in enumerate(self._copy.ucs):
            uc.hook_add(kind, hook, cpu)
        self.run(0.05)

    def _on_instruction(self, uc: Uc, address: int, _size: int, cpu: int) -> None:
        self._instructions[cpu] += 1
        if address in self._watched or address == self._expected[cpu]:
            self._landing(uc, address, cpu)

    def _on_block(self, uc: Uc, address: int, size: int, cpu: int) -> None:
        if self._instructions[cpu] >= self._turn_end[cpu]:
            uc.emu_stop()
            return
        count = self._lengths.get(address)
        if count is None:
            count = self._lengths[address] = self._count(address, size)
        if address in self._watched or address == self._expected[cpu]:
            self._landing(uc, address, cpu)
        self._instructions[cpu] += count

    def _count(self, address: int, size: int) -> int:
        """Return the instructions of a block; the machine has decoded all text already."""
        offset = 0
        for window in TEXT_WINDOWS:
            if address in window:
                offset += address - window.base
                return int(self._index[offset + size] - self._index[offset])
            offset += window.size
        return 0

    def _landing(self, uc: Uc, address: int, cpu: int) -> None:
        """Open, dispatch or close calls: the same that klpemu records."""
        calls, now = self._open[cpu], self._instructions[cpu]
        while calls and address == self._expected[cpu] and calls[-1][4] == uc.reg_read(self._sp):
            site, target, patch, enter, _, parent = calls.pop()
            self._expected[cpu] = calls[-1][5] if calls else -1
            self.rows.append((cpu, site, parent, target, patch, enter, now, uc.reg_read(self._result)))
        if address in self._version and calls:
            calls[-1][1:3] = address, self._version[address]
        elif address in self._entry:
            sp = int(uc.reg_read(self._sp))
            if self._link < 0:
                parent, sp = int.from_bytes(uc.mem_read(sp, 8), "little"), sp + 8
            else:
                parent = int(uc.reg_read(self._link))
            calls.append([address, address, 0, now, sp, parent])
            self._expected[cpu] = parent
        elif address in self._body and calls:
            calls[-1][1] = self._body[address]

    def run(self, seconds: float) -> tuple[float, int, int]:
        """Give CPUs turns in order."""
        copy, calls, instructions = self._copy, len(self.rows), sum(self._instructions)
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            for cpu, uc in enumerate(copy.ucs):
                if self._every_instruction:
                    uc.emu_start(copy.pc[cpu], 0, count=_QUANTUM)
                else:
                    self._turn_end[cpu] = self._instructions[cpu] + _QUANTUM
                    uc.emu_start(copy.pc[cpu], 0)
                copy.pc[cpu] = uc.reg_read(copy.pc_register)
        took = time.perf_counter() - began
        return took, len(self.rows) - calls, sum(self._instructions) - instructions


def _contenders(arch: str, cpus: int, bare: list[Bare]) -> list[Contender]:
    found: list[Contender] = [
        *(bare if cpus == 1 else bare[:1]),
        Klpemu(arch, cpus, "fast"),
        Klpemu(arch, cpus, "exact"),
    ]
    if cpus <= _MOST_PYTHON_CPUS:
        found += [PythonHooks(arch, cpus, every_instruction=each) for each in (False, True)]
    return found


def measure(quick: bool) -> Result:
    """Let the contenders take slices in turn, for each port and number of CPUs."""
    counts = (1, 4) if quick else (1, 2, 4, 16, 64)
    rounds, seconds = (2, 0.15) if quick else (7, 0.4)
    rows: list[tuple[str, ...]] = []
    data: list[dict[str, object]] = []
    targets: list[Target] = []
    for arch in PORTS:
        bare = [Bare(arch), Bare(arch, no_code_in_data=True)]
        for cpus in counts:
            contenders = _contenders(arch, cpus, bare)
            slices: dict[str, list[tuple[float, int, int]]] = {one.name: [] for one in contenders}
            for one in contenders:
                one.run(seconds)  # once for nothing: translation
            for _ in range(rounds):
                for one in contenders:
                    slices[one.name].append(one.run(seconds))
            _checked(contenders)
            new_rows, new_targets = _evaluate(arch, cpus, slices)
            rows += new_rows
            targets += new_targets
            data.append({"arch": arch, "cpus": cpus, "slices": slices})
    table = Table(
        title="Traced calls and instructions per second, all CPUs together",
        columns=(
            "port, contender", "CPUs", "thousand calls/s", "million instructions/s", "of bare Unicorn",
            "x Python block hooks", "x Python instruction hooks",
        ),
        rows=tuple(rows),
    )  # fmt: skip
    return Result(tables=(table,), data={"rounds": data}, targets=tuple(targets), notes=_NOTES)


_NOTES = (
    "bare Unicorn always has one CPU; its calls are the guest's own count times the traced calls in each",
    "quotients are of calls per second, medians of the rounds",
)


def _checked(contenders: list[Contender]) -> None:
    """Assert that the guest found nothing wrong."""
    for one in contenders:
        machine: Any = getattr(one, "machine", None)
        assert machine is None or machine.bad_results() == 0, f"{one.name}: wrong results"


def _evaluate(
    arch: str, cpus: int, slices: dict[str, list[tuple[float, int, int]]]
) -> tuple[list[tuple[str, ...]], list[Target]]:
    rates = {name: [calls / took for took, calls, _ in found] for name, found in slices.items()}
    rows, targets = [], []
    for name, found in slices.items():
        if name == "bare Unicorn" and cpus > 1:
            continue
        instructions = spread(count / took for took, _, count in found)
        quotients = []
        for other in ("bare Unicorn", "Python block hooks", "Python instruction hooks"):
            if other == name or other not in rates:
                quotients.append("")
                continue
            quotient = ratios(rates[name], rates[other])
            percent = other == "bare Unicorn"
            quotients.append(f"{100 * quotient.median:.3g} %" if percent else f"{quotient.median:,.3g}")
            if name == "klpemu fast" and (cpus == 1 or not percent):
                targets.append(_fast_target(arch, cpus, other, quotient.median, quotient.low, quotient.high))
        if name == "klpemu exact":
            targets.append(
                Target(
                    wanted=f"{arch}, {cpus} CPUs: klpemu exact at least 2.5 million instructions/s",
                    found=instructions.text(scale=1e6), met=instructions.median >= _EXACT_FLOOR,
                )
            )  # fmt: skip
        rows.append(
            (
                f"{arch} {name}", str(cpus),
                spread(rates[name]).text(scale=1e3, digits=1), instructions.text(scale=1e6), *quotients,
            )
        )  # fmt: skip
    return rows, targets


def _fast_target(arch: str, cpus: int, other: str, middle: float, low: float, high: float) -> Target:
    if other == "bare Unicorn":
        return Target(
            wanted=f"{arch}: klpemu fast at least 50 % of bare Unicorn",
            found=f"{100 * middle:.1f} ({100 * low:.1f} .. {100 * high:.1f}) %", met=middle >= 0.5,
        )  # fmt: skip
    return Target(
        wanted=f"{arch}, {cpus} CPUs: klpemu fast at least 20 x {other}",
        found=f"{middle:.1f} ({low:.1f} .. {high:.1f}) x", met=middle >= 20,
    )  # fmt: skip


if __name__ == "__main__":
    main(__doc__, measure)
