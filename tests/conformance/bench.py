"""`Bench`: a machine under test that may never go wrong: every step checks that it did not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from emu.build.memory_map import FAR_MODULES, KERNEL_TEXT, MODULES, TEXT_WINDOWS, TRAMPOLINES
from emu.ftrace import FtraceOps, OpsFlags
from emu.kernel.installer import Job
from emu.lab.machine import Machine
from emu.lab.patching import PatchHandle
from emu.livepatch import Patch
from emu.structs import FTRACE_OPS, PERCPU
from emu.trace.schema import CallFlag, EventKind
from tests.conformance.setups import Setup

Calls = NDArray[np.void]

NESTED_RESULTS = {"mini_leaf": {11, 21, 17}, "mini_recursive": {0, 1, 3, 6, 10}}
"""Low halves of the results of calls inside mini_nested(10, 20), mini_tail(8) and mini_recursive(5)."""

PATCHES = ("livepatch-mini", "livepatch-show")
"""Together they replace every function of the kernel whose site is at its entry."""


@dataclass(frozen=True, slots=True)
class State:
    """What must be back when everything is undone."""

    kernel_text: bytes
    variables: dict[str, bytes]
    heap: list[tuple[int, int, str]]


class Bench:
    """A booted machine of one setup.

    Args:
        setup: port, variant and mode.
        options: further arguments of `Machine`.
    """

    def __init__(self, setup: Setup, **options: object) -> None:
        # a short tick makes for short grace periods, which is what most of the time would go into
        given: dict[str, object] = {"cpus": 2, "tick": 1_500, **options}
        self.setup, self.port = setup, setup.port
        self.machine = Machine(
            arch=setup.port.name, mode=setup.mode, timing=setup.timing, call_ops=setup.call_ops,
            far_modules=setup.far_modules,
            **given,  # type: ignore[arg-type]  # each test names what it needs
        )  # fmt: skip
        # also what is rarely called otherwise, so that a few hundred calls are of every function
        self.machine.offer_calls([replace(call, every=1) for call in self.machine.manifest.calls])
        self.start = self.state()

    # --- running --------------------------------------------------------------------------------

    def run(self, calls: int = 300) -> Calls:
        """Run on, and return the rows of calls that were surely entered meanwhile."""
        since = self.machine.furthest_clock()
        report = self.machine.run(calls=calls)
        assert report.ok, "\n".join(report.lines())
        self.assert_sound()
        rows = self.machine.trace.calls
        entered: Calls = rows[rows["enter"] > since]
        return entered

    def run_until(self, condition: Callable[[], bool]) -> None:
        """Run until ``condition`` holds."""
        report = self.machine.run(until=condition)
        assert report.ok, "\n".join(report.lines())
        self.assert_sound()

    def run_cycles(self, cycles: int) -> None:
        """Run for some cycles of every CPU."""
        report = self.machine.run(cycles=cycles)
        assert report.ok, "\n".join(report.lines())
        self.assert_sound()

    def do(self, job: Job[int]) -> int:
        """Let the patching CPU do a job and return its result."""
        self.run_until(lambda: job.done)
        return job.result()

    def submit(self, body: Callable[[], int]) -> int:
        """Let the patching CPU run ``body`` and return its result."""
        return self.do(self.machine.kernel.installer.submit("test", body))

    def try_enable(self, patch: Patch | str) -> PatchHandle:
        """Ask for a patch and run until that is settled, either way."""
        handle = self.machine.livepatch.enable(patch)
        self.run_until(handle.settled)
        return handle

    def enable(self, patch: Patch | str) -> PatchHandle:
        """Enable a patch, which must work."""
        handle = self.try_enable(patch)
        assert handle.result == 0, self.machine.log[-3:]
        return handle

    def disable(self, handle: PatchHandle) -> None:
        """Disable a patch, which must work."""
        handle.disable()
        self.run_until(handle.settled)
        assert handle.result == 0, self.machine.log[-3:]

    def trace(self, function: str, *, save_regs: bool = False, ipmodify: bool = False) -> int:
        """Put a counting ops on ``function``."""
        return self.do(self.machine.tracing.add(function, save_regs=save_regs, ipmodify=ipmodify))

    def untrace(self, function: str) -> int:
        """Take the newest one off."""
        return self.do(self.machine.tracing.remove(function))

    def trace_all(self, *, save_regs: bool = False) -> FtraceOps:
        """Put one counting ops on all functions of the kernel at once, and return it."""
        ftrace, guest = self.machine.ftrace, self.machine.kernel.guest
        address = self.machine.kallsyms.address_of
        found: list[FtraceOps] = []

        def body() -> int:
            ops = ftrace.ops(guest.alloc(FTRACE_OPS.size, "ftrace_ops"))
            ops.view["func"] = address("ftrace_count_hits")
            ops.view["flags"] = OpsFlags.DYNAMIC | (OpsFlags.SAVE_REGS if save_regs else 0)
            found.append(ops)
            for function in self.functions():
                if not save_regs or self.entry_site(function):  # old-style sites save no full pt_regs
                    assert ftrace.ftrace_set_filter_ip(ops, address(function)) == 0
            return ftrace.register_ftrace_function(ops)

        assert self.submit(body) == 0
        return found[0]

    def untrace_all(self, ops: FtraceOps) -> None:
        """Take an ops of `trace_all` off again and free it."""
        ftrace, guest = self.machine.ftrace, self.machine.kernel.guest

        def body() -> int:
            ret = ftrace.unregister_ftrace_function(ops)
            ftrace.hashes.free_later(ops.view["local_hash.filter_hash"])
            ftrace.rcu.barrier("test")
            guest.free(ops.address, "ftrace_ops")
            return ret

        assert self.submit(body) == 0

    def hits(self, ops: FtraceOps) -> int:
        """Return how often the handler of ``ops`` has been called."""
        return self.machine.kernel.engine.memory.load(ops.view.at("hits"))

    def last_event(self, kind: EventKind) -> int:
        """Return the number of the last event of a kind."""
        events = self.machine.trace.events
        return int(events[events["kind"] == kind]["seq"][-1])

    def unload_patch(self, name: str) -> None:
        """Rmmod a disabled patch."""
        klp = self.machine.livepatch.core

        def body() -> int:
            ret = klp.unload(klp.find(name))
            if not ret:
                self.machine.loader.forget(name)
            return ret

        assert self.submit(body) == 0

    # --- looking --------------------------------------------------------------------------------

    def functions(self) -> list[str]:
        """Return the traced functions of the kernel."""
        return sorted(self.machine.kernel.image.sites)

    def patchable(self) -> list[str]:
        """Return those that livepatch may replace: all but the old-style ones."""
        return [name for name in self.functions() if self.entry_site(name)]

    def entry_site(self, function: str) -> int:
        """Return the site at the entry of ``function``, 0 when it has none."""
        sites, kallsyms = self.machine.ftrace.sites, self.machine.kallsyms
        return sites.entry_site(kallsyms.address_of(function)).ip

    def of(self, rows: Calls, function: str) -> Calls:
        """Return the rows that are calls of ``function``, a kernel function or a module's."""
        kallsyms = self.machine.kallsyms
        found = [s.address for owner in kallsyms.objects() for s in kallsyms.find(owner, function)]
        own: Calls = rows[rows["site"] == found[0]]
        return own

    def called_from_site(self, function: str) -> int | None:
        """Return what the site of ``function`` calls now, None when it is off."""
        kallsyms = self.machine.kallsyms
        found = [s.address for owner in kallsyms.objects() for s in kallsyms.find(owner, function)]
        site = self.machine.ftrace.sites.locate(found[0])
        code = self.machine.kernel.engine.memory.read(site, self.port.site.poke_size)
        return self.port.call_target(site, code)

    def is_off(self, function: str) -> bool:
        """Whether the site of ``function`` holds the port's NOP."""
        return self.machine.site_bytes(function) == self.port.site.nop

    def percpu(self, cpu: int, member: str) -> int:
        """Return a member of a CPU's area."""
        kernel = self.machine.kernel
        return kernel.engine.memory.load(kernel.percpu[cpu] + PERCPU.offset(member))

    def where(self, cpu: int) -> str:
        """Return the function that a CPU is in."""
        pc = self.machine.kernel.engine.read_register(cpu, self.port.registers.pc)
        return self.machine.kallsyms.name_at(pc)

    def new_log(self, since: int) -> list[str]:
        """Return the kernel log behind its first ``since`` lines."""
        return self.machine.log[since:]

    def state(self) -> State:
        """Return what must be back in the end."""
        kernel = self.machine.kernel
        memory, symbols = kernel.engine.memory, kernel.image.symbols
        scratch = {"call_buffer", "klp_driver_gate"}  # written by calls, and by the driver whenever it works
        return State(
            kernel_text=memory.read(KERNEL_TEXT.base, KERNEL_TEXT.size),
            variables={
                # of the text pokes' table only the count matters: nobody clears used entries
                name: memory.read(symbols[name].address, 8 if name == self.port.tracing.shield else size)
                for name, size in self.machine.manifest.variables.items()
                if name not in scratch
            },
            heap=[(found.address, found.size, found.what) for found in kernel.heap.live()],
        )

    # --- checking -------------------------------------------------------------------------------

    def assert_sound(self) -> None:
        """No wrong result, register or stack pointer, no WARN, every stack pointer in its stack."""
        assert self.machine.bad_results() == 0
        assert self.machine.kernel.warnings() == 0, self.warned_places()
        self.assert_stacks_balanced()

    def warned_places(self) -> list[str]:
        """Return the places of all WARNs so far, in order."""
        places = {address: place for address, place, _ in self.machine.kernel.image.traps}
        events = self.machine.trace.events
        return [places.get(int(a), f"{int(a):#x}") for a in events["a"][events["kind"] == EventKind.WARN]]

    def assert_stacks_balanced(self) -> None:
        """Every task's stack pointer, saved or in a register, is in one of its stacks."""
        kernel = self.machine.kernel
        running = {self.percpu(cpu, "current_task"): cpu for cpu in range(kernel.cpus)}
        for task in kernel.tasks:
            cpu = running.get(task.struct)
            if cpu is None:
                sp = kernel.task_field(task, "sp")
            else:
                sp = kernel.engine.read_register(cpu, self.port.registers.sp)
                if not self.percpu(cpu, "online") or self.where(cpu) == "__switch_to":
                    continue  # it has not taken its stack yet
            (low, high), (user_low, user_high) = task.kernel_stack, task.user_stack
            assert low < sp <= high or user_low < sp <= user_high, f"{task.comm}: {sp:#x}"

    def assert_results(self, rows: Calls) -> None:
        """Every row has the right result: low half the function's, upper half the version that ran."""
        assert len(rows)
        expected = {call.fn: call.expected for call in self.machine.manifest.calls}
        for function in self.functions():
            found = self.of(rows, function)
            low, high = found["result"] & 0xFFFF_FFFF, found["result"] >> 32
            outer = found["depth"] == 0
            assert set(low[outer].tolist()) <= {expected[function]}, function
            assert set(low[~outer].tolist()) <= NESTED_RESULTS.get(function, set()), function
            own = found["flags"] & CallFlag.TAIL == 0  # else it is the callee's
            np.testing.assert_array_equal(high[own], found["patch"][own], function)
            redirected = found["flags"] & CallFlag.REDIRECTED != 0
            np.testing.assert_array_equal(redirected, found["patch"] != 0, function)
            np.testing.assert_array_equal(redirected, found["target"] != found["site"], function)

    def assert_flags(self, rows: Calls, *, hooked: set[str], patched: dict[str, int]) -> None:
        """The rows of every function are all hooked, all of one version, or neither."""
        self.assert_results(rows)
        for function in self.functions():
            found = self.of(rows, function)
            assert len(found), f"{function} was not called"
            on = found["flags"] & CallFlag.HOOKED != 0
            assert on.all() if function in hooked else not on.any(), function
            assert set(found["patch"].tolist()) == {patched.get(function, 0)}, function

    def assert_undone(self) -> None:
        """Text, variables, heap and every CPU's fetched text are as after boot; loaded text is trapped."""

        def barrier() -> int:
            self.machine.ftrace.rcu.barrier("test")
            return 0

        self.submit(barrier)
        now, start = self.state(), self.start
        assert now.heap == start.heap
        assert now.variables == start.variables
        assert now.kernel_text == start.kernel_text
        engine = self.machine.kernel.engine
        traps = self.port.trap_fill(TRAMPOLINES.size).tobytes()
        for area in (TRAMPOLINES, MODULES, FAR_MODULES):
            held = engine.memory.read(area.base, area.size)
            used = held.rstrip(b"\0")
            assert used == traps[: len(used)] or not used, area.name
        for cpu in range(engine.cpus):
            for window in TEXT_WINDOWS:
                held = engine.memory.read(window.base, window.size)
                assert engine.fetch.seen_by(cpu, window.base, window.size) == held, f"CPU{cpu}: {window.name}"
