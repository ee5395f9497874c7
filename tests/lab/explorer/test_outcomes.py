from __future__ import annotations

import pytest

from emu.lab.explorer import livepatching, poking, splitting
from emu.lab.explorer.catalogue import Shelf, model_for, named
from emu.lab.explorer.livepatching import LivepatchLaboratory
from emu.lab.explorer.run import explore_scenario
from emu.ordering.budget import Budget
from emu.ordering.explore import explore
from emu.ordering.memory_use import MemoryLimit
from emu.ordering.models import Model
from tests.reference.interleaving import finals

PORTS = ("x86_64", "arm64")


def _told(report: object) -> set[str]:
    return {one.cpus[1] for one in report.outcomes}  # type: ignore[attr-defined]


class TestOutcomes:
    @pytest.mark.parametrize("model", ["sc", "auto"])
    @pytest.mark.parametrize("arch", PORTS)
    def test_enabling_gives_old_until_the_task_switches_and_then_new(
        self, shelf: Shelf, arch: str, model: str
    ) -> None:
        report = explore_scenario(shelf.laboratory(named("enable"), arch), model_for(arch, model))

        assert report.holds
        assert _told(report) == {
            "original, no switch, original",
            "original, switched to patched, livepatch-1",
        }

    @pytest.mark.parametrize("scenario", ["stacked-enable", "replace"])
    @pytest.mark.parametrize("arch", PORTS)
    def test_the_newer_patch_runs_once_the_task_has_switched(
        self, shelf: Shelf, arch: str, scenario: str
    ) -> None:
        report = explore_scenario(shelf.laboratory(named(scenario), arch), model_for(arch, "auto"))

        assert report.holds
        assert _told(report) == {
            "livepatch-1, no switch, livepatch-1",
            "livepatch-1, switched to patched, livepatch-2",
        }

    def test_disabling_gives_the_original_back(self, shelf: Shelf) -> None:
        report = explore_scenario(shelf.laboratory(named("disable"), "x86_64"), Model.TSO)

        assert report.holds
        assert _told(report) == {
            "livepatch-1, no switch, livepatch-1",
            "livepatch-1, switched to unpatched, original",
        }

    @pytest.mark.parametrize("scenario", ["poke-on", "poke-off"])
    def test_an_int3_is_always_emulated(self, shelf: Shelf, scenario: str) -> None:
        report = explore_scenario(shelf.laboratory(named(scenario), "x86_64"), Model.TSO)

        assert report.holds
        words = {
            word for told in _told(report) for word in told.replace("int3, emulated", "int3").split(", ")
        }
        assert words == {"old", "new", "int3 new", "complete", "not complete"}

    def test_the_weaker_model_has_more_executions(self, shelf: Shelf) -> None:
        laboratory = shelf.laboratory(named("enable"), "arm64")

        sc, arm = (explore_scenario(laboratory, model) for model in (Model.SC, Model.ARM64))

        assert arm.executions > sc.executions

    def test_same_twice(self, shelf: Shelf) -> None:
        laboratory = shelf.laboratory(named("stacked-enable"), "arm64")
        fresh = Shelf(1).laboratory(named("stacked-enable"), "arm64")

        first, second = (
            explore_scenario(one, Model.ARM64, dropped=("printk",)) for one in (laboratory, fresh)
        )

        assert first == second  # but for the seconds

    def test_who_is_first_makes_no_difference(self) -> None:
        laboratory = Shelf(2).laboratory(named("poke-on"), "x86_64")

        one, other = (
            laboratory.explore(Model.TSO, items, budget=Budget())
            for items in ([("done", "site"), ("site",)], [("site",), ("done", "site")])
        )

        assert one.exploration.executions == other.exploration.executions > 141  # of a site each
        assert {told.cpus[1:] for told in one.endings()} == {told.cpus[:0:-1] for told in other.endings()}

    def test_two_cpus_keep_their_tasks_apart(self) -> None:
        laboratory = Shelf(2).laboratory(named("stacked-enable"), "x86_64")

        report = explore_scenario(laboratory, Model.TSO, cpus=2)

        assert report.holds
        both = {one.cpus[1:] for one in report.outcomes}
        stays, switches = (
            "livepatch-1, no switch, livepatch-1",
            "livepatch-1, switched to patched, livepatch-2",
        )
        assert {(stays, switches), (switches, stays), (switches, switches)} <= both


