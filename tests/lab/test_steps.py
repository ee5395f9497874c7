"""Steps that write and read files, and what they wait for."""

from __future__ import annotations

import json
from functools import cache

import pytest

from emu.arch import PORTS
from emu.cli.main import main
from emu.lab.run import Outcome, run_scenario
from emu.lab.scenario import ScenarioError, load_scenario, parse_scenario

SYSFS = "/sys/kernel/livepatch/livepatch-mini"
SAMPLE = "/sys/kernel/livepatch/livepatch-sample"
ENABLE = '[[steps]]\nenable = "livepatch-sample"\n'
STARTING = "livepatch: 'livepatch-mini': starting {} transition"


@cache
def reversed_on(port: str) -> Outcome:
    """Return the shipped scenario, run."""
    return run_scenario(load_scenario("reversed").with_options({"arch": port}))


@pytest.mark.parametrize("port", PORTS)
class TestReversed:
    """images/scenarios/reversed.toml."""

    def test_the_transition_is_reversed_then_one_is_forced(self, port: str) -> None:
        outcome = reversed_on(port)

        assert outcome.ok
        assert [step.answer for step in outcome.steps] == ["ok"] * 7
        assert list(outcome.run.log) == [
            "livepatch-mini: tainting kernel with TAINT_LIVEPATCH",
            "livepatch: enabling patch 'livepatch-mini'",
            STARTING.format("patching"),
            STARTING.format("unpatching"),
            "livepatch: 'livepatch-mini': unpatching complete",
            "livepatch: enabling patch 'livepatch-mini'",
            STARTING.format("patching"),
            "livepatch: forcing remaining tasks to the patched state",
            "livepatch: 'livepatch-mini': patching complete",
        ]

    def test_files_are_read_while_it_goes_on(self, port: str) -> None:
        steps = reversed_on(port).steps

        assert [step.text for step in steps if step.step.action == "read"] == ["1\n", "1\n"]
        assert {step.text for step in steps if step.step.action != "read"} == {None}

    def test_json_has_what_was_written_and_read(self, port: str) -> None:
        steps = reversed_on(port).to_json()["steps"]
        assert isinstance(steps, list)

        shown = [(row.get("read") or row["write"], row["text"]) for row in steps if "text" in row]
        assert shown == [
            (f"{SYSFS}/transition", "1\n"), (f"{SYSFS}/enabled", "0"), (f"{SYSFS}/transition", "1\n"),
            (f"{SYSFS}/force", "1"),
        ]  # fmt: skip
        json.dumps(steps)


def outcome_of(text: str) -> Outcome:
    """Return a scenario of these steps, run on a small machine."""
    head = 'name = "x"\ncpus = 1\nworkers = 1\nusers = 0\ncalls = 2000\n'
    return run_scenario(parse_scenario(head + text, origin="x.toml"))


