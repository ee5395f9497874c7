"""The function tracer by /sys/kernel/tracing: beside livepatch (``function_tracer_together``); filters."""

from __future__ import annotations

import re

import pytest

from emu.ftrace import enabled_functions, trampoline_lines
from emu.ftrace.trace_buffer import ENTRIES
from emu.kernel.errno import EINVAL, EISDIR, ENODEV, ENOENT, ENOMEM
from tests.lab.users import SETUPS, TRACING, Users

ALL = "#### all functions enabled ####\n"


def start(users: Users, *functions: str) -> None:
    """Let functions be traced."""
    for function in functions:
        assert users.trace("set_ftrace_filter", f"{function}\n") == len(function) + 1
    assert users.trace("current_tracer", "function") == 8


class TestTogether:
    """The tracer and a livepatch on one function, either first."""

    def test_the_livepatch_is_first(self, users: Users) -> None:
        number = users.patch("lp_a1")
        patch_only = users.way("vic_alpha")
        start(users, "vic_alpha", "vic_beta")
        assert users.enabled() == ["vic_alpha [victim] (2)   I", "vic_beta [victim] (1)"]
        assert users.way("vic_alpha") == "ftrace_caller"
        assert (users.call("vic_alpha"), users.call("vic_beta")) == (number, 0)
        assert users.traced() == ["vic_alpha <-vic_show", "vic_beta <-vic_show"]

        users.unpatch("lp_a1")
        assert users.call("vic_alpha") == 0
        assert users.enabled() == ["vic_alpha [victim] (1)", "vic_beta [victim] (1)"]
        assert users.way("vic_alpha") == users.way("vic_beta")

        number = users.patch("lp_a1")
        assert users.call("vic_alpha") == number
        assert users.enabled()[0] == "vic_alpha [victim] (2)   I"
        assert users.trace("current_tracer", "nop") == 3
        assert users.enabled() == ["vic_alpha [victim] (1)   I"]
        assert users.call("vic_alpha") == number
        if not users.has_trampolines:
            assert users.way("vic_alpha") == patch_only
        users.unpatch("lp_a1")
        assert users.text() == users.boot_text
        users.assert_sound()

    def test_who_is_called_by_which_way(self) -> None:
        users = Users("x86_64")
        users.patch("lp_a1")
        start(users, "vic_alpha", "vic_beta")
        lines = [
            re.sub(r"0x[0-9a-f]{5,}", "ADDRESS", re.sub(r"/0x[0-9a-f]+", "/SIZE", line))
            for line in enabled_functions(users.machine.ftrace)
        ]
        assert lines == [
            "vic_alpha [victim] (2)   I   ->arch_ftrace_ops_list_func+0x0/SIZE",
            "vic_beta [victim] (1)      \ttramp: ADDRESS (function_trace_call+0x0/SIZE)"
            " ->function_trace_call+0x0/SIZE",
        ]
        tracers, patchs = (line.split() for line in trampoline_lines(users.machine.ftrace))
        assert users.way("vic_beta") == f"{int(tracers[0], 16):#x}"
        assert tracers[1:] == patchs[1:] == ["t", "ftrace_trampoline", "[__builtin__ftrace]"]
        users.unpatch("lp_a1")
        assert [line.split()[0] for line in trampoline_lines(users.machine.ftrace)] == [tracers[0]]

    def test_three_users(self, users: Users) -> None:
        start(users, "vic_alpha")
        assert users.insmod("ops_user", fn="vic_alpha", saveregs=1) == 0
        number = users.patch("lp_a1")
        assert users.enabled() == ["vic_alpha [victim] (3) R I"]
        assert users.call("vic_alpha") == number
        assert users.traced() == ["vic_alpha <-vic_show"]
        users.assert_sound()

    def test_a_replacement_is_traced_like_any_function(self, users: Users) -> None:
        users.patch("lp_a1")
        start(users, "*vic_alpha")
        users.call("vic_alpha")
        assert users.traced() == ["vic_alpha <-vic_show", "lp_vic_alpha <-vic_show"]


