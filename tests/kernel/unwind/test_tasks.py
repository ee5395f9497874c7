"""What is reported of tasks: new, asleep, preempted, current; and of stacks that are not in order."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from emu.arch import PORTS
from emu.build.contents import Call
from emu.build.memory_map import USER_TEXT
from emu.kernel.errno import EINVAL
from emu.kernel.tasks import Task
from emu.kernel.unwind import MAX_STACK_ENTRIES
from emu.structs import CONSTANTS, TASK
from tests.kernel.unwind.watched import Score, Watched

MANY_TICKS = 10_000


def functions(watched: Watched, entries: list[int] | int) -> list[str]:
    """Return the functions of a stack, newest first."""
    assert isinstance(entries, list), "the stack is reliable"
    return [watched.unwinder.place(at).split("+")[0] for at in entries]


def calling(watched: Watched, function: str, *args: int, expected: int) -> None:
    """Let every task make one call only."""
    call = Call(fn=function, args=args, expected=expected)
    watched.kernel.offer_calls([(call, watched.kernel.image.address(function))])


def task_named(watched: Watched, start: str) -> Task:
    """Return the first task whose name begins so."""
    return next(task for task in watched.kernel.tasks if task.comm.startswith(start))


def is_asleep(watched: Watched, task: Task) -> Callable[[], bool]:
    """Return whether a task sleeps until a tick, and somebody else runs."""
    timed = CONSTANTS["TASK_TIMED"]
    current = watched.kernel.percpu[task.cpu]
    load = watched.kernel.engine.memory.load
    return lambda: watched.kernel.task_field(task, "state") == timed and load(current) != task.struct


def until(watched: Watched, condition: Callable[[], bool]) -> None:
    """Run until something is so."""
    for _ in range(5_000):
        if condition():
            return
        watched.machine.run(instructions=20)
    raise AssertionError("it never was")


def with_sleeper(arch: str, *, patched: bool = False) -> tuple[Watched, Task]:
    """Return a machine with a worker asleep in mini_sleep, and that worker."""
    watched = Watched(arch, cpus=1)
    if patched:
        watched.replace_everything()
    calling(watched, "mini_sleep", MANY_TICKS, expected=MANY_TICKS)
    worker = task_named(watched, "worker")
    until(watched, is_asleep(watched, worker))
    return watched, worker


@pytest.mark.parametrize("arch", PORTS)
class TestStacks:
    """A task's stack goes from the scheduler down to where the task began."""

    def test_a_new_task_is_about_to_begin(self, arch: str) -> None:
        watched = Watched(arch)
        address, reliable = watched.kernel.image.address, watched.unwinder.reliable
        assert reliable(task_named(watched, "worker")) == [address("ret_from_fork")]
        assert reliable(task_named(watched, "user")) == [address("ret_to_user_first")]

    @pytest.mark.parametrize(("patched", "function"), [(False, "mini_sleep"), (True, "lp_mini_sleep")])
    def test_a_sleeping_worker(self, arch: str, patched: bool, function: str) -> None:
        watched, worker = with_sleeper(arch, patched=patched)
        assert functions(watched, watched.unwinder.reliable(worker)) == [
            "__schedule", "schedule", function, "do_one_call", "do_next_call", "worker", "ret_from_fork",
        ]  # fmt: skip

    def test_a_sleeping_user_task_ends_where_it_came_from_user_text(self, arch: str) -> None:
        watched, _ = with_sleeper(arch)
        user = task_named(watched, "user")
        until(watched, is_asleep(watched, user))
        found = functions(watched, watched.unwinder.reliable(user))
        assert found[2:] == ["mini_sleep", "do_one_call", "do_next_call", "vector_syscall"]

    def test_a_user_task_preempted_in_user_text_has_only_its_exit_on_the_stack(self, arch: str) -> None:
        watched = Watched(arch, cpus=1, workers=1, tick=150)
        user, seen = task_named(watched, "user"), set[tuple[str, ...]]()
        for _ in range(400):
            watched.machine.run(instructions=50)
            if watched.kernel.engine.memory.load(watched.kernel.percpu[0]) != user.struct:
                seen.add(tuple(functions(watched, watched.unwinder.reliable(user))))
        exits = {stack for stack in seen if "do_next_call" not in stack}
        assert any(stack[:3] == ("__schedule", "schedule", "exit_to_user_mode") for stack in exits)

    def test_a_preempted_task_is_seen_through_the_interrupt(self, arch: str) -> None:
        watched = Watched(arch, cpus=1, workers=2, users=0, tick=700)
        calling(watched, "mini_loop", 500, expected=500 * 501 // 2)
        worker = task_named(watched, "worker")
        chain = ["mini_loop", "do_one_call", "do_next_call", "worker", "ret_from_fork"]

        def preempted() -> bool:
            if watched.kernel.engine.memory.load(watched.kernel.percpu[0]) == worker.struct:
                return False
            found = functions(watched, watched.unwinder.reliable(worker))
            return found[:2] == ["__schedule", "preempt_schedule_irq"] and found[3:] == chain

        until(watched, preempted)

    def test_the_idle_task_that_made_way(self, arch: str) -> None:
        watched, _ = with_sleeper(arch)
        idle = task_named(watched, "swapper")
        calling(watched, "mini_leaf", 1, expected=2)
        for _ in range(3_000):
            watched.machine.run(instructions=20)
            if watched.kernel.engine.memory.load(watched.kernel.percpu[0]) != idle.struct:
                break
        assert functions(watched, watched.unwinder.reliable(idle)) == [
            "__schedule",
            "schedule",
            "cpu_idle_loop",
        ]

    def test_the_patching_task_itself_from_its_registers(self, arch: str) -> None:
        watched, found = Watched(arch), list[list[int] | int]()
        driver, engine = task_named(watched, "klp_driver"), watched.kernel.engine

        def look() -> int:
            registers = {name: engine.read_register(0, name) for name in watched.port.registers.all}
            found.append(watched.unwinder.reliable(driver, registers))
            return 0

        guest = watched.kernel.guest
        watched.machine.wait(watched.kernel.installer.submit("look", lambda: guest.callback("look", look)))
        assert functions(watched, found[0]) == ["klpemu_step", "klp_driver", "ret_from_fork"]

    def test_user_text_is_an_empty_stack(self, arch: str) -> None:
        watched = Watched(arch)
        user = task_named(watched, "user")
        registers = dict.fromkeys(watched.port.registers.all, 0)
        registers[watched.port.registers.pc] = user.entry
        assert watched.unwinder.reliable(user, registers) == []


@pytest.mark.parametrize("arch", PORTS)
class TestRefusals:
    """What is not sure is -EINVAL."""

    def test_a_stack_that_fills_the_limit_is_refused_one_less_is_not(self, arch: str) -> None:
        watched = Watched(arch, cpus=1, users=0, tick=0)
        calling(watched, "mini_recursive", 110, expected=110 * 111 // 2)
        score, depths = Score(watched), dict[int, bool]()
        worker, registers = task_named(watched, "worker"), watched.port.registers.all
        while MAX_STACK_ENTRIES + 3 not in depths:
            cpu = score.twin.step()
            depth = len(score.twin.running(cpu))
            if score.twin.cpus[cpu].task == worker and depth > MAX_STACK_ENTRIES - 3:
                values = {name: watched.kernel.engine.read_register(cpu, name) for name in registers}
                answer = watched.unwinder.reliable(worker, values)
                depths[depth] = answer != -EINVAL
        limit = MAX_STACK_ENTRIES
        assert {depth: depth < limit for depth in depths} == depths
        assert {limit - 1, limit} <= set(depths)

    @pytest.mark.parametrize("offset", [-8, 0x4000, 0x4008, 1 << 40])
    def test_a_saved_stack_pointer_outside_the_stack(self, arch: str, offset: int) -> None:
        watched, worker = with_sleeper(arch)
        address = worker.struct + TASK.offset("sp")
        watched.kernel.engine.memory.store(address, worker.kernel_stack[0] + offset)
        assert watched.unwinder.reliable(worker) == -EINVAL

    def test_a_stack_that_does_not_begin_at_its_top(self, arch: str) -> None:
        watched = Watched(arch)
        names, address = watched.port.registers, watched.kernel.image.address
        worker, user = task_named(watched, "worker"), task_named(watched, "user")
        for task, start in ((worker, "ret_from_fork"), (user, "ret_to_user_first")):
            for below, answer in ((0, [address(start)]), (0x10, -EINVAL)):
                registers = dict.fromkeys(names.all, 0)
                registers |= {names.pc: address(start), names.sp: task.kernel_stack[1] - below}
                assert watched.unwinder.reliable(task, registers) == answer

    def test_user_text_that_was_left_from_the_middle_of_a_stack(self, arch: str) -> None:
        watched = Watched(arch)
        worker, names = task_named(watched, "worker"), watched.port.registers
        frame, low = watched.port.pt_regs, task_named(watched, "worker").kernel_stack[0]
        # where registers are saved, the member that is the last one saved then, and the interrupted one's
        routine, last, saved_pc = {
            "x86_64": ("interrupt_common", "di", "ip"), "arm64": ("irq_exit", "x0", "pc"),
        }[arch]  # fmt: skip
        for base, good in ((worker.kernel_stack[1] - frame.size, True), (low + 0x800, False)):
            registers = dict.fromkeys(names.all, 0)
            registers |= {
                names.pc: watched.kernel.image.address(routine),
                names.sp: base + frame.offset(last),
            }
            watched.kernel.engine.memory.store(base + frame.offset(saved_pc), USER_TEXT.base)
            answer = watched.unwinder.reliable(worker, registers)
            assert answer == ([registers[names.pc]] if good else -EINVAL)

    def test_code_that_is_gone(self, arch: str) -> None:
        watched, worker = with_sleeper(arch, patched=True)
        watched.unwinder.remove_image(watched.machine.loader.image("everything"))
        assert watched.unwinder.reliable(worker) == -EINVAL
        assert "no frame is known" in watched.unwinder.walk(worker).problem

    def test_an_address_that_no_call_returns_to(self, arch: str) -> None:
        watched, worker = with_sleeper(arch)
        memory = watched.kernel.engine.memory
        entries = watched.unwinder.reliable(worker)
        assert isinstance(entries, list)
        for entry in entries:
            (place,) = words_that_hold(watched, worker, entry)[:1]
            for wrong in (entry - 1, entry + 1, entry + 4, watched.kernel.image.address("mini_leaf"), 0):
                memory.store(place, wrong)
                assert watched.unwinder.reliable(worker) == -EINVAL, f"{wrong:#x} for {entry:#x}"
            memory.store(place, entry)
        assert watched.unwinder.reliable(worker) == entries

    def test_whatever_a_word_becomes_that_is_no_text_the_answer_is_right_or_none(self, arch: str) -> None:
        watched, worker = with_sleeper(arch, patched=True)
        memory, top = watched.kernel.engine.memory, worker.kernel_stack[1]
        right = watched.unwinder.reliable(worker)
        refused = 0
        for at in range(watched.kernel.task_field(worker, "sp"), top, 8):
            held = memory.load(at)
            for value in (0, 1, (1 << 64) - 1, 1 << 63, at, top, top - 8, worker.struct):
                memory.store(at, value)
                answer = watched.unwinder.reliable(worker)
                assert answer in (right, -EINVAL), f"{value:#x} at {at:#x}"
                refused += answer == -EINVAL
                watched.unwinder.trace(worker)
            memory.store(at, held)
        assert refused > 40, "return addresses are among these words"

    def test_a_trace_goes_on_with_what_looks_like_return_addresses(self, arch: str) -> None:
        watched, worker = with_sleeper(arch)
        before = [frame.place for frame in watched.unwinder.trace(worker)]
        entries = watched.unwinder.reliable(worker)
        assert isinstance(entries, list)
        assert [str(frame) for frame in watched.unwinder.trace(worker)] == before
        assert before[2].startswith("mini_sleep+0x")
        watched.kernel.engine.memory.store(words_that_hold(watched, worker, entries[2])[0], 0x1234)
        after = watched.unwinder.trace(worker)
        assert [frame.sure for frame in after][:3] == [True, True, True]
        assert after[2].place == "0x1234"
        guesses = [str(frame) for frame in after if not frame.sure]
        assert [f"? {place}" for place in before[3:]] == [g for g in guesses if g[2:] in before[3:]]


def words_that_hold(watched: Watched, task: Task, value: int) -> list[int]:
    """Return where on a sleeping task's stack a value is, lowest address first."""
    load = watched.kernel.engine.memory.load
    return [
        at
        for at in range(watched.kernel.task_field(task, "sp"), task.kernel_stack[1], 8)
        if load(at) == value
    ]
