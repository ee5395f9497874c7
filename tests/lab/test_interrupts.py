"""Ctrl-C ends a run with all that it had recorded on disk, and says so."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from emu.lab import run as running
from emu.lab.interrupts import RunInterruptedError, noted_interrupts
from emu.lab.run import run_scenario
from emu.lab.scenario import Scenario
from emu.trace import load_run

ROOT = Path(__file__).parents[2]
SCENARIO = Scenario(name="mine", cpus=1, calls=10_000)


def interrupt(calls: int) -> None:
    """Press Ctrl-C once 3_000 calls have completed."""
    if calls == 3_000:
        signal.raise_signal(signal.SIGINT)


@pytest.fixture(autouse=True)
def _progress_is_told_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "_CHUNK", 1_000)


class TestScenario:
    def test_the_recording_holds_every_call_until_then(self, tmp_path: Path) -> None:
        with pytest.raises(RunInterruptedError) as stopped:
            run_scenario(SCENARIO, out=tmp_path / "run", progress=interrupt)

        run = load_run(tmp_path / "run")
        assert str(stopped.value) == (
            f"interrupted after 3_000 calls; {tmp_path / 'run'} holds them and can be read"
        )
        assert len(run.calls) == 3_000
        assert not run.complete

    def test_without_a_directory_nothing_is_kept(self) -> None:
        with pytest.raises(RunInterruptedError, match="none is kept"):
            run_scenario(SCENARIO, progress=interrupt)

    def test_the_prefix_is_that_of_the_whole_run(self, tmp_path: Path) -> None:
        whole = run_scenario(SCENARIO).run
        with pytest.raises(RunInterruptedError):
            run_scenario(SCENARIO, out=tmp_path / "run", progress=interrupt)

        part = load_run(tmp_path / "run")
        assert part.calls.tobytes() == whole.calls[: len(part.calls)].tobytes()


class TestNoting:
    def test_a_second_one_is_raised(self) -> None:
        with noted_interrupts() as interrupted:
            signal.raise_signal(signal.SIGINT)
            assert interrupted()
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)

    def test_afterwards_one_is_raised_again(self) -> None:
        with noted_interrupts() as interrupted:
            assert not interrupted()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)

    def test_in_another_thread_nothing_is_changed(self) -> None:
        def look() -> None:
            with noted_interrupts() as interrupted:
                found.append((signal.getsignal(signal.SIGINT), interrupted()))

        found: list[tuple[object, bool]] = []
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()

        assert found == [(signal.default_int_handler, False)]


def test_the_command_exits_with_130(tmp_path: Path) -> None:
    out = tmp_path / "run"
    program = "from emu.cli.main import main; main()"
    command = [sys.executable, "-c", program, "run", "--calls", "100_000_000", "--out", str(out)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        while not (out / "meta.json").exists() or not len(load_run(out).calls):
            assert child.poll() is None, child.communicate()
            time.sleep(0.05)
        child.send_signal(signal.SIGINT)
        shown, said = child.communicate()

    calls = len(load_run(out).calls)
    assert child.returncode == 130
    assert shown == ""
    assert said.splitlines()[-1] == (
        f"klpemu: interrupted after {calls:_} calls; {out} holds them and can be read"
    )
    assert calls > 0