class TestTracer:
    """current_tracer, trace and tracing_on."""

    def test_starts_and_ends_with_an_empty_buffer(self, users: Users) -> None:
        assert users.read(f"{TRACING}/current_tracer") == "nop\n"
        assert users.read(f"{TRACING}/available_tracers") == "function nop\n"
        start(users, "vic_alpha")
        assert users.read(f"{TRACING}/current_tracer") == "function\n"
        users.call("vic_alpha")
        assert users.trace("current_tracer", " function\n") == 10
        assert users.traced() == ["vic_alpha <-vic_show"], "it was on already"
        assert users.trace("current_tracer", "nosuch") == -EINVAL
        assert users.traced() == ["vic_alpha <-vic_show"]
        assert users.trace("current_tracer", "nop\n") == 4
        users.call("vic_alpha")
        assert users.traced() == []
        start(users)
        assert users.traced() == []

    def test_what_the_file_looks_like(self, users: Users) -> None:
        start(users, "vic_alpha")
        users.call("vic_alpha")
        assert users.read(f"{TRACING}/trace") == (
            "# tracer: function\n"
            "#\n"
            "# entries-in-buffer/entries-written: 1/1   #P:2\n"
            "#\n"
            "#                                _-----=> irqs-off/BH-disabled\n"
            "#                               / _----=> need-resched\n"
            "#                              | / _---=> hardirq/softirq\n"
            "#                              || / _--=> preempt-depth\n"
            "#                              ||| / _-=> migrate-disable\n"
            "#                              |||| /     delay\n"
            "#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION\n"
            "#              | |         |   |||||     |         |\n"
            f"          caller-{users.process.task.pid}       [000] ....."
            "            1: vic_alpha <-vic_show\n"
        )

    def test_truncating_empties_it(self, users: Users) -> None:
        start(users, "vic_alpha")
        users.call("vic_alpha")
        assert users.trace("trace", "whatever") == 8
        assert users.traced() == ["vic_alpha <-vic_show"]
        assert users.shell.write(f"{TRACING}/trace", "whatever") == 8
        assert users.traced() == []

    def test_tracing_on(self, users: Users) -> None:
        start(users, "vic_alpha")
        assert users.trace("tracing_on", "0\n") == 2
        users.call("vic_alpha")
        assert users.traced() == []
        assert users.trace("tracing_on", "maybe") == -EINVAL
        assert users.trace("tracing_on", "1") == 1
        assert users.read(f"{TRACING}/tracing_on") == "1\n"
        users.call("vic_alpha")
        assert users.traced() == ["vic_alpha <-vic_show"]

    def test_a_full_ring_loses_the_oldest(self, users: Users) -> None:
        start(users, "vic_count")
        deep = 40
        calls = ENTRIES // deep + 1
        for _ in range(calls):
            users.call("vic_count", deep)
        written = calls * (deep + 1)
        assert f"entries-written: {ENTRIES}/{written} " in users.read(f"{TRACING}/trace")
        assert len(users.traced()) == ENTRIES
        assert users.traced().count("vic_count <-vic_show") == ENTRIES // (deep + 1)
        assert set(users.traced()) == {"vic_count <-vic_show", "vic_count <-vic_count"}

    def test_ftrace_switched_off_under_it(self, users: Users) -> None:
        start(users, "vic_alpha")
        assert users.shell.write("/proc/sys/kernel/ftrace_enabled", "0") == 1
        users.call("vic_alpha")
        assert users.traced() == []
        assert users.way("vic_alpha") == ""
        assert users.shell.write("/proc/sys/kernel/ftrace_enabled", "1") == 1
        users.call("vic_alpha")
        assert users.traced() == ["vic_alpha <-vic_show"]

    def test_no_memory_for_the_ring(self, users: Users) -> None:
        users.machine.kernel.fail = lambda step: ENOMEM if step == "alloc" else 0
        assert users.trace("current_tracer", "function") == -ENOMEM
        assert users.read(f"{TRACING}/current_tracer") == "nop\n"

    def test_ftrace_has_given_up(self, users: Users) -> None:
        users.machine.ftrace._code.disabled = True
        assert users.trace("current_tracer", "function") == -ENODEV

    @pytest.mark.parametrize("mode", ["fast", "exact"])
    @pytest.mark.parametrize("setup", SETUPS[:2])
    def test_many_cpus_write_at_once(self, setup: str, mode: str) -> None:
        users = Users(setup, cpus=4, workers=2, users=1, mode=mode, tick=1_500)
        start(users)
        assert users.machine.run(calls=1_500).ok
        entries, written = users.users.tracer.buffer.entries()
        assert written > ENTRIES
        numbers = [entry.seq for entry in entries]
        assert len(numbers) > ENTRIES - 8  # some may be being written
        assert numbers == sorted(set(numbers))
        assert {entry.cpu for entry in entries} == {0, 1, 2, 3}
        sites = {record.ip for record in users.machine.ftrace.sites.records()}
        tasks = {task.pid: task for task in users.machine.kernel.tasks}
        for entry in entries:
            assert entry.ip in sites
            assert tasks[entry.pid].cpu == entry.cpu
        assert users.trace("current_tracer", "nop") == 3
        assert users.machine.run(calls=100).ok
        users.assert_sound()


