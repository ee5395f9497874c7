"""The modules viccore, victim and late: what their functions answer, and how they sleep at a gate.

The formulas are those of docs/guest-kernel.md, "Functions that tell their version".
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from emu.build.contents import Call
from emu.kernel.errno import EINVAL
from emu.kernel.tasks import Task
from emu.lab.machine import Machine
from emu.livepatch import Func, Object, Patch
from emu.structs import CONSTANTS, TASK

TELLERS = ("vic_alpha", "vic_beta", "vic_gamma", "vic_delta", "vic_tail", "dup1", "dup2")
LATE = ("late_ping", "late_pong", "late_init", "late_exit")
ON_GATE, ON_GATE_INTR = CONSTANTS["TASK_ON_GATE"], CONSTANTS["TASK_ON_GATE_INTR"]
MINUS_ERESTARTSYS = 0xFFFF_FE00


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """One machine to try."""

    arch: str
    far: bool = False

    def __str__(self) -> str:
        return f"{self.arch}{'-far' if self.far else ''}"


SETUPS = [Setup(arch="x86_64"), Setup(arch="arm64"), Setup(arch="arm64", far=True)]


class Bench:
    """A machine with viccore and victim, whose workers call what a test says."""

    def __init__(self, setup: Setup) -> None:
        self.machine = Machine(
            "reference", arch=setup.arch, cpus=2, workers=1, users=1, tick=1_500,
            far_modules=setup.far, call_ops=setup.far,
        )  # fmt: skip
        for name in ("viccore", "victim"):
            assert self.machine.wait(self.machine.load(name)) == 0
        self.tasks = [task for task in self.machine.kernel.tasks if task.comm.startswith(("worker", "user"))]

    def at(self, name: str) -> int:
        """Return the address of a symbol, the kernel's or a module's."""
        kallsyms = self.machine.kallsyms
        found = [symbol for owner in kallsyms.objects() for symbol in kallsyms.find(owner, name)]
        return found[0].address

    def offer(self, function: str, *args: int, expected: int) -> None:
        """Let all workers call ``function`` through vic_show, from now on."""
        call = Call(fn="vic_show", args=(self.at(function), *args), expected=expected)
        self.machine.kernel.offer_calls([(call, self.at("vic_show"))])

    def replies(self, function: str, *args: int, expected: int) -> set[int]:
        """Return what ``function`` replies to workers; calls of before are over by then."""
        self.offer(function, *args, expected=expected)
        self.run_on()
        rows = self.machine.trace.calls
        shown = rows[rows["site"] == self.at("vic_show")][-8:]
        assert len(rows[rows["site"] == self.at(function)]) or function == "vic_untraced"
        return set(shown["result"].tolist())

    def check(self, function: str, *args: int, reply: int) -> None:
        """Every worker gets ``reply``, and finds its registers and stack as they were."""
        assert self.replies(function, *args, expected=reply) == {reply}, function
        assert self.machine.bad_results() == 0, function

    def enable(self, patch: Patch | str) -> int:
        """Enable a patch and return its number."""
        handle = self.machine.livepatch.enable(patch)
        assert self.machine.run(until=handle.settled).ok
        assert handle.result == 0
        return handle.id

    def set_gate(self, gate: int, value: int) -> None:
        """Open (1) or close (0) a gate."""
        self.machine.kernel.engine.memory.store(self.at("vic_gates") + 8 * gate, value)

    def state(self, task: Task) -> tuple[int, int]:
        """Return state and gate of a task."""
        kernel = self.machine.kernel
        return kernel.task_field(task, "state"), kernel.task_field(task, "gate")

    def switches(self, task: Task) -> int:
        """Return how often a task has let others run."""
        kernel = self.machine.kernel
        return kernel.task_field(task, "nvcsw") + kernel.task_field(task, "nivcsw")

    def run_on(self) -> int:
        """Run on for many calls' time, and return how many were completed."""
        before = self.machine.calls_done
        assert self.machine.run(instructions=120_000).ok
        return self.machine.calls_done - before


@pytest.fixture(params=SETUPS, ids=str)
def bench(request: pytest.FixtureRequest) -> Bench:
    return Bench(request.param)