class TestWaiting:
    """A step is over when no transition is under way, unless it says otherwise."""

    def test_a_write_that_disables_waits_as_disable_does(self) -> None:
        steps = f'{ENABLE}[[steps]]\nafter_calls = 500\nwrite = "{SAMPLE}/enabled"\ntext = "0"\n'
        outcome = outcome_of(f'{steps}[[steps]]\nafter_calls = 500\nread = "{SAMPLE}/enabled"\n')

        assert [step.answer for step in outcome.steps] == ["ok", "ok", "-ENOENT"]  # its directory has gone
        assert not outcome.ok
        assert outcome.run.log[-1] == "livepatch: 'livepatch-sample': unpatching complete"

    @pytest.mark.parametrize(("wait", "answer"), [("true", "-ENOENT"), ("false", "ok")])
    def test_a_write_that_reverses_waits_for_the_way_back(self, wait: str, answer: str) -> None:
        tasks = '[tasks.sleeper]\ncpus = [0]\ncalls = [{ fn = "mini_sleep", args = [300] }]\n'
        steps = '[[steps]]\nafter_calls = 50\nstart = "sleeper"\n'
        steps += '[[steps]]\nafter_calls = 100\nenable = "livepatch-mini"\nwait = false\n'
        steps += f'[[steps]]\nafter_calls = 200\nwrite = "{SYSFS}/enabled"\ntext = "0"\nwait = {wait}\n'
        steps += f'[[steps]]\nafter_calls = 200\nread = "{SYSFS}/enabled"\n'
        outcome = outcome_of(f"tick = 500\n{tasks}{steps}")

        assert [step.answer for step in outcome.steps] == ["ok", "ok", "ok", answer]
        assert outcome.steps[-1].text == (None if answer == "-ENOENT" else "0\n")

    def test_what_linux_refuses_is_the_steps_answer(self) -> None:
        steps = f'{ENABLE}[[steps]]\nwrite = "{SAMPLE}/force"\ntext = "1"\n'
        outcome = outcome_of(f'{steps}[[steps]]\nwrite = "{SAMPLE}/transition"\ntext = "1"\n')

        assert [step.answer for step in outcome.steps] == ["ok", "-EINVAL", "-EACCES"]

    def test_the_command_prints_it(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as done:
            main(["run", "reversed"])

        assert done.value.code == 0
        lines = capsys.readouterr().out.splitlines()
        at = lines.index("files read")
        assert lines[at + 1 : at + 3] == [f"  after 2_000 calls {SYSFS}/transition", "    1"]


WRONG = {
    "no text": (f'write = "{SYSFS}/enabled"', "steps[0].text: is missing; give what to write"),
    "text that is a number": (
        f'write = "{SYSFS}/enabled"\ntext = 0', "steps[0].text: must be a string, not 0",
    ),
    "text of another action": (
        f'read = "{SYSFS}/enabled"\ntext = "0"', "steps[0].text: is for write, not for read",
    ),
    "wait that is no truth value": (
        'enable = "livepatch-mini"\nwait = "no"', "steps[0].wait: must be true or false, not 'no'",
    ),
    "wait of another action": (
        f'read = "{SYSFS}/enabled"\nwait = true',
        "steps[0].wait: is for enable, disable, write, not for read",
    ),
    "a file of no file system": (
        'read = "/sys/kernel/livepatches/x"',
        "steps[0].read: unknown mount point of '/sys/kernel/livepatches/x'; ",
    ),
    "a file of no patch": (
        'write = "/sys/kernel/livepatch/livepatch-mimi/enabled"\ntext = "0"',
        "steps[0].write: unknown patch 'livepatch-mimi'; did you mean 'livepatch-mini'?",
    ),
    "a file of the wrong type": ("read = 1", "steps[0].read: must name the file to read"),
    "two actions": (
        f'read = "{SYSFS}/enabled"\nenable = "x"', "steps[0]: needs exactly one of enable, disable, ",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), WRONG.values(), ids=WRONG)
def test_a_wrong_key_is_told_with_file_and_key(text: str, expected: str) -> None:
    with pytest.raises(ScenarioError) as told:
        outcome_of(f"[[steps]]\n{text}\n")

    assert str(told.value).startswith(f"x.toml: {expected}")


def test_a_module_refused_for_a_patch_tells_why_its_function_cannot_be_patched() -> None:
    text = (
        'name = "late"\nimage = "reference"\ncpus = 2\ncalls = 100\n'
        '[patches.p.objects.victim]\nvic_untraced = "lp_vic_untraced"\n'
        '[[steps]]\nload = "viccore"\n[[steps]]\nenable = "p"\n[[steps]]\nload = "victim"\n'
    )
    refused = run_scenario(parse_scenario(text, origin="late.toml")).steps[-1]

    assert (refused.answer, refused.reasons) == ("-EINVAL", ("vic_untraced [victim]: it has no ftrace site",))


@pytest.mark.parametrize(("flavour", "answer"), [("linux-6.1", "-ENOENT"), ("linux-6.17", "ok")])
def test_the_flavour_decides_which_files_there_are(flavour: str, answer: str) -> None:
    text = (
        f'name = "f"\nflavour = "{flavour}"\ncpus = 2\ncalls = 200\n{ENABLE}'
        f'[[steps]]\nafter_calls = 50\nread = "{SAMPLE}/stack_order"\n'
    )
    outcome = run_scenario(parse_scenario(text, origin="f.toml"))

    assert [step.answer for step in outcome.steps] == ["ok", answer]
    assert outcome.to_json()["flavour"] == flavour
