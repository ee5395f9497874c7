"""Each step that can fail does once, while all CPUs go on calling: all is as before, and the log says why."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from emu.build.memory_map import KERNEL_TEXT
from emu.ftrace import enabled_functions
from emu.kernel.errno import EINVAL, ENOMEM
from emu.kernel.installer import Job
from emu.lab.machine import Machine
from emu.livepatch import Func, Object, Patch
from emu.structs import FTRACE_OPS, KLP_FUNC, KLP_OPS
from tests.exhaustive.at_once import switch_at_once
from tests.exhaustive.schemes import SCHEMES, Scheme
from tests.plain_player import FailAt

pytestmark = pytest.mark.slow

VMLINUX, TARGET = ("mini_leaf", "mini_landing", "cmdline_proc_show"), ("target_show", "target_sum")
FIRST_USERS = ("mini_landing", "cmdline_proc_show", "target_show", "target_sum")
"""Those that no other patch has patched yet: mini_leaf has its klp_ops already."""
VARIABLES = ("klp_ops_list", "klp_target_state", "function_trace_op", "ftrace_ops_list", "ftrace_list_end")


class Busy:
    """A machine whose CPUs make calls, with a module, an enabled patch, and another that is to fail."""

    def __init__(self, scheme: Scheme, *, seed: int) -> None:
        self.machine = machine = Machine(
            arch=scheme.arch, call_ops=scheme.call_ops, cpus=3, workers=2, users=1, seed=seed, mode="exact",
            schedule="random", tick=1_500,
        )  # fmt: skip
        switch_at_once(machine)
        self.fail = FailAt()
        machine.kernel.fail = self.fail
        assert machine.wait(machine.load("target")) == 0
        names = Patch("lp", (_object(None, VMLINUX, _by_name), _object("target", TARGET, _by_name)))
        handle = machine.livepatch.enable(names)
        assert machine.run(until=handle.settled).ok
        handle.disable()
        assert machine.run(until=handle.settled).ok
        self.patch = Patch(
            "failing", (_object(None, VMLINUX, self._new), _object("target", TARGET, self._new))
        )
        self.play(
            lambda: machine.livepatch.core.enable(Patch("below", (_object(None, ("mini_leaf",), self._new),)))
        )

    def _new(self, name: str) -> int:
        return self.machine.kallsyms.find("lp", f"lp_{name}")[0].address

    def play(self, body: Callable[[], int]) -> int:
        """Run ``body`` as work of the patching CPU, the others busy; return its result."""
        job: Job[int] = self.machine.kernel.installer.submit("test", body)
        result = self.machine.wait(job)
        assert self.machine.run(calls=20).ok
        return result

    def enable(self, step: str = "", occurrence: int = 0) -> int:
        """Enable the patch, the given occurrence of a fallible step failing; return livepatch's answer."""
        self.fail.arm(step, occurrence, ENOMEM)
        result = self.play(lambda: self.machine.livepatch.core.enable(self.patch))
        self.fail.arm("", 0)
        return result

    def disable(self, handle: int) -> None:
        """Disable the patch and unload it."""
        core = self.machine.livepatch.core
        assert self.play(lambda: core.disable(handle) or core.unload(handle)) == 0

    def snapshot(self) -> dict[str, Any]:
        """Return all that an installation changes, once every CPU has synchronised and all frees are done."""
        machine, kernel = self.machine, self.machine.kernel

        def settle() -> int:
            machine.ftrace.rcu.barrier("test")
            kernel.guest.sync_cores("test")
            return 0

        self.play(settle)
        memory, fetch = kernel.engine.memory, kernel.engine.fetch
        blocks = [(block.address, block.size) for area in machine.text_areas for block in area.live()]
        text = {at: memory.read(at, size) for at, size in [(KERNEL_TEXT.base, KERNEL_TEXT.size), *blocks]}
        for cpu, (at, code) in itertools.product(range(machine.kernel.cpus), text.items()):
            assert fetch.seen_by(cpu, at, len(code)) == code, f"CPU{cpu} fetches something else near {at:#x}"
        return {
            "text": text,
            "heap": {found.address: (found.what, found.size) for found in kernel.heap.live()},
            "objects": {f.address: _content(machine, f.address, f.size, f.what) for f in kernel.heap.live()},
            "variables": {name: memory.read(machine.kallsyms.address_of(name), 8) for name in VARIABLES},
            "klp_ops": list(self._klp_ops()),
            "records": [
                (r.ip, r.flags, r.count, r.target) for r in machine.ftrace.sites.records()
            ],
            "enabled_functions": enabled_functions(machine.ftrace),
            "facts": machine.livepatch.facts(),
            "modules": {name: machine.modules.find(name) for name in ("below", "failing", "lp", "target")},
        }  # fmt: skip

    def _klp_ops(self) -> Iterator[tuple[int, list[int]]]:
        """Yield each klp_ops and the funcs on its stack, newest first, as the guest's lists have them."""
        load, head = self.machine.kernel.engine.memory.load, self.machine.kallsyms.address_of("klp_ops_list")
        ops = load(head)
        while ops != head:
            stack = ops + KLP_OPS.offset("func_stack.next")
            node, funcs = load(stack), []
            while node != stack:
                assert load(load(node) + 8) == node, "a node's next points back at it"
                funcs.append(node - KLP_FUNC.offset("stack_node.next"))
                node = load(node)
            yield ops, funcs
            ops = load(ops)