class TestSymbols:
    """What kallsyms lists of them."""

    def test_a_name_that_occurs_twice_is_found_twice_by_address(self, bench: Bench) -> None:
        first, second = bench.machine.kallsyms.find("victim", "vic_dup")
        image = bench.machine.loader.image("victim")

        assert first.address < second.address
        assert (first.address, second.address) == (image.address("vic_dup__1"), image.address("vic_dup__2"))
        assert not bench.machine.kallsyms.find("victim", "vic_dup__1")
        sites = bench.machine.ftrace.sites
        assert all(sites.entry_site(symbol.address).ip for symbol in (first, second))
        assert {"vic_dup__1", "vic_dup__2"} <= bench.machine.symbols.table().keys()

    def test_every_function_but_vic_untraced_has_a_site(self, bench: Bench) -> None:
        for owner in ("viccore", "victim"):
            image = bench.machine.loader.image(owner)
            functions = {key for key, symbol in image.symbols.items() if symbol.unit == key}
            assert functions - image.sites.keys() == ({"vic_untraced"} if owner == "victim" else set())

    def test_gates_are_closed_sixteen_words_of_data(self, bench: Bench) -> None:
        (gates,) = bench.machine.kallsyms.find("viccore", "vic_gates")
        assert gates.size == 16 * 8
        assert bench.machine.kernel.engine.memory.read(gates.address, gates.size) == bytes(gates.size)


class TestReplies:
    """A function tells which version ran: 0 the original, else the patch's number."""

    def test_originals_and_replacements(self, bench: Bench) -> None:
        for gate in range(16):
            bench.set_gate(gate, 1)
        assert bench.machine.wait(bench.machine.load("late")) == 0
        for name in (*TELLERS, *LATE, "vic_untraced"):
            bench.check(name, reply=0)
        bench.check("vic_count", 5, reply=5)
        bench.check("vic_spin", 15, reply=0)
        for name in ("vic_wait", "vic_outer", "vic_pair"):
            bench.check(name, 3, 0, reply=0)
        bench.check("vic_untraced", reply=0)

        names = [*TELLERS, "vic_count", "vic_spin", "vic_wait", "vic_outer", "vic_pair", "vic_show"]
        duplicates = tuple(Func("vic_dup", "lp_vic_dup", sympos=n) for n in (1, 2))
        late = tuple(Func(name, f"lp_{name}") for name in LATE)
        everything = Patch(
            "everything",
            (
                Object("viccore", (Func("vic_gate_wait", "lp_vic_gate_wait"),)),
                Object("victim", (*(Func(name, f"lp_{name}") for name in names), *duplicates)),
                Object("late", late),
            ),
        )
        own = bench.enable(everything)
        signed = own << 32
        for name in ("vic_alpha", "vic_beta", "vic_gamma", "vic_delta", "vic_tail", "late_ping", "late_pong"):
            bench.check(name, reply=own)
        bench.check("vic_count", 5, reply=own << 16 | 5 << 8)
        bench.check("vic_spin", 15, reply=own)
        bench.check("vic_wait", 3, 0, reply=own)
        for name in ("vic_outer", "vic_pair"):
            bench.check(name, 3, 1, reply=own | own << 8 | own << 16)
        for name in ("dup1", "dup2", "late_init", "late_exit"):
            assert bench.replies(name, expected=own) == {signed | own}, name
        assert bench.replies("vic_gate_wait", 3, 0, expected=0) == {signed}
        buffer = bench.at("call_buffer")
        assert bench.replies("loadavg_proc_show", buffer, expected=0) == {0}
        assert bench.machine.bad_results() == 0

    def test_outer_and_pair_tell_whom_they_met(self, bench: Bench) -> None:
        bench.set_gate(0, 1)
        bench.check("vic_untraced", reply=0)
        first, second = bench.enable("lp_a1"), bench.enable("lp_b1")
        bench.check("vic_outer", 0, 0, reply=first << 8 | first << 16)
        bench.check("vic_pair", 0, 0, reply=first << 8 | second << 16)

    @pytest.mark.parametrize(("patch", "patched"), [("lp_dup1", {1}), ("lp_dup2", {2}), ("lp_dup12", {1, 2})])
    def test_one_of_two_functions_of_a_name(self, bench: Bench, patch: str, patched: set[int]) -> None:
        bench.check("vic_untraced", reply=0)
        number = bench.enable(patch)
        for position in (1, 2):
            bench.check(f"dup{position}", reply=number if position in patched else 0)
        entry = bench.machine.livepatch.table()[number]
        assert entry["functions"] == {f"vic_dup__{n}": f"{patch}:lp_vic_dup" for n in patched}

    @pytest.mark.parametrize(
        ("patch", "said"),
        [
            ("lp_dup0", "unresolvable ambiguity for symbol 'vic_dup' in object 'victim'"),
            ("lp_dup3", "symbol position 3 for symbol 'vic_dup' in object 'victim' not found"),
            ("lp_uniq2", "symbol position 2 for symbol 'vic_alpha' in object 'victim' not found"),
            ("lp_badname", "symbol 'vic_nosuch' not found in symbol table"),
            ("lp_badname_vm", "symbol 'nosuch_anywhere' not found in symbol table"),
            ("lp_goodbad", "symbol 'vic_nosuch' not found in symbol table"),
        ],
    )
    def test_what_does_not_exist_is_refused(self, bench: Bench, patch: str, said: str) -> None:
        handle = bench.machine.livepatch.enable(patch)
        assert bench.machine.run(until=handle.settled).ok
        assert handle.result == -EINVAL
        assert bench.machine.log[-1] == f"livepatch: {said}"


