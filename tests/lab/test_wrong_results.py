"""A call that comes back wrong is named: function, arguments, what it gave, what it should have, by whom."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from emu.arch import PORTS, Port
from emu.build.contents import PatchSource
from emu.cli.run_text import print_outcome
from emu.lab import wrong_results
from emu.lab.machine import Machine
from emu.lab.run import Outcome, run_scenario
from emu.lab.scenario import Scenario, Step
from emu.machine.state import ProbeKind
from tests.lab.wrong import MODULE, Deed, module

SEVEN = {"x86_64": "mov eax, 0x7\nret", "arm64": "mov x0, #0x7\nret"}
CHANGES_A_REGISTER = {
    "x86_64": "xor ebx, ebx\nxor eax, eax\nret",
    "arm64": "mov x19, #0x0\nmov x0, #0x0\nret",
}
WHO = r"; CPU[01], task (worker|user)/[01]\.[01] \(pid \d+\)"
parametrize_port = pytest.mark.parametrize("port", PORTS.values(), ids=PORTS)


def outcome_of(port: Port, deed: Deed, *more: Step, **options: object) -> Outcome:
    """Return what a run comes to in which every task calls ``deed``, which shall return 0."""
    steps = (Step(after_calls=100, action="load", subject=MODULE), *more)
    scenario = Scenario(
        name="wrong",
        arch=port.name,
        cpus=2,
        calls=3_000,
        steps=steps,
        modules={MODULE: module(port, "f", deed)},
    )
    return run_scenario(replace(scenario, **options))  # type: ignore[arg-type]  # fields of a Scenario


@parametrize_port
class TestNoted:
    def test_a_result(self, port: Port) -> None:
        outcome = outcome_of(port, Deed(body=SEVEN, what=""))

        assert not outcome.ok
        assert outcome.bad_results > len(outcome.wrong_results) == wrong_results.MOST
        for wrong in outcome.wrong_results:
            assert re.fullmatch(rf"f\(0x1, 0x2\) gave 0x7, expected 0x0{WHO}", str(wrong))
        first = outcome.wrong_results[0]
        assert (first.function, first.args, first.got, first.expected, first.ran) == ("f", (1, 2), 7, 0, "")

    def test_a_register(self, port: Port) -> None:
        outcome = outcome_of(port, Deed(body=CHANGES_A_REGISTER, what=""))

        what = "gave 0x0 as expected, but a callee-saved register or the stack pointer was changed"
        assert re.fullmatch(rf"f\(0x1, 0x2\) {what}{WHO}", str(outcome.wrong_results[0]))

    def test_a_function_that_is_not_traced(self, port: Port) -> None:
        outcome = outcome_of(port, Deed(body=SEVEN, what="", is_traced=False))

        what = (
            r"gave another result than 0x0, or a callee-saved register or the stack pointer was changed "
            r"\(it is not traced\)"
        )
        assert re.fullmatch(rf"f\(0x1, 0x2\) {what}{WHO}", str(outcome.wrong_results[0]))

    def test_a_replacement(self, port: Port) -> None:
        code = module(port, "lp_leaf", Deed(body=SEVEN, what="", is_traced=False)).code
        patch = PatchSource(name="p", objects={"vmlinux": {"mini_leaf": "lp_leaf"}}, code=code)
        enable = Step(after_calls=100, action="enable", subject="p")
        scenario = Scenario(name="wrong", arch=port.name, cpus=2, steps=(enable,), patches={"p": patch})
        noted = [str(wrong) for wrong in run_scenario(scenario).wrong_results]

        expected = rf"mini_leaf\(0x29\) gave 0x7, expected 0x2a, by p:lp_leaf{WHO}"
        assert any(re.fullmatch(expected, line) for line in noted), noted

    @pytest.mark.parametrize("mode", ["fast", "exact"])
    def test_noting_them_changes_nothing(
        self, port: Port, mode: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        deed = Deed(body=SEVEN, what="")
        schedule = "quantum" if mode == "fast" else "random"
        noted = outcome_of(port, deed, mode=mode, schedule=schedule)
        monkeypatch.setattr(wrong_results, "MOST", 0)
        unnoted = outcome_of(port, deed, mode=mode, schedule=schedule)

        assert noted.wrong_results
        assert not unnoted.wrong_results
        assert noted.run.meta["digest"] == unnoted.run.meta["digest"]


class TestTold:
    def test_in_the_text_of_a_run(self, capsys: pytest.CaptureFixture[str]) -> None:
        outcome = outcome_of(PORTS["x86_64"], Deed(body=SEVEN, what=""))
        print_outcome(outcome)
        lines = capsys.readouterr().out.splitlines()
        at = next(number for number, line in enumerate(lines) if line.startswith("NOT OK: "))

        assert f", {outcome.bad_results} wrong results, " in lines[at]
        assert lines[at + 1] == f"  wrong: {outcome.wrong_results[0]}"
        assert lines[at + wrong_results.MOST + 1] == f"  and {outcome.bad_results - wrong_results.MOST} more"

    def test_in_its_document(self) -> None:
        document = outcome_of(PORTS["arm64"], Deed(body=SEVEN, what="")).to_json()

        told = document["wrong_results"]
        assert isinstance(told, list)
        assert len(told) == wrong_results.MOST
        assert told[0] | {"cpu": 0, "task": ""} == {
            "function": "f", "args": (1, 2), "got": 7, "expected": 0, "ran": "", "cpu": 0, "task": "",
        }  # fmt: skip


def test_a_breakpoint_of_the_user_is_none() -> None:
    with Machine(cpus=1) as machine:
        machine.kernel.engine.tables.set_probe(machine.kallsyms.address_of("cond_resched"), ProbeKind.BREAK)

        assert machine.run(calls=1_000).ok
        assert machine.calls_done < 1_000
        assert not machine.wrong_results.noted
