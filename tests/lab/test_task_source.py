"""Tasks of a scenario: what their tables may say, and what starting them does."""

from __future__ import annotations

import pytest

from emu.build.manifest import ManifestError
from emu.kernel.kernel import NoSpareTaskError
from emu.lab.run import machine_of, run_scenario
from emu.lab.scenario import Scenario, ScenarioError, parse_scenario
from emu.lab.start_task import start_tasks
from emu.lab.task_source import TaskCall, TaskSource, parse_tasks, spare_slots

CALL = TaskCall(fn="mini_leaf", args=(41,))
GOOD = {"cpus": [1], "calls": [{"fn": "mini_leaf", "args": [41]}]}

WRONG = {
    "no tables": (1, r"tasks: must be tables \(\[tasks\.NAME\]\)"),
    "no table": ({"t": 1}, r"tasks: must be tables \(\[tasks\.NAME\]\)"),
    "key": ({"t": {**GOOD, "cpu": 1}}, r"tasks\.t\.cpu: unknown key; known: calls, .*"),
    "no CPUs": ({"t": {"calls": GOOD["calls"]}}, r"tasks\.t\.cpus: is missing; give the CPUs .*"),
    "CPU twice": ({"t": {**GOOD, "cpus": [1, 1]}}, r"tasks\.t\.cpus: must be an array of .*, not \[1, 1\]"),
    "count": ({"t": {**GOOD, "count": 0}}, r"tasks\.t\.count: must be a whole number from 1 to 32, not 0"),
    "entry": ({"t": {**GOOD, "entry": "x"}}, r"tasks\.t\.entry: must be one of worker, .*, not 'x'"),
    "forever": ({"t": {**GOOD, "forever": 1}}, r"tasks\.t\.forever: must be true or false, not 1"),
    "no calls": ({"t": {"cpus": [1], "calls": []}}, r"tasks\.t\.calls: must be an array of 1 to 7 calls"),
    "call": ({"t": {**GOOD, "calls": [1]}}, r"tasks\.t\.calls\[0\]: needs fn, and may have args"),
    "function": ({"t": {**GOOD, "calls": [{"fn": 1}]}}, r"tasks\.t\.calls\[0\]\.fn: must name a function.*"),
    "arguments": (
        {"t": {**GOOD, "calls": [{"fn": "f", "args": [0] * 11}]}},
        r"tasks\.t\.calls\[0\]\.args: must be an array of at most ten",
    ),
    "argument": (
        {"t": {**GOOD, "calls": [{"fn": "f", "args": [-1]}]}},
        r"tasks\.t\.calls\[0\]\.args: must hold u64 or names of symbols, not -1",
    ),
}


def source(**changes: object) -> TaskSource:
    fields: dict[str, object] = {"name": "t", "cpus": (1,), "count": 1, "entry": "worker", "forever": True}
    return TaskSource(**{**fields, "calls": (CALL,), **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(("rows", "expected"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_told_with_its_key(rows: object, expected: str) -> None:
    with pytest.raises(ManifestError, match=f"^mine: {expected}$"):
        parse_tasks(rows, origin="mine")


def test_what_is_right_is_read() -> None:
    assert parse_tasks({"t": GOOD}, origin="mine") == {"t": source()}


def test_names_tell_tasks_of_a_kind_apart() -> None:
    assert source().comms() == [("t", 1)]
    assert source(cpus=(1, 2)).comms() == [("t/1", 1), ("t/2", 2)]
    assert source(count=2).comms() == [("t/1.0", 1), ("t/1.1", 1)]


def test_each_cpu_has_room_for_as_many_as_the_fullest() -> None:
    tasks = {"a": source(cpus=(1, 2), count=3), "b": source(cpus=(2,))}
    assert spare_slots(tasks, cpus=3) == 12
    assert spare_slots({}, cpus=3) == 0


def test_there_is_room_for_all_that_are_declared_and_no_more() -> None:
    tasks = {"a": source(name="a", cpus=(0, 1), count=2), "b": source(name="b")}
    with machine_of(Scenario(name="x", cpus=2, workers=0, users=0, tasks=tasks), None) as machine:
        started = [*start_tasks(machine, tasks["a"]), *start_tasks(machine, tasks["b"])]

        assert [(task.comm, task.cpu) for task in started] == [
            ("a/0.0", 0), ("a/0.1", 0), ("a/1.0", 1), ("a/1.1", 1), ("b", 1),
        ]  # fmt: skip
        with pytest.raises(NoSpareTaskError):
            start_tasks(machine, tasks["b"])
        assert machine.run(calls=100).ok
        known = machine.trace.meta["tasks"]
        assert [known[task.index]["comm"] for task in started] == [task.comm for task in started]


STEPS = "[[steps]]\nstart = 't'\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[tasks.t]\ncpus = [9]\ncalls = [{ fn = 'mini_leaf' }]", r"tasks\.t\.cpus: CPU9 is not there.*"),
        ("tickless = [4]", r"tickless: CPU4 is not there: cpus is 4"),
        ("tickless = [0]", r"tickless: CPU0 patches, and needs its tick for that"),
        ("tickless = 1", r"tickless: must be an array of numbers of CPUs, not 1"),
        ("patience = 0", r"patience: must be a whole number from 1 to 1000000, not 0"),
        ("ports = ['mips']", r"ports: must be an array of arm64, x86_64, not \['mips'\]"),
        ("[arm64]\ncals = 1", r"arm64\.cals: unknown key; did you mean 'calls'\?"),
        ("[arm64]\ncalls = 0", r"arm64\.calls: must be a whole number from 1 to .*, not 0"),
        ("arm64 = 1", r"arm64: must be a table \(\[arm64\]\)"),
    ],
)
def test_a_scenario_that_cannot_be_is_refused(text: str, expected: str) -> None:
    with pytest.raises(ScenarioError, match=f"^mine: {expected}$"):
        parse_scenario(f"name = 'x'\n{text}", origin="mine")


def test_keys_of_a_port_count_there_unless_an_option_says_otherwise() -> None:
    scenario = parse_scenario("name = 'x'\ncalls = 7\n[arm64]\ncalls = 9\ncall_ops = true", origin="mine")

    assert scenario.on_its_port().calls == 7
    on_arm = scenario.with_options({"arch": "arm64"})
    assert (on_arm.on_its_port().calls, on_arm.on_its_port().call_ops) == (9, True)
    assert scenario.with_options({"arch": "arm64", "calls": 8}).on_its_port().calls == 8


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (STEPS, r"steps\[0\]\.start: unknown task 't'; known: none"),
        (
            f"{STEPS}[tasks.t]\ncpus = [1]\ncalls = [{{ fn = 'nosuch' }}]",
            r"tasks\.t\.calls\[0\]: unknown symbol .*",
        ),
    ],
)
def test_names_are_looked_up_before_anything_runs(text: str, expected: str) -> None:
    with pytest.raises(ScenarioError, match=f"^mine: {expected}"):
        run_scenario(parse_scenario(f"name = 'x'\n{text}", origin="mine"))
