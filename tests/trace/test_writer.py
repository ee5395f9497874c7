"""Run directories: written in chunks, replaced safely, readable whenever the writer dies."""

import json
import shutil
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from emu.trace import (
    CALLS,
    EVENTS,
    EventKind,
    Run,
    RunDirectoryTakenError,
    RunNotCreatedError,
    RunWriter,
    load_run,
)
from tests.trace import strategies

ROOT = Path(__file__).parents[2]
FILES = {"meta.json", "calls.npy", "events.npy", "symbols.json", "log.txt", "code.jsonl"}


def write_run(directory: Path, count: int = 5, **changes: object) -> Run:
    with RunWriter(directory, strategies.meta(**changes)) as writer:
        writer.set_symbols(strategies.SYMBOLS)
        writer.add_log("livepatch: enabling patch 'p1'")
        writer.add_code(strategies.BLOCK)
        writer.add_calls(strategies.numbered_calls(0, count))
        writer.add_events(strategies.rows_of(EVENTS, {"kind": EventKind.ENABLE, "a": 1}))
        return writer.finish({"instructions": 77})


class TestFinishedRun:
    def test_everything_recorded_is_loaded(self, tmp_path: Path) -> None:
        run = write_run(tmp_path / "run")

        assert run.complete
        assert run.notes == ()
        assert run.calls["seq"].tolist() == [0, 1, 2, 3, 4]
        assert run.events["kind"].tolist() == [EventKind.ENABLE]
        assert run.log == ("livepatch: enabling patch 'p1'",)
        assert run.symbols == strategies.SYMBOLS
        assert run.code == (strategies.BLOCK,)
        assert (run.meta["calls"], run.meta["instructions"]) == (5, 77)

    def test_the_directory_holds_its_six_files_and_nothing_else(self, tmp_path: Path) -> None:
        write_run(tmp_path / "a" / "run")

        assert {path.name for path in (tmp_path / "a" / "run").iterdir()} == FILES

    def test_nothing_can_be_added_to_it(self, tmp_path: Path) -> None:
        writer = RunWriter(tmp_path, strategies.meta())
        writer.finish({})

        for add in (
            lambda: writer.add_calls(np.zeros(1, CALLS)),
            lambda: writer.add_events(np.zeros(1, EVENTS)),
            lambda: writer.add_log("late"),
            lambda: writer.add_code(strategies.BLOCK),
            lambda: writer.set_symbols({}),
            lambda: writer.finish({}),
        ):
            with pytest.raises(ValueError, match=r"^the run is finished or closed; "):
                add()

    def test_names_and_log_lines_keep_any_character(self, tmp_path: Path) -> None:
        with RunWriter(tmp_path, strategies.meta(image="mini \u2028\"'\\")) as writer:
            writer.add_log("\u20ac\ttwo\nlines\r\n")
            writer.add_log("")
            writer.add_log("lone \udc80")
            run = writer.finish({})

        assert run.meta["image"] == "mini \u2028\"'\\"
        assert run.log == ("\u20ac\ttwo", "lines", "", "lone \\udc80")


