"""/proc: states of tasks, lines of modules, and the ftrace_enabled switch of ftrace_enabled_switch."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from emu.arch import PORTS
from emu.ftrace import OpsFlags
from emu.kernel.errno import EBUSY, EINVAL, EIO, EISDIR, ENODEV, ENOENT
from emu.kernel.guest import View
from emu.kernel.modules import Module, ModuleState
from emu.livepatch import Func, Object, Patch, Procfs
from emu.livepatch.procfs import module_line
from emu.structs import CONSTANTS, TASK
from tests.synthetic import Kernel, new_log

SWITCH = "sys/kernel/ftrace_enabled"


@dataclass(frozen=True)
class SomeTask:
    pid: int
    struct: int


class Setup:
    """A kernel with three tasks, and its /proc."""

    def __init__(self) -> None:
        self.kernel = Kernel(PORTS["x86_64"])
        base = self.kernel.heap.allocate(3 * TASK.size, "tasks")
        self.tasks = [SomeTask(pid, base + TASK.size * pid) for pid in range(3)]
        for task in self.tasks:
            self.set(task.pid, "patch_state", -1)
        self.procfs = Procfs(
            self.kernel.guest, lambda: self.tasks, self.kernel.modules, self.kernel.ftrace
        )  # fmt: skip

    def set(self, pid: int, member: str, value: int) -> None:
        View(self.kernel.guest, TASK, self.tasks[pid].struct)[member] = value

    def load(self, name: str) -> int:
        func = Func("vic_alpha", "lp_1")
        return self.kernel.livepatch.enable(Patch(name, (Object("victim", (func,)),)))


@pytest.fixture
def setup() -> Setup:
    return Setup()


class TestPatchState:
    """-1 without a transition, 0 unpatched, 1 patched."""

    @pytest.mark.parametrize("state", [-1, 0, 1])
    def test_is_what_the_task_struct_says(self, setup: Setup, state: int) -> None:
        setup.set(1, "patch_state", state)
        assert setup.procfs.read("/proc/1/patch_state") == f"{state}\n"
        assert setup.procfs.read("2/patch_state") == "-1\n"

    def test_only_living_tasks_with_a_pid_have_a_directory(self, setup: Setup) -> None:
        setup.set(2, "state", CONSTANTS["TASK_DEAD"])
        assert setup.procfs.listdir() == ["1", "modules", "sys"]
        assert setup.procfs.read("2/patch_state") == -ENOENT
        assert setup.procfs.read("0/patch_state") == -ENOENT

    def test_root_may_open_it_for_writing_but_not_write(self, setup: Setup) -> None:
        assert setup.procfs.modes("1") == {"patch_state": 0o400}
        assert setup.procfs.write("1/patch_state", "1") == -EINVAL


class TestModules:
    """name size refs used-by state address (taint), newest first."""

    def test_livepatches_and_others(self, setup: Setup) -> None:
        setup.load("lp_a1")
        setup.load("lp_a2")
        text = setup.procfs.read("modules")
        assert isinstance(text, str)
        rows = [line.split(" ") for line in text.splitlines()]
        assert [(row[0], row[2], row[3], row[4], row[6]) for row in rows] == [
            ("lp_a2", "1", "-", "Live", "(OEK)"),
            ("lp_a1", "1", "-", "Live", "(OEK)"),
            ("victim", "0", "-", "Live", "(OE)"),
        ]
        victim = setup.kernel.modules.find("victim")
        assert victim is not None
        assert rows[2][1] == str(victim.size)
        assert int(rows[2][5], 16) == victim.base

    def test_a_disabled_patch_is_held_by_nobody(self, setup: Setup) -> None:
        handle = setup.load("lp_a1")
        setup.kernel.livepatch.disable(handle)
        text = setup.procfs.read("modules")
        assert isinstance(text, str)
        assert text.startswith("lp_a1 0 0 - Live 0x")

    @pytest.mark.parametrize(
        ("state", "said"),
        [
            (ModuleState.LIVE, "Live 0x0000000012340000 (OE)"),
            (ModuleState.COMING, "Loading 0x0000000012340000 (OE+)"),
            (ModuleState.GOING, "Unloading 0x0000000012340000 (OE-)"),
        ],
    )
    def test_states(self, state: ModuleState, said: str) -> None:
        module = Module(name="late", base=0x1234_0000, size=0x3000, state=state)
        assert module_line(module) == f"late 12288 0 - {said}"

    def test_it_can_not_be_written(self, setup: Setup) -> None:
        assert setup.procfs.write("modules", "x") == -EIO


class TestTainted:
    """45056, as in basic_enable_disable, is out of tree, unsigned, livepatch."""

    def test_stays_when_the_module_has_gone(self, setup: Setup) -> None:
        handle = setup.load("lp_cmd1")
        setup.kernel.livepatch.disable(handle)
        assert setup.kernel.livepatch.unload(handle) == 0
        assert setup.procfs.read("sys/kernel/tainted") == "45056\n"

    def test_other_modules_and_warnings(self, setup: Setup) -> None:
        assert setup.procfs.read("sys/kernel/tainted") == f"{0x3000}\n"
        kernel = setup.kernel
        warned = Procfs(kernel.guest, lambda: (), kernel.modules, kernel.ftrace, warnings=lambda: 2)
        assert warned.read("sys/kernel/tainted") == f"{0x3200}\n"


class TestFtraceEnabled:
    """The steps of ftrace_enabled_switch, and what the file takes."""

    def test_as_observed(self, setup: Setup) -> None:
        procfs = setup.procfs
        assert (procfs.write(SWITCH, "0"), procfs.read(SWITCH)) == (1, "0\n")
        assert setup.load("lp_a1") == -EBUSY
        assert new_log(setup.kernel) == [
            "lp_a1: tainting kernel with TAINT_LIVEPATCH",
            "livepatch: enabling patch 'lp_a1'",
            "livepatch: failed to register ftrace handler for function 'vic_alpha' (-16)",
            "livepatch: failed to patch object 'victim'",
            "livepatch: failed to enable patch 'lp_a1'",
            "livepatch: 'lp_a1': unpatching complete",
        ]
        assert (procfs.write(SWITCH, "1"), procfs.read(SWITCH)) == (1, "1\n")
        handle = setup.load("lp_a1")
        assert (procfs.write(SWITCH, "0"), procfs.read(SWITCH)) == (-EBUSY, "1\n")
        assert setup.kernel.called(setup.kernel.site("vic_alpha", "victim")) is not None
        assert (procfs.write(SWITCH, "1"), procfs.read(SWITCH)) == (1, "1\n")
        setup.kernel.livepatch.disable(handle)
        assert (procfs.write(SWITCH, "0"), procfs.read(SWITCH)) == (1, "0\n")
        assert (procfs.write(SWITCH, "1"), procfs.read(SWITCH)) == (1, "1\n")

    def test_any_number_but_0_is_on_and_stays_as_written(self, setup: Setup) -> None:
        procfs = setup.procfs
        assert (procfs.write(SWITCH, " 0x5\n"), procfs.read(SWITCH)) == (5, "5\n")
        setup.load("lp_a1")
        assert (procfs.write(SWITCH, "0"), procfs.read(SWITCH)) == (-EBUSY, "1\n")

    def test_what_it_does_not_take(self, setup: Setup) -> None:
        for text in ("off", "\n", "1x", "99999999999"):
            assert setup.procfs.write(SWITCH, text) == -EINVAL
        assert setup.procfs.write(SWITCH, "") == 0
        assert setup.procfs.write("sys/kernel", "0") == -EISDIR
        assert setup.procfs.modes("sys") == {"kernel/ftrace_enabled": 0o644, "kernel/tainted": 0o644}

    def test_it_follows_a_switch_made_elsewhere(self, setup: Setup) -> None:
        assert setup.kernel.ftrace.set_ftrace_enabled(on=False) == 0
        assert setup.procfs.read(SWITCH) == "0\n"

    def test_ordinary_ops_are_switched_off_and_on(self, setup: Setup) -> None:
        kernel = setup.kernel
        ops = kernel.ops(OpsFlags.DYNAMIC)
        kernel.ftrace.ftrace_set_filter_ip(ops, kernel.address("mini_leaf"))
        assert kernel.ftrace.register_ftrace_function(ops) == 0
        called = kernel.called(kernel.site("mini_leaf"))
        assert called is not None
        assert setup.procfs.write(SWITCH, "0") == 1
        assert kernel.called(kernel.site("mini_leaf")) is None
        assert setup.procfs.write(SWITCH, "1") == 1
        assert kernel.called(kernel.site("mini_leaf")) == called

    def test_a_broken_ftrace_has_no_switch(self, setup: Setup) -> None:
        kernel = setup.kernel
        ops = kernel.ops(OpsFlags.DYNAMIC)
        kernel.ftrace.ftrace_set_filter_ip(ops, kernel.address("mini_leaf"))
        kernel.memory.write(kernel.site("mini_leaf"), b"\xaa" * 5)
        assert kernel.ftrace.register_ftrace_function(ops) == -ENODEV
        assert setup.procfs.read(SWITCH) == -ENODEV
        assert setup.procfs.write(SWITCH, "1") == -ENODEV