class TestBudgets:
    def test_executions(self, shelf: Shelf) -> None:
        laboratory = shelf.laboratory(named("enable"), "arm64")

        report = explore_scenario(laboratory, Model.ARM64, budget=Budget(executions=3))

        assert (report.executions, report.complete, report.stopped_by) == (3, False, "executions")
        assert not report.holds

    def test_seconds(self, shelf: Shelf) -> None:
        laboratory = shelf.laboratory(named("unpatch-and-free"), "arm64")

        report = explore_scenario(laboratory, Model.ARM64, budget=Budget(seconds=0.001))

        assert not report.complete
        assert report.stopped_by == "time"

    @pytest.mark.parametrize("scenario", ["enable", "poke-on"])
    def test_memory(self, shelf: Shelf, scenario: str) -> None:
        laboratory = shelf.laboratory(named(scenario), "arm64")

        report = explore_scenario(laboratory, Model.ARM64, budget=Budget(memory=MemoryLimit(1)))

        assert (report.complete, report.stopped_by, report.holds) == (False, "memory", False)


class TestTwins:
    @pytest.mark.parametrize("items", [("call",), ("exit", "call")])
    @pytest.mark.parametrize("arch", PORTS)
    def test_every_interleaving_gives_the_same_under_sc(
        self, shelf: Shelf, monkeypatch: pytest.MonkeyPatch, arch: str, items: tuple[str, ...]
    ) -> None:
        laboratory = shelf.laboratory(named("stacked-enable"), arch)
        kept = []

        def keep(patching, others, initial, **rest):  # type: ignore[no-untyped-def]
            kept.append(([patching, *others], initial))
            return splitting.explore_split(patching, others, initial, **rest)

        monkeypatch.setattr(livepatching, "explore_split", keep)
        assert isinstance(laboratory, LivepatchLaboratory)

        found = laboratory.explore(Model.SC, [items], budget=Budget())

        expected = finals(*kept[0])
        assert {outcome.finals for outcome in found.exploration.outcomes} == expected
        assert len(expected) > 1 or items == ("call",)

    @pytest.mark.parametrize(
        ("scenario", "arch", "items"),
        [
            ("enable", "arm64", [("exit", "call")]),
            ("disable", "arm64", [("exit", "call")]),
            ("reverse", "arm64", [("call",), ("call",)]),
            ("poke-on", "x86_64", [("done", "site")]),
            ("poke-off", "arm64", [("done", "site"), ("site", "done", "site")]),
            pytest.param("poke-on", "x86_64", [("site",), ("site",)], marks=pytest.mark.slow),
            pytest.param(
                "stacked-enable", "x86_64", [("exit", "call"), ("exit", "call")], marks=pytest.mark.slow
            ),
        ],
    )
    def test_splitting_loses_nothing(
        self, monkeypatch: pytest.MonkeyPatch, scenario: str, arch: str, items: list[tuple[str, ...]]
    ) -> None:
        laboratory = Shelf(len(items)).laboratory(named(scenario), arch)
        model = model_for(arch, "auto")
        split = laboratory.explore(model, items, budget=Budget())

        def together(patching, others, initial, **rest):  # type: ignore[no-untyped-def]
            return explore([patching, *others], initial, **rest)

        monkeypatch.setattr(livepatching, "explore_split", together)
        monkeypatch.setattr(poking, "explore_split", together)
        whole = laboratory.explore(model, items, budget=Budget())

        assert split.exploration.executions == whole.exploration.executions
        assert split.endings() == whole.endings()