class TestUnfinishedRun:
    def test_it_never_looks_complete(self, tmp_path: Path) -> None:
        writer = RunWriter(tmp_path, strategies.meta(complete=True, calls=9, digest="x"))
        for step in range(3):
            run = load_run(tmp_path)
            assert (run.complete, run.meta["calls"], run.meta["digest"]) == (False, 0, "")
            assert len(run.calls) == step
            writer.add_calls(strategies.numbered_calls(step, 1))
        writer.close()

        assert load_run(tmp_path).notes == (
            "the run did not finish; what it left behind is loaded: 3 calls, 0 events",
        )

    def test_an_exception_leaves_it_unfinished(self, tmp_path: Path) -> None:
        def interrupted() -> None:
            with RunWriter(tmp_path, strategies.meta()) as writer:
                writer.add_calls(strategies.numbered_calls(0, 2))
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()

        assert not load_run(tmp_path).complete

    def test_what_became_known_meanwhile_is_there(self, tmp_path: Path) -> None:
        with RunWriter(tmp_path, strategies.meta()) as writer:
            writer.update_meta({"warnings": 3})
            writer.set_symbols(strategies.SYMBOLS)
            writer.add_log("one")
            run = load_run(tmp_path)

        assert (run.meta["warnings"], run.meta["complete"]) == (3, False)
        assert run.symbols == strategies.SYMBOLS
        assert run.log == ("one",)

    @pytest.mark.parametrize("chunks", [1, 4])
    def test_a_writer_killed_at_any_moment_leaves_whole_rows(self, tmp_path: Path, chunks: int) -> None:
        program = (
            "import itertools, sys\n"
            "from emu.trace import RunWriter\n"
            "from tests.trace import strategies\n"
            "writer = RunWriter(sys.argv[1], strategies.meta())\n"
            "for n in itertools.count():\n"
            "    writer.add_calls(strategies.numbered_calls(1000 * n, 1000))\n"
            "    writer.add_log(f'chunk {n}')\n"
            "    print(n, flush=True)\n"
        )
        child = subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "run")],
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        with child:
            assert child.stdout is not None
            for _ in range(chunks):
                child.stdout.readline()
            child.send_signal(signal.SIGKILL)

        run = load_run(tmp_path / "run")
        assert child.returncode == -signal.SIGKILL
        assert not run.complete
        assert len(run.calls) >= 1000 * chunks
        assert len(run.calls) % 1000 == 0
        assert np.asarray(run.calls).tobytes() == strategies.numbered_calls(0, len(run.calls)).tobytes()
        assert run.log[:chunks] == tuple(f"chunk {n}" for n in range(chunks))


class TestReplacing:
    def test_a_run_is_replaced(self, tmp_path: Path) -> None:
        write_run(tmp_path, 9)

        assert len(write_run(tmp_path, 2).calls) == 2

    def test_a_replaced_run_stays_readable_to_who_has_it_open(self, tmp_path: Path) -> None:
        old = write_run(tmp_path, 9)
        write_run(tmp_path, 2)

        assert old.calls["seq"].tolist() == list(range(9))

    def test_a_half_replaced_run_does_not_look_complete(self, tmp_path: Path) -> None:
        write_run(tmp_path, 9)
        with RunWriter(tmp_path, strategies.meta()):
            assert not load_run(tmp_path).complete

    def test_other_files_beside_a_run_are_left_alone(self, tmp_path: Path) -> None:
        write_run(tmp_path)
        (tmp_path / "report.html").write_text("mine")
        write_run(tmp_path)

        assert (tmp_path / "report.html").read_text() == "mine"

    @pytest.mark.parametrize("name", ["notes.txt", ".hidden", "meta.json", "calls.npy"])
    def test_a_directory_that_holds_something_else_is_refused(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_text("{}")

        with pytest.raises(
            RunDirectoryTakenError,
            match=r"^will not write a run to .*: it is not empty and does not hold a klpemu run; choose ",
        ):
            RunWriter(tmp_path, strategies.meta())
        assert (tmp_path / name).read_text() == "{}"
        assert len(list(tmp_path.iterdir())) == 1

    def test_a_meta_file_that_is_no_json_is_refused_and_kept(self, tmp_path: Path) -> None:
        (tmp_path / "meta.json").write_text("precious")

        with pytest.raises(RunDirectoryTakenError):
            RunWriter(tmp_path, strategies.meta())
        assert (tmp_path / "meta.json").read_text() == "precious"

    def test_a_file_in_the_way_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "run").write_text("mine")

        for path in (tmp_path / "run", tmp_path / "run" / "below"):
            with pytest.raises(RunDirectoryTakenError, match="a file is in the way"):
                RunWriter(path, strategies.meta())

    def test_a_run_that_another_has_replaced_cannot_complete_over_it(self, tmp_path: Path) -> None:
        path = tmp_path / "run"
        first = RunWriter(path, strategies.meta(seed=1))
        shutil.rmtree(path)
        with RunWriter(path, strategies.meta(seed=2)):
            for go_on in (
                lambda: first.set_symbols(strategies.SYMBOLS),
                lambda: first.finish({}),
                lambda: first.run(),
            ):
                with pytest.raises(
                    RunDirectoryTakenError, match="another run has replaced this one meanwhile"
                ):
                    go_on()
            first.close()

            assert json.loads((path / "meta.json").read_text())["seed"] == 2
            assert not load_run(path).symbols
            assert not load_run(path).complete