def _by_name(name: str) -> str:
    return f"lp_{name}"


def _object(owner: str | None, functions: tuple[str, ...], new: Callable[[str], int | str]) -> Object:
    return Object(owner, tuple(Func(name, new(name)) for name in functions))


def _content(machine: Machine, address: int, size: int, what: str) -> bytes:
    """Return an object's bytes, without what calls count there."""
    content = bytearray(machine.kernel.engine.memory.read(address, size))
    if what == "ftrace_ops":
        content[FTRACE_OPS.offset("hits") :] = bytes(8)
    return bytes(content)


def expected(step: str, occurrence: int) -> tuple[int, str]:
    """Return the answer and the log's specific line when the given occurrence of a step fails; "" = none."""
    if step == "alloc":
        if occurrence == 1:
            return -ENOMEM, ""  # the module itself
        function = FIRST_USERS[(occurrence - 2) // 2]
        if occurrence % 2 == 0:
            return -ENOMEM, "failed to patch object "  # klp_ops: Linux has no line of its own for it
        return -ENOMEM, f"failed to set ftrace filter for function '{function}' (-12)"
    function = FIRST_USERS[occurrence - 1]
    return {
        "ftrace_location": (-EINVAL, f"failed to find location for function '{function}'"),
        "filter": (-ENOMEM, f"failed to set ftrace filter for function '{function}' (-12)"),
        "register": (-ENOMEM, f"failed to register ftrace handler for function '{function}' (-12)"),
    }[step]


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
class TestFailures:
    """Whatever step fails: the specified answer and log, and nothing left behind."""

    @pytest.mark.parametrize("step", ["alloc", "ftrace_location", "filter", "register"])
    def test_enabling_fails_at_every_occurrence(self, scheme: Scheme, step: str) -> None:
        busy = Busy(scheme, seed=len(step))
        before, occurrence = busy.snapshot(), 1
        while True:
            at = len(busy.machine.log)
            result = busy.enable(step, occurrence)
            if result > 0:
                break
            answer, line = expected(step, occurrence)
            log = busy.machine.log[at:]
            assert result == answer, (step, occurrence, log)
            assert not line or any(line in said for said in log), (step, occurrence, log)
            if line:
                assert log[-1] == "livepatch: 'failing': unpatching complete"
                owner = (
                    "target"
                    if any("'target_" in said or "object 'target'" in said for said in log)
                    else "vmlinux"
                )
                assert log[-3:-1] == [
                    f"livepatch: failed to patch object '{owner}'",
                    "livepatch: failed to enable patch 'failing'",
                ]
            assert busy.snapshot() == before, f"{step} no. {occurrence}"
            occurrence += 1
        assert occurrence > len(FIRST_USERS)
        busy.disable(result)
        assert busy.snapshot() == before
        assert (busy.machine.bad_results(), busy.machine.kernel.warnings()) == (0, 0)

    def test_without_room_for_trampolines_it_works_all_the_same(self, scheme: Scheme) -> None:
        busy = Busy(scheme, seed=1)
        before = busy.snapshot()
        for occurrence in range(1, len(FIRST_USERS) + 2):
            handle = busy.enable("text_alloc", occurrence)
            assert handle > 0
            busy.disable(handle)
            assert busy.snapshot() == before
        assert (busy.machine.bad_results(), busy.machine.kernel.warnings()) == (0, 0)

    def test_disabling_warns_and_goes_on_when_a_filter_stays(self, scheme: Scheme) -> None:
        for occurrence in range(1, len(FIRST_USERS) + 1):
            busy = Busy(scheme, seed=occurrence)
            before = busy.snapshot()
            handle = busy.enable()
            busy.fail.arm("filter", occurrence, ENOMEM)
            busy.disable(handle)
            asked = set(busy.fail.asked)
            busy.fail.arm("", 0)
            after = busy.snapshot()
            assert asked == {"ftrace_location", "filter", "unregister"}, (
                "nothing is allocated on the way back"
            )
            assert busy.machine.kernel.warnings() == 1
            for what in ("text", "klp_ops", "records", "enabled_functions", "variables", "facts", "modules"):
                assert after[what] == before[what], what
            assert busy.machine.bad_results() == 0
