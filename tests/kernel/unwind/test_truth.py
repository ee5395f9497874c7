"""What the unwinder reports is the truth, at every instruction; where it can't know, it says so."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import pytest

from emu.arch import PORTS
from emu.build.memory_map import KERNEL_TEXT
from emu.kernel.unwind import Unwinder, Walk
from tests.kernel.unwind.watched import TRACED_ALONE, Score, Watched

UNRELIABLE = {
    "x86_64": {
        "start_cpu": "there is no stack yet",
        "__switch_to": "between the stacks of two tasks",
        "vector_syscall": "still on the user's stack",
        "vector_sync": "behind an IRETQ to itself",
    },
    "arm64": {
        "start_cpu": "there is no stack yet",
        "__switch_to": "between the stacks of two tasks",
        "kernel_entry": "what was interrupted is in system registers",
        "kernel_exit": "the stack pointer is that of what was interrupted already",
        "vector_sync": "what was interrupted is in system registers",
        "vector_timer": "what was interrupted is in system registers",
        "vector_reschedule": "what was interrupted is in system registers",
        "vector_breakpoint": "what was interrupted is in system registers",
        "vector_syscall": "what was interrupted is in system registers",
    },
}
"""Where a stack can't be told, and why. `Score` sees to it that nobody can be preempted there."""

INSIDE_BREAKPOINTS = {
    "x86_64": {"vector_breakpoint", "poke_int3_handler", "kprobe_int3_handler", "get_kprobe", "kp_pre"},
    "arm64": set[str](),
}
"""Where a kprobe's INT3 makes it so: what was interrupted would go on behind it, inside an instruction."""

REACHED = {
    *("__schedule", "schedule", "preempt_schedule_irq", "cond_resched", "__switch_to", "finish_task_switch"),
    *(
        "worker",
        "do_next_call",
        "do_one_call",
        "klp_driver",
        "klpemu_step",
        "exit_to_user_mode",
        "vector_syscall",
    ),
    *("ftrace_caller", "ftrace_regs_caller", "mcount_caller", "ftrace_ops_list_func", "ftrace_count_hits"),
    *("klp_ftrace_handler", "mini_notrace", "mini_bare", "mini_mcount", TRACED_ALONE),
}
"""Besides replaced functions and their replacements, what the main test has to come to."""


def functions_at(unwinder: Unwinder, places: set[int]) -> set[str]:
    """Return the names of the functions that places are in."""
    return {unwinder.place(at).split("+")[0] for at in places}


def instructions(watched: Watched, addresses: range) -> set[int]:
    """Return the addresses at which instructions begin."""
    tables = watched.kernel.engine.tables
    return {
        at for at in addresses if tables.instruction_at(at) != (at, 0) and tables.instruction_at(at)[0] == at
    }


def kernel_functions(watched: Watched) -> dict[str, range]:
    """Return the extents of the functions in kernel text."""
    return {
        name: range(symbol.address, symbol.address + symbol.size)
        for name, symbol in watched.kernel.image.symbols.items()
        if symbol.size and symbol.address in KERNEL_TEXT
    }


@pytest.mark.parametrize("arch", PORTS)
class TestTables:
    """Before anything runs: the way up is known at all instructions of all functions but a few."""

    def test_only_the_listed_routines_have_unknown_places(self, arch: str) -> None:
        watched = Watched(arch)
        unknown = defaultdict[str, int](int)
        for name, extent in kernel_functions(watched).items():
            task = watched.kernel.tasks[0]
            for at in instructions(watched, extent):
                registers = dict.fromkeys(watched.port.registers.all, task.kernel_stack[0])
                walk = watched.unwinder.walk(task, {**registers, watched.port.registers.pc: at})
                unknown[name] += walk.problem == f"no frame is known at {watched.unwinder.place(at)}"
        assert {name for name, count in unknown.items() if count} == set(UNRELIABLE[arch])
        assert sum(unknown.values()) < 80


