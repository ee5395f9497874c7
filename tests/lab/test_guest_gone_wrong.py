"""A guest that goes wrong ends in a report that says what, where and why; never in a hang or a traceback."""

from __future__ import annotations

import random
import re

import pytest

from emu.arch import PORTS, Port
from emu.build.asm.assembler import Unit
from emu.build.contents import Call, ModuleSource
from emu.errors import UnknownNameError
from emu.kernel.installer import Job
from emu.lab import patience
from emu.lab.machine import Machine
from emu.lab.report import StopReport
from emu.lab.run import run_scenario
from emu.lab.scenario import Scenario, Step
from emu.machine.state import Stop
from tests.lab.wrong import (
    CPU1_LOOPS,
    CPU1_LOOPS_MASKED,
    DEEDS,
    MODULE,
    OVERWRITES_KLP_OPS,
    Deed,
    module,
)

SLOW = {"tail_recursion", "halts"}
CASES = [
    pytest.param(
        port, name, mode, id=f"{port.name}-{mode}-{name}", marks=[pytest.mark.slow] if name in SLOW else []
    )
    for port in PORTS.values()
    for mode in ("fast", "exact")
    for name, deed in DEEDS.items()
    if port.name in deed.body
]
parametrize_port = pytest.mark.parametrize("port", PORTS.values(), ids=PORTS)


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "MOST_PER_CPU", 150_000)
    monkeypatch.setattr(patience, "SLICE", 1 << 16)


def machine_with(source: ModuleSource, port: Port, mode: str = "fast", **options: int) -> Machine:
    """Return a machine of two CPUs that has loaded the module."""
    machine = Machine(arch=port.name, mode=mode, **{"cpus": 2, **options})  # type: ignore[arg-type]
    machine.add_module(source.name, source.code, calls=source.calls)
    assert machine.wait(machine.load(source.name)) == 0
    return machine


def has(report: StopReport, detail: str) -> bool:
    """Tell whether a line of the report's details is of the form ``detail``."""
    return any(re.fullmatch(detail, line) for line in report.details)


@pytest.mark.parametrize(("port", "name", "mode"), CASES)
def test_every_deed_is_reported_with_place_task_and_cause(port: Port, name: str, mode: str) -> None:
    deed = DEEDS[name]
    with machine_with(module(port, name, deed), port, mode) as machine:
        report = machine.run(calls=20_000)

        assert not report.ok
        assert re.fullmatch(deed.what, report.what), report.lines()
        assert report.cpu in (0, 1)
        assert re.fullmatch(r"\S+ \(pid \d+\)", report.task)
        assert report.where
        assert not deed.detail or has(report, deed.detail), report.lines()
        assert all(line.isprintable() for line in report.lines())
        assert machine.finish().complete


@parametrize_port
def test_a_place_in_a_module_is_told_with_its_line(port: Port) -> None:
    with machine_with(module(port, "null", DEEDS["null"]), port) as machine:
        report = machine.run(calls=20_000)

    assert re.fullmatch(r"null\+0x\w+/0x\w+ \[wrong\] \(wrong\.s:\d+\)", report.where)
    assert has(report, r"\S+ \(pid \d+\) was making the call null \[wrong\]\(0x1, 0x2\)")


class TestInstallation:
    """An installation that can't come to its end says whom it waits for."""

    @parametrize_port
    def test_a_cpu_that_never_takes_the_sync(self, port: Port) -> None:
        with machine_with(module(port, "stuck", CPU1_LOOPS_MASKED), port) as machine:
            assert machine.run(calls=2_000).ok
            handle = machine.livepatch.enable("livepatch-show")
            report = machine.run(until=handle.settled)

        assert re.fullmatch(r"the installation has waited in 'sync .*' for [\d_]+ instructions", report.what)
        assert (report.cpu, report.reason) == (1, Stop.INSTRUCTIONS)
        assert report.where.startswith("stuck+0x")
        assert has(report, r"the installation waits in 'sync .*' for CPU1")
        assert has(report, r"CPU1: stuck\+.*, interrupts disabled")

    @parametrize_port
    def test_a_task_that_never_lets_go_of_what_is_freed(self, port: Port) -> None:
        with machine_with(module(port, "busy", CPU1_LOOPS), port) as machine:
            assert machine.run(calls=2_000).ok
            handle = machine.livepatch.enable("livepatch-show")
            assert machine.run(until=handle.settled).ok
            report = machine.run(until=handle.disable().settled)

        assert re.fullmatch(r"the installation has waited in 'synchronize_rcu_tasks' for .*", report.what)
        assert report.cpu == 1
        assert has(report, r"the installation waits in 'synchronize_rcu_tasks' for worker/1\.0 \(pid 5\).*")

    @parametrize_port
    def test_a_list_that_leads_out_of_memory(self, port: Port) -> None:
        with machine_with(module(port, "scribbles", OVERWRITES_KLP_OPS), port) as machine:
            assert machine.run(calls=2_000).ok
            report = machine.run(until=machine.livepatch.enable("livepatch-show").settled)

        assert report.what == "'enable livepatch-show' followed a pointer to 0x4141, where nothing is"
        assert has(report, "a kernel structure that it walks has been overwritten")

    def test_a_list_without_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(patience, "MOST_STEPS", 100)
        with Machine(cpus=1) as machine:
            guest, at = machine.kernel.guest, machine.kernel.image.address("klp_ops_list")

            def walk() -> int:
                while True:
                    guest.load(at)

            job: Job[int] = machine.kernel.installer.submit("walk", walk)
            report = machine.run(until=lambda: job.done)

        assert re.fullmatch(r"the installation has not come to its end for [\d_]+ instructions", report.what)

    def test_nobody_can_ever_run_again(self) -> None:
        with machine_with(
            module(PORTS["x86_64"], "halts", DEEDS["halts"]), PORTS["x86_64"], tick=0
        ) as machine:
            report = machine.run(calls=20_000)

        assert (report.reason, report.cpu) == (Stop.IDLE, -1)
        assert has(report, r"CPU0: .*, task .*, halted")


