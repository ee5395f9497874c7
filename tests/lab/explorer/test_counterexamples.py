"""Each invariant is seen failing, by a defect that is planted for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from emu.lab.explorer.catalogue import Explored, Shelf, model_for, named
from emu.lab.explorer.incidents import INCIDENTS
from emu.lab.explorer.report import Report
from emu.lab.explorer.run import explore_scenario
from emu.lab.explorer.scenarios import LIVEPATCHING, Livepatching
from emu.ordering.budget import Budget
from emu.ordering.models import Model


def _explore(shelf: Shelf, name: str, arch: str, *dropped: str) -> Report:
    explored = named(name)
    return explore_scenario(
        shelf.laboratory(explored, arch), model_for(arch, "auto"), dropped=(*explored.dropped, *dropped)
    )


class TestIncidents:
    @pytest.mark.parametrize("name", sorted(INCIDENTS))
    def test_broken_is_found(self, shelf: Shelf, name: str) -> None:
        report = _explore(shelf, f"incident:{name}", INCIDENTS[name].ports[0])

        assert report.violations
        assert report.complete
        assert {line.cpu for line in report.violations[0].schedule} == {0, 1}

    @pytest.mark.parametrize("name", sorted(INCIDENTS))
    def test_fixed_holds(self, shelf: Shelf, name: str) -> None:
        assert _explore(shelf, f"incident:{name}/fixed", INCIDENTS[name].ports[0]).holds

    @pytest.mark.parametrize("name", ["missing-rmb-2", "int3-no-sync", "site-pair"])
    def test_the_same_with_two_cpus(self, name: str) -> None:
        shelf, arch = Shelf(2), INCIDENTS[name].ports[0]
        broken, fixed = named(f"incident:{name}"), named(f"incident:{name}/fixed")
        model = model_for(arch, "auto")

        found = explore_scenario(shelf.laboratory(broken, arch), model, cpus=2, dropped=broken.dropped)
        items = [("call",)] * 2 if isinstance(fixed.subject, Livepatching) else [("site",)] * 2
        mended = shelf.laboratory(fixed, arch).explore(model, items, budget=Budget())

        assert found.violations
        assert mended.exploration.complete
        assert not mended.violations()


class TestInvariants:
    @pytest.mark.parametrize(
        ("scenario", "arch", "dropped", "what"),
        [
            ("stacked-enable", "arm64", ("printk",), "a task that is patched runs livepatch-1"),
            ("disable", "arm64", ("synchronize_rcu_tasks",), "use after free"),
            ("disable", "x86_64", ("synchronize_rcu_tasks",), "use after free"),
            ("disable", "arm64", ("smp_rmb 2",), "the task has no state"),
            ("enable", "x86_64", ("klp_target_state",), "CPU0: WARNING"),
            ("reverse", "arm64", ("smp_wmb klp_reverse_transition", "printk"), "it is not asked again"),
            ("stacked-disable", "arm64", ("klp_synchronize_transition after unpatching",), "use after free"),
            ("poke-on", "arm64", ("ic ivau",), "after it has seen the poke complete"),
            ("poke-on", "x86_64", ("sync after int3",), "bytes of the old and of the new"),
            ("poke-off", "x86_64", ("bp_desc entry",), "an int3 that nobody knows of"),
            ("poke-on", "x86_64", ("bp_desc refs",), "an int3 that nobody knows of"),
        ],
    )
    def test_dropped(
        self, shelf: Shelf, scenario: str, arch: str, dropped: tuple[str, ...], what: str
    ) -> None:
        report = _explore(shelf, scenario, arch, *dropped)

        assert [one for one in report.violations if what in one.what]

    def test_no_execution_proves_nothing(self, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
        laboratory = shelf.laboratory(named("enable"), "arm64")
        found = laboratory.explore(Model.ARM64, [("call",)], budget=Budget())
        none = replace(found, exploration=replace(found.exploration, outcomes=(), executions=0))
        monkeypatch.setattr(laboratory, "explore", lambda *_items, **_rest: none)

        report = explore_scenario(laboratory, Model.ARM64)

        assert not report.holds
        assert [one.what for one in report.violations] == [
            "no execution comes to an end: a CPU waits for ever"
        ]

    def test_a_version_that_is_none(self, shelf: Shelf) -> None:
        odd = replace(LIVEPATCHING["enable"], name="odd", versions={0: "original", 1: "livepatch-2"})

        report = _of(shelf, odd)

        assert any("which is no version" in one.what for one in report.violations)

    def test_the_wrong_side(self, shelf: Shelf) -> None:
        odd = replace(
            LIVEPATCHING["stacked-enable"], name="turned", versions={0: "livepatch-2", 1: "livepatch-1"}
        )

        report = _of(shelf, odd)

        assert any("a task that is unpatched runs livepatch-1" in one.what for one in report.violations)


def _of(shelf: Shelf, scenario: Livepatching) -> Report:
    explored = Explored(name=scenario.name, description="", ports=("x86_64", "arm64"), subject=scenario)
    return explore_scenario(shelf.laboratory(explored, "arm64"), model_for("arm64", "auto"))


class TestTimelines:
    def test_names_the_load_that_came_too_early(self, shelf: Shelf) -> None:
        report = _explore(shelf, "incident:missing-rmb-2", "arm64")

        told = [line.what for line in report.violations[0].schedule if line.cpu == 1]

        assert told[-1].startswith(
            "reads user/1.0->patch_state = -1, as it was at first: from before CPU0's store of 1"
        )
        assert "emu/livepatch/transition.py" in told[-1]

    def test_the_shortest_programs_come_first(self, shelf: Shelf) -> None:
        assert _explore(shelf, "incident:missing-rmb-2", "arm64").programs == "call"
