"""CPUs with stacks of their own run as CPUs without: only the time differs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba import njit

from emu.lab.machine import Machine
from emu.machine import engine, stacks
from emu.machine import state as s
from emu.machine.native import Words
from emu.machine.stacks import STACK_SIZE, SWITCHABLE, give_way

needs_switch = pytest.mark.skipif(not SWITCHABLE, reason="this host has no switch of stacks")

MODELS = {"x86_64": "zen4", "arm64": "neoverse-n1"}


def _digest(arch: str, *, schedule: str, ordering: str | None, timing: str, fetch: str) -> object:
    """Return what a run leaves in which a patch comes and goes, with interrupts and text pokes."""
    with Machine(
        arch=arch, cpus=3, mode="exact", schedule=schedule, ordering=ordering, timing=timing, fetch=fetch,
        tick=700, seed=5,
    ) as machine:  # fmt: skip
        patch = machine.livepatch.enable("livepatch-mini")
        report = machine.run(until=patch.settled)
        assert report.ok, report.lines()
        machine.run(instructions=20_000)
        patch.disable()
        machine.run(until=patch.settled)
        meta = machine.finish().meta
        return meta["digest"], meta["cycles"]


@needs_switch
@pytest.mark.parametrize("arch", MODELS)
@pytest.mark.parametrize(
    ("schedule", "ordering", "timed", "fetch"),
    [
        ("least-clock", "sc", False, "random"),
        ("random", None, False, "stale"),
        ("round-robin", "sc", False, "tail"),
        ("quantum", None, False, "random"),
        ("least-clock", None, True, "random"),
    ],
)
def test_a_run_is_the_same_without_stacks(
    arch: str, schedule: str, ordering: str | None, timed: bool, fetch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def digest() -> object:
        timing = MODELS[arch] if timed else "off"
        return _digest(arch, schedule=schedule, ordering=ordering, timing=timing, fetch=fetch)

    on_stacks = digest()
    monkeypatch.setattr(engine, "SWITCHABLE", False)
    assert digest() == on_stacks


@needs_switch
@pytest.mark.parametrize("arch", MODELS)
def test_the_end_of_a_turn_does_not_leave_unicorn(arch: str) -> None:
    machine = Machine(arch=arch, cpus=2, users=0, mode="exact", schedule="round-robin", ordering="sc", tick=0)
    with machine:
        cpus = machine.kernel.engine
        machine.run(calls=100)
        entries = int(cpus.blocks[:, s.CPU_ENTRIES].sum())
        machine.run(instructions=10_000)
        assert cpus.blocks[:, s.CPU_ENTRIES].sum() == entries
        name = machine.port.registers.args[5]
        cpus.write_register(0, name, cpus.read_register(0, name))
        machine.run(instructions=10_000)
        assert cpus.blocks[:, s.CPU_ENTRIES].sum() == entries + 1


@needs_switch
@pytest.mark.parametrize("arch", MODELS)
def test_a_quarter_of_a_stack_is_enough(arch: str) -> None:
    with Machine(arch=arch, cpus=2, timing=MODELS[arch]) as machine:
        patch = machine.livepatch.enable("livepatch-mini")
        machine.run(until=patch.settled)
        held = machine.kernel.engine.stacks
        assert held is not None
        for stack in held.memory:
            assert 0 < 8 * (len(stack) - stack.nonzero()[0][0]) < STACK_SIZE // 4


def test_code_for_a_host_without_a_switch_has_none_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stacks, "SWITCHABLE", False)

    def pause(ctl: Words, cpu: Words) -> None:
        if cpu[s.CPU_STACK]:
            give_way(ctl, cpu)

    compiled: Any = njit(pause)
    compiled(np.zeros(s.CTL_WORDS, np.int64), np.zeros(s.CPU_WORDS, np.int64))
    (code,) = compiled.inspect_llvm().values()
    assert " asm " not in code


@pytest.mark.slow
def test_first_runs_compile_and_run(tmp_path: Path) -> None:
    """What is compiled later meets a switch in cached code; without an assembler LLVM ends the process."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    for mode, says in (("fast", "compiling the engine"), ("fast", ""), ("exact", "for this kind of run")):
        run = f"from emu.cli.main import main; main(['run', '--calls', '500', '--mode', '{mode}'])"
        done = subprocess.run(
            [sys.executable, "-c", run], capture_output=True, text=True, check=False, env=environment
        )
        assert done.returncode == 0, done.stderr
        assert says in done.stderr
        assert bool(done.stderr) == bool(says)