class TestGates:
    """Who comes to a closed gate sleeps there."""

    @pytest.mark.parametrize("function", ["vic_wait", "vic_outer", "vic_pair"])
    def test_until_it_is_open(self, bench: Bench, function: str) -> None:
        bench.check("vic_untraced", reply=0)
        bench.offer(function, 2, 0, expected=0)
        bench.run_on()
        gate = bench.at("vic_gates") + 2 * 8
        assert {bench.state(task) for task in bench.tasks} == {(ON_GATE, gate)}
        assert bench.run_on() == 0

        bench.set_gate(1, 1)
        assert bench.run_on() == 0
        bench.set_gate(2, 1)
        assert bench.run_on() > 0
        assert bench.machine.bad_results() == 0

    @pytest.mark.parametrize("function", ["vic_wait", "vic_outer", "vic_pair"])
    def test_until_a_signal_comes_if_interruptible(self, bench: Bench, function: str) -> None:
        bench.check("vic_untraced", reply=0)
        bench.offer(function, 15, 1, expected=MINUS_ERESTARTSYS)
        bench.run_on()
        gate = bench.at("vic_gates") + 15 * 8
        assert {bench.state(task) for task in bench.tasks} == {(ON_GATE_INTR, gate)}

        memory, kernel = bench.machine.kernel.engine.memory, bench.machine.kernel
        flags = bench.tasks[0].struct + TASK.offset("flags")
        before = len(bench.machine.trace.calls)
        memory.store(flags, memory.load(flags) | 1 << CONSTANTS["TIF_SIGPENDING"])
        assert bench.run_on() > 0
        rows = bench.machine.trace.calls[before:]
        shown = rows[rows["site"] == bench.at("vic_show")]
        assert set(shown["result"].tolist()) == {MINUS_ERESTARTSYS}
        assert {kernel.tasks[int(row["task"])] for row in shown} == {bench.tasks[0]}
        assert {bench.state(task) for task in bench.tasks[1:]} == {(ON_GATE_INTR, gate)}

    def test_a_signal_does_not_wake_who_is_not_interruptible(self, bench: Bench) -> None:
        bench.check("vic_untraced", reply=0)
        bench.offer("vic_wait", 7, 0, expected=0)
        bench.run_on()
        memory = bench.machine.kernel.engine.memory
        for task in bench.tasks:
            memory.store(task.struct + TASK.offset("flags"), 1 << CONSTANTS["TIF_SIGPENDING"])
        assert bench.run_on() == 0

    def test_vic_spin_stays_on_the_cpu_and_lets_others_run(self, bench: Bench) -> None:
        bench.check("vic_untraced", reply=0)
        bench.offer("vic_spin", 4, expected=0)
        bench.run_on()
        before = [bench.switches(task) for task in bench.tasks]
        assert bench.run_on() == 0
        assert all(bench.switches(task) > was for task, was in zip(bench.tasks, before, strict=True))
        assert {bench.state(task)[0] for task in bench.tasks} == {CONSTANTS["TASK_RUNNING"]}
        bench.set_gate(4, 1)
        assert bench.run_on() > 0


@pytest.mark.parametrize("arch", ["x86_64", "arm64"])
@pytest.mark.parametrize("patch", ["lp_late1", "lp_late2", "lp_never", "lp_a1"])
def test_a_patch_can_be_loaded_before_its_module(arch: str, patch: str) -> None:
    machine = Machine("reference", arch=arch, cpus=2, workers=1, users=1, tick=1_500)
    handle = machine.livepatch.enable(patch)
    assert machine.run(until=handle.settled).ok
    assert handle.result == 0
