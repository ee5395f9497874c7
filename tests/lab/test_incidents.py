"""Incidents: each is found with its defect, with a report that says what happened, and clean without."""

from __future__ import annotations

import json
import re
from functools import cache

import pytest

from emu.arch import PORTS
from emu.cli.main import main
from emu.lab.defects import DEFECTS, defect_named
from emu.lab.incidents import fixed, incident_names, load_incident, load_named
from emu.lab.run import Outcome, run_scenario
from emu.lab.scenario import ScenarioError, parse_scenario

SEEDS = (1, 2, 3)

REPORTS = {
    "busy-kthread": r"'livepatch-poller': patching has not ended .* CPU1, task poller \(pid \d+\), at "
    r".*(.|\n)*poller \(pid \d+\) on CPU1 (.|\n)* poll_ring\+",
    "fork-race": r"launcher/2 \(pid \d+\) on CPU2 runs\n +TIF_PATCH_PENDING is clear: .*\n"
    r" +forked by launcher/2 \(pid \d+\) on CPU2:\n"
    r".*flags copied .* at cycle [\d_]+, when its parent had patch_state -1 and TIF_PATCH_PENDING clear\n"
    r".*patch_state copied .* at cycle [\d_]+, when its parent had patch_state 0 and TIF_PATCH_PENDING set",
    "handler-recursion": r"guard page below the kernel stack of .*: stack overflow(.|\n)*"
    r"innermost first: (lp_)?mini_leaf \(\d+ times\)",
    "idle-cpu": r"waits for 1 of \d tasks\n +swapper/2 \(pid 0\) on CPU2 runs(.|\n)*round of its idle loop",
    "ops-freed": r"use after free: klp_ops|executed a freed trampoline",
    "repatch-window": r"version: mini_leaf ran the original; registered at its entry was fix-1:",
    "stack-check-newest": r"task sleeper (.|\n)*executed a freed module: .*, freed at cycle",
    "trampoline-freed": r"executed a freed trampoline: |its stack leads back into a freed trampoline: ",
}
"""What the report of each matches."""

STORIES = {
    "busy-kthread": r"enabling 'livepatch-poller' begins(.|\n)*CPU1 .*poller \(pid \d+\): runs",
    "fork-race": r"flags are copied .*clear(.|\n)*enabling 'leaf' begins(.|\n)*patch_state is copied .*set",
    "handler-recursion": r"enabling 'helper-too' begins(.|\n)*pokes text of .*mini_leaf(.|\n)*: fault at",
    "idle-cpu": r"enabling 'livepatch-mini' begins",
    "ops-freed": r"is preempted(.|\n)*frees klp_ops at .*(.|\n)*: (fault|BUG) at",
    "repatch-window": r"enabling 'fix-2' begins(.|\n)*mini_leaf ran the original; registered",
    "stack-check-newest": r"sleeper .* is asleep(.|\n)*'sleep-2' is enabled(.|\n)*patch sleep-1 .* is gone"
    r"(.|\n)*sleeper \(pid \d+\): runs(.|\n)*sleeper \(pid \d+\): BUG at",
    "trampoline-freed": r"is preempted(.|\n)*frees trampoline .*(.|\n)*: (fault|BUG) at",
}
"""What led to it, in this order."""

CASES = [(name, arch) for name in incident_names() for arch in load_incident(name).ports or sorted(PORTS)]


@cache
def outcomes(name: str, arch: str, *, without_defect: bool = False) -> list[Outcome]:
    """Return what becomes of an incident under each seed."""
    runs = (load_incident(name).with_options({"arch": arch, "seed": seed}) for seed in SEEDS)
    return [run_scenario(fixed(scenario) if without_defect else scenario) for scenario in runs]


def report(outcome: Outcome) -> str:
    """Return all that is said of what went wrong."""
    return "\n".join([*outcome.stopped.lines(), *outcome.facts["audit"]["findings"]])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "arch"), CASES)
class TestEachIncident:
    """Under nearly every seed it happens, and without the defect under none."""

    def test_is_found_and_reported(self, name: str, arch: str) -> None:
        reports = [report(outcome) for outcome in outcomes(name, arch) if not outcome.ok]

        assert len(reports) >= len(SEEDS) - 1
        for text in reports:
            assert re.search(REPORTS[name], text), text

    def test_is_told_in_order_with_cpu_and_task(self, name: str, arch: str) -> None:
        for outcome in outcomes(name, arch):
            text = "\n".join(map(str, outcome.story))
            assert outcome.ok or re.search(STORIES[name], text), text
            assert all(re.fullmatch(r"\S+ \(pid \d+\)", moment.task) for moment in outcome.story)
            assert all(0 <= moment.cpu < outcome.scenario.cpus for moment in outcome.story)

    def test_is_clean_without_its_defect(self, name: str, arch: str) -> None:
        for outcome in outcomes(name, arch, without_defect=True):
            assert outcome.ok, report(outcome)
            assert not outcome.story