@pytest.mark.slow
@pytest.mark.parametrize("arch", PORTS)
class TestEverythingReplaced:
    """Every function replaced, some traced as well; and an interrupt comes before each instruction once."""

    def test_no_stack_is_wrong_and_few_are_unknown(self, arch: str) -> None:
        watched = Watched(arch, cpus=1)
        watched.replace_everything()
        replaced = set(watched.kernel.image.sites) - {TRACED_ALONE, "mini_mcount"}
        wanted = REACHED | {f"lp_{name}" for name in replaced} | {"lp_target_show", "lp_target_sum"}
        score = Score(watched, interrupting=True)
        while not wanted <= (reached := functions_at(watched.unwinder, score.reliable)):
            assert watched.kernel.engine.instructions() < 500_000, wanted - reached
            score.run(20_000)

        assert set(score.unreliable) <= set(UNRELIABLE[arch]), dict(score.unreliable)
        assert score.asleep > 300, "that many task switches, most of them preemptions"
        assert watched.kernel.warnings() == watched.machine.bad_results() == 0
        self.assert_each_trampoline_was_seen_through(watched, score)

    @staticmethod
    def assert_each_trampoline_was_seen_through(watched: Watched, score: Score) -> None:
        """Every instruction of each kind of trampoline has been compared, wherever its copies are."""
        extents = kernel_functions(watched)
        shared = [extents[name] for name in ("ftrace_caller", "ftrace_regs_caller", "mcount_caller")]
        for extent in shared:
            assert instructions(watched, extent) <= score.reliable
        kinds = defaultdict[int, list[range]](list)
        for copy in watched.copies:
            kinds[len(copy)].append(copy)
        assert len(kinds) in (0, 2), "private trampolines are of two kinds"
        for copies in kinds.values():
            # behind the return there are a trap, as long as a jump would be, and the pointer to the ops
            code = {at - copies[0].start for at in instructions(watched, copies[0][: -len(b"\xcc") * 4])}
            seen = {at - copy.start for copy in copies for at in score.reliable if at in copy}
            assert code <= seen


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "through"),
    [("call_ops", {"ftrace_caller_ops", "ftrace_regs_caller_ops"}), ("far_modules", {"plt of target"})],
)
class TestVariants:
    """Ways of reaching a trampoline that only arm64 has."""

    def test_no_stack_is_wrong(self, option: str, through: set[str]) -> None:
        watched = Watched("arm64", **{option: True})
        watched.replace_everything()
        score = Score(watched)
        score.run(30_000)
        assert set(score.unreliable) <= set(UNRELIABLE["arm64"])
        assert through <= functions_at(watched.unwinder, score.reliable)


@pytest.mark.slow
@pytest.mark.parametrize("arch", PORTS)
class TestWhilePatching:
    """A patch comes and goes while its function is called: sites are in between two states."""

    def test_no_stack_is_wrong(self, arch: str) -> None:
        watched = Watched(arch, fetch="eager", tick=1_000)
        machine, kernel, function = watched.machine, watched.kernel, "cmdline_proc_show"
        call = next(call for call in machine.manifest.calls if call.fn == function)
        kernel.offer_calls([(call, kernel.image.address(function))])
        score = Score(watched)
        for ask in (
            lambda: machine.tracing.add(function),
            lambda: machine.livepatch.enable("livepatch-sample"),
            lambda: machine.tracing.remove(function),
        ):
            ask()
            for _ in range(80_000):
                score.step()
                if kernel.installer.idle:
                    break
            assert kernel.installer.idle, kernel.installer.current
            score.run(3_000)
        assert set(score.unreliable) <= set(UNRELIABLE[arch])
        reached = functions_at(watched.unwinder, score.reliable)
        assert {"lp_cmdline_proc_show", "ftrace_ops_list_func"} <= reached
        if watched.port.tracing.shield:  # breakpoints shield what is being poked
            assert {"vector_breakpoint", "poke_int3_handler"} <= reached


@pytest.mark.slow
@pytest.mark.parametrize("post", [0, 1])
@pytest.mark.parametrize("is_entry", [True, False], ids=["entry", "inside"])
@pytest.mark.parametrize("arch", PORTS)
class TestProbed:
    """A kprobe's handlers run: by ftrace, or by breakpoints around a copy of the first push."""

    def test_no_stack_is_wrong(self, arch: str, is_entry: bool, post: int) -> None:
        watched = Watched(arch)
        machine, port = watched.machine, watched.port
        probe = {"fn": "mini_nested", "off": str(0 if is_entry else port.site.body_offset), "post": str(post)}
        watched.at_once(lambda: machine.load("kp_user", probe))
        score = Score(watched)
        score.run(40_000)

        by_ftrace = is_entry and port.probing.on_ftrace
        reached = functions_at(watched.unwinder, score.reliable)
        unknown = set(score.unreliable) - set(UNRELIABLE[arch])
        ran = reached | unknown
        handler = "kprobe_int3_handler" if arch == "x86_64" else "kprobe_breakpoint_handler"

        assert unknown <= (set() if by_ftrace else INSIDE_BREAKPOINTS[arch])
        assert {"kprobe_ftrace_handler" if by_ftrace else handler, "kp_pre"} <= ran
        assert ("kp_post" in reached) == bool(post)
        assert bool(score.in_copies) == (not by_ftrace)
        assert score.asleep


class TestHarness:
    """The comparison would notice."""

    @pytest.mark.parametrize("arch", PORTS)
    def test_a_missing_frame_is_noticed(self, arch: str, monkeypatch: pytest.MonkeyPatch) -> None:
        watched = Watched(arch)
        walk = watched.unwinder.walk

        def forgetful(*args: object) -> Walk:
            found = walk(*args)  # type: ignore[arg-type]  # whatever it is called with
            return replace(found, entries=found.entries[:-1]) if len(found.entries) > 2 else found

        monkeypatch.setattr(watched.unwinder, "walk", forgetful)
        with pytest.raises(AssertionError, match=r"^found .*, true are "):
            Score(watched).run(3_000)

    def test_a_place_where_tasks_are_preempted_must_be_known(self, monkeypatch: pytest.MonkeyPatch) -> None:
        watched = Watched("arm64")
        unknown = Walk(entries=(), sp=0, problem="no frame is known")
        monkeypatch.setattr(watched.unwinder, "walk", lambda *_: unknown)
        with pytest.raises(AssertionError, match=r"interrupts are on|asleep"):
            Score(watched).run(3_000)