class TestFilter:
    """set_ftrace_filter and set_ftrace_notrace take one word a write."""

    def test_words_add_up(self, users: Users) -> None:
        assert users.read(f"{TRACING}/set_ftrace_filter") == ALL
        assert users.trace("set_ftrace_filter", "vic_alpha\n") == 10
        assert users.trace("set_ftrace_filter", "vic_beta\n") == 9
        assert users.read(f"{TRACING}/set_ftrace_filter") == "vic_alpha [victim]\nvic_beta [victim]\n"
        assert users.enabled() == [], "nothing is traced yet"

    def test_the_rest_of_a_write_is_left_for_the_next(self, users: Users) -> None:
        assert users.trace("set_ftrace_filter", " vic_alpha vic_beta\n") == 11
        assert users.read(f"{TRACING}/set_ftrace_filter") == "vic_alpha [victim]\n"
        assert users.trace("set_ftrace_filter", " \n") == 2

    @pytest.mark.parametrize("word", ["vic_nosuch", "vic_untraced", "vic_alpha:traceoff", "*:mod:late"])
    def test_what_means_nothing_is_refused(self, users: Users, word: str) -> None:
        assert users.trace("set_ftrace_filter", f"{word}\n") == -EINVAL
        assert users.trace("set_ftrace_filter", word) == len(word), "told when the file is closed: to nobody"
        assert users.read(f"{TRACING}/set_ftrace_filter") == ALL

    @pytest.mark.parametrize(
        ("words", "left"),
        [
            (["vic_[ab]*"], ["vic_alpha", "vic_beta"]),
            (["*_beta"], ["vic_beta"]),
            (["vic_*:mod:victim", "!vic_?o*", "!vic_[!a]*"], ["vic_alpha"]),
            (["vic_alpha", "vic_beta", "!*alpha"], ["vic_beta"]),
        ],
    )
    def test_patterns(self, users: Users, words: list[str], left: list[str]) -> None:
        for word in words:
            assert users.trace("set_ftrace_filter", f"{word}\n") == len(word) + 1
        assert users.read(f"{TRACING}/set_ftrace_filter") == "".join(f"{name} [victim]\n" for name in left)

    def test_while_the_tracer_is_on(self, users: Users) -> None:
        start(users, "vic_alpha")
        assert users.trace("set_ftrace_filter", "vic_beta\n") == 9
        assert users.enabled() == ["vic_alpha [victim] (1)", "vic_beta [victim] (1)"]
        assert users.trace("set_ftrace_filter", "!vic_alpha\n") == 11
        assert users.enabled() == ["vic_beta [victim] (1)"]
        users.call("vic_alpha")
        users.call("vic_beta")
        assert users.traced() == ["vic_beta <-vic_show"]

    def test_none_means_all_of_them_and_of_modules_to_come(self, users: Users) -> None:
        start(users)
        available = users.read(f"{TRACING}/available_filter_functions").splitlines()
        assert [line.rpartition(" (")[0] for line in users.enabled()] == available
        assert {"mini_leaf", "mini_mcount", "vic_alpha [victim]"} <= set(available)
        assert users.shell.insmod("late") == 0
        assert "late_ping [late] (1)" in users.enabled()
        number = users.patch("lp_a1")
        assert any(line.startswith("lp_vic_alpha [lp_a1] (1)") for line in users.enabled())
        assert users.trace("tracing_on", "1") == 1
        assert users.call("vic_alpha") == number
        assert users.traced()[-3:] == [
            f"vic_show <-{name}" if not at else f"{'lp_' * (at - 1)}vic_alpha <-vic_show"
            for at, name in enumerate([users.traced()[-3].partition("<-")[2], "", ""])
        ]
        assert users.shell.rmmod("late") == 0
        assert not [line for line in users.enabled() if "[late]" in line]
        assert users.trace("current_tracer", "nop") == 3
        assert users.enabled() == ["vic_alpha [victim] (1)   I"]
        users.assert_sound()

    def test_notrace(self, users: Users) -> None:
        assert users.read(f"{TRACING}/set_ftrace_notrace") == "#### no functions disabled ####\n"
        assert users.trace("set_ftrace_notrace", "vic_beta\n") == 9
        start(users, "vic_[ab]*")
        assert users.enabled() == ["vic_alpha [victim] (1)"]
        assert users.read(f"{TRACING}/set_ftrace_notrace") == "vic_beta [victim]\n"
        assert users.trace("set_ftrace_notrace", "vic_alpha\n") == 10
        assert users.enabled() == []
        assert users.shell.write(f"{TRACING}/set_ftrace_notrace", "\n") == 1
        assert users.enabled() == ["vic_alpha [victim] (1)", "vic_beta [victim] (1)"]

    def test_truncating_means_all_again(self, users: Users) -> None:
        start(users, "vic_alpha")
        assert users.shell.write(f"{TRACING}/set_ftrace_filter", "vic_gamma\n") == 10
        assert users.enabled() == ["vic_gamma [victim] (1)"]
        assert users.shell.write(f"{TRACING}/set_ftrace_filter", "\n") == 1
        assert users.read(f"{TRACING}/set_ftrace_filter") == ALL
        assert len(users.enabled()) > 20

    def test_the_module_goes(self, users: Users) -> None:
        start(users, "vic_alpha", "mini_leaf")
        assert users.shell.rmmod("victim") == 0
        assert users.enabled() == ["mini_leaf (1)"]
        assert users.read(f"{TRACING}/set_ftrace_filter") == "mini_leaf\n"
        assert users.trace("set_ftrace_filter", "!mini_leaf\n") == 11
        assert users.shell.insmod("victim") == 0
        assert users.trace("current_tracer", "nop") == 3
        users.assert_sound()

    def test_a_filter_whose_functions_have_all_gone_is_not_one_of_all(self, users: Users) -> None:
        start(users, "vic_alpha")
        assert users.shell.rmmod("victim") == 0
        assert users.read(f"{TRACING}/set_ftrace_filter") == ""
        assert users.shell.insmod("victim") == 0
        assert users.enabled() == []
        users.call("vic_alpha")
        assert users.traced() == []
        users.assert_sound()

    def test_no_memory(self, users: Users) -> None:
        start(users, "vic_alpha")
        users.machine.kernel.fail = lambda step: ENOMEM if step == "alloc" else 0
        assert users.trace("set_ftrace_filter", "vic_beta\n") == -ENOMEM
        assert users.read(f"{TRACING}/set_ftrace_filter") == "vic_alpha [victim]\n"
        assert users.enabled() == ["vic_alpha [victim] (1)"]


class TestTree:
    """What there is, and what it lets one do."""

    def test_files_and_modes(self, users: Users) -> None:
        modes = users.users.trees[0].modes()
        assert modes == {
            "available_filter_functions": 0o440, "available_tracers": 0o440, "current_tracer": 0o640,
            "enabled_functions": 0o440, "set_ftrace_filter": 0o640, "set_ftrace_notrace": 0o640,
            "trace": 0o640, "tracing_on": 0o640,
        }  # fmt: skip

    def test_errors(self, users: Users) -> None:
        assert users.trace("enabled_functions", "x") == -EINVAL
        assert users.shell.read(f"{TRACING}/nosuch") == -ENOENT
        assert users.users.trees[0].truncate("nosuch") == -ENOENT
        assert users.users.trees[0].truncate("") == -EISDIR

    def test_modified_column(self) -> None:
        users = Users("x86_64")
        users.patch("lp_a1")
        users.users.trees[0]._modified_column = True
        assert "vic_alpha [victim] (1)   I     M \ttramp: " in users.read(f"{TRACING}/enabled_functions")