class TestDeclarations:
    """Incidents are scenarios with a defect of the registry."""

    def test_every_incident_has_what_lists_show(self) -> None:
        for name in incident_names():
            incident = load_incident(name)
            assert incident.name == name
            assert incident.description
            assert re.fullmatch(r"[0-9a-f]{12}(, [0-9a-f]{12})*", incident.commit)
            assert incident.defect in DEFECTS

    def test_every_defect_is_shown_by_an_incident(self) -> None:
        assert {load_incident(name).defect for name in incident_names()} == set(DEFECTS)

    def test_expectations_are_of_incidents_that_there_are(self) -> None:
        assert list(REPORTS) == list(STORIES) == incident_names()

    def test_a_name_says_which_variant(self) -> None:
        assert load_named("incident:idle-cpu").defect == "no-idle-wakeup"
        assert load_named("incident:idle-cpu/fixed") == fixed(load_incident("idle-cpu"))
        assert load_named("demo").defect == ""

    def test_an_unknown_defect_is_told_with_its_key(self) -> None:
        with pytest.raises(ScenarioError, match=r"^mine: defect: must be one of fork-.*, not 'nosuch'$"):
            parse_scenario('name = "x"\ndefect = "nosuch"', origin="mine")
        assert defect_named("").drop == ()

    def test_without_a_defect_there_is_nothing_to_leave_out(self) -> None:
        with pytest.raises(ScenarioError, match=r"^scenario demo: defect: there is none to leave out; "):
            fixed(load_named("demo"))

    def test_a_defect_of_one_port_is_left_out_there(self) -> None:
        text = 'name = "x"\narm64.defect = "no-idle-wakeup"'

        assert fixed(parse_scenario(text, origin="mine")).on["arm64"] == {"defect": ""}

    def test_a_defect_combines_with_any_scenario(self) -> None:
        text = """
            name = "mine"
            defect = "one-ops-per-func"
            cpus = 2
            tick = 500
            calls = 4_000
            patches.a.objects.vmlinux.mini_leaf = "lp_mini_leaf"
            patches.b.objects.vmlinux.mini_leaf = "lp_mini_leaf"
            steps = [{ after_calls = 200, enable = "a" }, { after_calls = 500, enable = "b" }]
        """
        outcome = run_scenario(parse_scenario(text, origin="mine"))

        assert not outcome.ok
        assert outcome.facts["audit"]["counts"]["version"] > 0
        assert run_scenario(fixed(outcome.scenario)).ok

    def test_a_port_that_cannot_have_it_is_told(self) -> None:
        refusal = (
            "incident trampoline-freed: arch: arm64 can't have this: "
            "no ops has a trampoline of its own there; it is for x86_64"
        )
        with pytest.raises(ScenarioError, match=re.escape(refusal) + "$"):
            load_incident("trampoline-freed").with_options({"arch": "arm64"})


class TestCommand:
    """``klpemu run incident:NAME``."""

    def run(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stopped:
            main(["run", *arguments])
        out, err = capsys.readouterr()
        assert isinstance(stopped.value.code, int)
        return stopped.value.code, out, err

    def test_broken_is_no_and_fixed_is_done(self, capsys: pytest.CaptureFixture[str]) -> None:
        code, out, _ = self.run(capsys, "incident:idle-cpu", "--arch", "arm64", "--seed", "7")
        assert code == 1
        assert "defect no-idle-wakeup: klp_try_complete_transition does not wake CPUs that idle" in out
        assert "\nwhat led to it, in order\n" in out
        for same in (["incident:idle-cpu", "--fixed"], ["incident:idle-cpu/fixed"]):
            code, out, _ = self.run(capsys, *same)
            assert code == 0
            assert "what led to it" not in out

    def test_json_has_the_story(self, capsys: pytest.CaptureFixture[str]) -> None:
        code, out, _ = self.run(capsys, "incident:stack-check-newest", "--json")
        document = json.loads(out)

        assert code == 1
        assert document["defect"] == "stack-check-newest"
        last = document["story"][-1]
        assert re.fullmatch(r"sleeper \(pid \d+\)", last["task"])
        assert (last["cpu"], document["stopped"]["cpu"]) == (1, 1)
        assert last["what"].startswith("BUG at vector_breakpoint")

    def test_sites_are_shown_as_they_were_when_it_stopped(self, capsys: pytest.CaptureFixture[str]) -> None:
        _, out, _ = self.run(capsys, "incident:handler-recursion")

        assert re.search(
            r"^mini_leaf +the start +0f 1f 44 00 00\nmini_leaf +the end +cc 1f 44 00 00$", out, re.M
        )

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("incident:nosuch", r"unknown incident 'nosuch'; known: busy-kthread, .*"),
            ("incident:idle-cpu/mended", r"unknown variant 'mended'; known: fixed"),
        ],
    )
    def test_an_unknown_name_is_one_clear_line(
        self, capsys: pytest.CaptureFixture[str], name: str, expected: str
    ) -> None:
        code, out, err = self.run(capsys, name)

        assert (code, out) == (2, "")
        assert re.fullmatch(rf"klpemu: {expected}\n", err)