@parametrize_port
def test_progress_of_others_is_no_hang(port: Port) -> None:
    with machine_with(module(port, "busy", CPU1_LOOPS), port) as machine:
        assert machine.run(calls=100_000).ok


@parametrize_port
def test_how_a_run_is_cut_into_pieces_changes_nothing(port: Port) -> None:
    digests = set()
    for pieces in ([9_000], [1_000, 3_000, 5_000]):
        with Machine(arch=port.name, cpus=2) as machine:
            for calls in pieces:
                assert machine.run(calls=calls).ok
            digests.add(machine.finish().meta["digest"])

    assert len(digests) == 1


@parametrize_port
@pytest.mark.parametrize("name", ["null", "loops"])
def test_a_scenario_with_such_a_guest_is_not_ok(port: Port, name: str) -> None:
    source = module(port, name, DEEDS[name])
    steps = (Step(after_calls=100, action="load", subject=MODULE),)
    scenario = Scenario(name="wrong", arch=port.name, cpus=2, steps=steps, modules={MODULE: source})

    document = run_scenario(scenario).to_json()

    assert document["ok"] is False
    stopped = document["stopped"]
    assert isinstance(stopped, dict)
    assert re.fullmatch(DEEDS[name].what, stopped["what"])
    assert stopped["report"][0].startswith(
        f"{stopped['what']} on CPU{stopped['cpu']}, task {stopped['task']}, at "
    )
    assert any(f"was making the call {name} [wrong](0x1, 0x2)" in line for line in stopped["report"])


@parametrize_port
def test_a_structure_that_can_not_be_ends_the_scenario(port: Port) -> None:
    steps = (
        Step(after_calls=100, action="load", subject=MODULE),
        Step(after_calls=1_000, action="enable", subject="livepatch-show"),
    )
    source = module(port, "scribbles", OVERWRITES_KLP_OPS)
    scenario = Scenario(name="wrong", arch=port.name, cpus=2, steps=steps, modules={MODULE: source})

    outcome = run_scenario(scenario)

    assert not outcome.ok
    assert outcome.stopped.what.startswith("'enable livepatch-show' followed a pointer to 0x4141")


@parametrize_port
@pytest.mark.parametrize("seed", range(12))
def test_any_bytes_as_code_end_in_a_report_or_return(port: Port, seed: int) -> None:
    draw = random.Random(seed)
    code = ", ".join(hex(draw.randrange(256)) for _ in range(draw.choice([4, 16, 32])))
    deed = Deed(body={port.name: f".byte {code}\nret"}, what="", is_traced=bool(seed % 2))
    with machine_with(module(port, "wild", deed), port) as machine:
        report = machine.run(calls=500)

        assert report.ok or report.what
        assert all(line.isprintable() for line in report.lines())


def test_a_call_of_what_the_module_has_not_is_refused() -> None:
    unit = Unit(name="m", text=".global f\nf:\nret\n", origin="m.s")
    with Machine(cpus=1) as machine:
        machine.add_module("m", [unit], calls=[Call(fn="g", args=(), expected=0)])
        job = machine.load("m")
        machine.run(until=lambda: job.done)

        with pytest.raises(UnknownNameError, match=r"^unknown function in modules\.m\.calls 'g'; known: f$"):
            job.result()