class TestTwoAtOnce:
    """Of two writers of one directory the second is refused, and the first loses nothing."""

    def test_the_second_is_refused(self, tmp_path: Path) -> None:
        with RunWriter(tmp_path, strategies.meta(seed=1)) as first:
            first.add_calls(strategies.numbered_calls(0, 5))
            with pytest.raises(
                RunDirectoryTakenError,
                match=r"^will not write a run to .*: another run is being recorded there; choose ",
            ):
                RunWriter(tmp_path, strategies.meta(seed=2))
            first.add_calls(strategies.numbered_calls(5, 5))
            run = first.finish({})

        assert run.complete
        assert run.meta["seed"] == 1
        assert run.calls["seq"].tolist() == list(range(10))

    def test_so_is_another_process_until_this_one_is_done(self, tmp_path: Path) -> None:
        with RunWriter(tmp_path, strategies.meta()) as first:
            assert self.another(tmp_path) == "RunDirectoryTakenError"
            first.finish({})
            assert self.another(tmp_path) == "RunDirectoryTakenError"
        assert self.another(tmp_path) == "no error"

    def test_a_writer_that_was_killed_is_in_nobodys_way(self, tmp_path: Path) -> None:
        assert self.another(tmp_path, end="os.kill(os.getpid(), 9)") == ""

        assert write_run(tmp_path).complete

    def test_nor_is_one_that_was_refused(self, tmp_path: Path) -> None:
        (tmp_path / "calls.npy").mkdir()
        with pytest.raises(RunDirectoryTakenError, match="not empty"):
            RunWriter(tmp_path, strategies.meta())
        (tmp_path / "calls.npy").rmdir()

        assert write_run(tmp_path).complete

    def another(self, directory: Path, end: str = "writer.close()") -> str:
        """Return what a second process answers that begins a run in ``directory``."""
        program = (
            "import os, sys\n"
            "from emu.errors import EmuError\n"
            "from emu.trace import RunWriter\n"
            "from tests.trace import strategies\n"
            "try:\n"
            "    writer = RunWriter(sys.argv[1], strategies.meta())\n"
            f"    {end}\n"
            "    print('no error')\n"
            "except EmuError as error:\n"
            "    print(type(error).__name__)\n"
        )
        command = [sys.executable, "-c", program, str(directory)]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT).stdout.strip()


class TestNotCreated:
    """A place that takes no run is told with the reason, and nothing is promised of what was written."""

    def test_a_directory_that_can_not_be_made(self) -> None:
        place = Path("/proc/klpemu/run" if sys.platform == "linux" else "/dev/klpemu/run")
        message = (
            rf"^cannot create {place}: {place.parent.parent} takes no new entry \(.*\); choose a directory "
        )

        with pytest.raises(RunNotCreatedError, match=message):
            RunWriter(place, strategies.meta())

    def test_a_file_that_can_not_be_made(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("json.dump", full)

        message = r"^cannot create .*/meta\.json: No space left on device; choose a directory that you can "
        with pytest.raises(RunNotCreatedError, match=message):
            RunWriter(tmp_path, strategies.meta())


def test_a_million_calls_are_recorded_and_loaded_in_constant_memory(tmp_path: Path) -> None:
    part = strategies.numbered_calls(0, 10_000)
    tracemalloc.start()
    try:
        with RunWriter(tmp_path, strategies.meta()) as writer:
            for _ in range(100):
                writer.add_calls(part)
            run = writer.finish({})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert len(run.calls) == run.meta["calls"] == 1_000_000
    assert peak < 400_000  # bytes; one part has 880 thousand, the run 88 million
