"""The recorder in memory does what the one on disk does, and both give one digest."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from emu.trace import CALLS, EVENTS, MemoryRecorder, Recorder, RunWriter, digest_of, load_run
from tests.trace import strategies

PARTS = st.lists(st.one_of(strategies.any_rows(CALLS), strategies.any_rows(EVENTS)), max_size=6)


def record(recorder: Recorder, parts: list[NDArray[np.void]]) -> None:
    for part in parts:
        (recorder.add_calls if part.dtype == CALLS else recorder.add_events)(part)
    recorder.add_log("a line")
    recorder.add_code(strategies.BLOCK)
    recorder.set_symbols(strategies.SYMBOLS)


class TestBothRecorders:
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
    @given(PARTS)
    def test_they_give_the_same_run(self, tmp_path: Path, parts: list[NDArray[np.void]]) -> None:
        memory, disk = MemoryRecorder(strategies.meta()), RunWriter(tmp_path, strategies.meta())
        for recorder in (memory, disk):
            record(recorder, parts)
        assert memory.calls.tobytes() == disk.calls.tobytes()
        assert memory.events.tobytes() == disk.events.tobytes()

        looks = memory.run(), disk.run()
        ends = memory.finish({"cycles": 4}), disk.finish({"cycles": 4})
        for one, other in (looks, ends):
            assert one.meta == other.meta
            assert (one.symbols, one.log, one.notes) == (other.symbols, other.log, ())
            assert one.code == other.code == (strategies.BLOCK,)
            assert one.calls.tobytes() == other.calls.tobytes()
            assert one.events.tobytes() == other.events.tobytes()
        assert other.complete
        assert digest_of(other) == digest_of(load_run(tmp_path)) == one.meta["digest"]
        disk.close()

    def test_a_look_at_a_run_that_goes_on_does_not_change_with_it(self, tmp_path: Path) -> None:
        for recorder in (MemoryRecorder(strategies.meta()), RunWriter(tmp_path, strategies.meta())):
            recorder.add_calls(strategies.numbered_calls(0, 2))
            run = recorder.run()
            recorder.add_calls(strategies.numbered_calls(2, 3))
            recorder.add_log("later")
            recorder.update_meta({"warnings": 1})

            assert (run.complete, run.notes, run.log, run.meta["warnings"]) == (False, (), (), 0)
            assert run.calls["seq"].tolist() == [0, 1]
            assert len(recorder.run().calls) == 5
            assert len(recorder.finish({}).calls) == len(recorder.run().calls)
            assert recorder.run().complete

    def test_a_run_that_was_given_up_says_so(self, tmp_path: Path) -> None:
        writer = RunWriter(tmp_path, strategies.meta())
        writer.close()

        assert writer.run().notes[0].startswith("the run did not finish; ")


class TestMemoryRecorder:
    def test_rows_are_copied_and_the_tables_read_only(self) -> None:
        recorder, rows = MemoryRecorder(strategies.meta()), strategies.numbered_calls(0, 3)
        recorder.add_calls(rows)
        rows["seq"] = 9

        assert recorder.calls["seq"].tolist() == [0, 1, 2]
        with pytest.raises(ValueError, match="read-only"):
            recorder.calls["seq"] = 1

    def test_tables_are_joined_once_until_rows_are_added(self) -> None:
        recorder = MemoryRecorder(strategies.meta())
        for start in range(3):
            recorder.add_calls(strategies.numbered_calls(start, 1))
        assert recorder.calls.base is recorder.calls.base
        recorder.add_calls(strategies.numbered_calls(3, 1))
        assert recorder.calls["seq"].tolist() == [0, 1, 2, 3]

    def test_rows_of_another_table_and_late_rows_are_refused(self) -> None:
        recorder = MemoryRecorder(strategies.meta())
        with pytest.raises(TypeError, match=r"^rows must be one-dimensional "):
            recorder.add_calls(np.zeros(1, EVENTS))
        recorder.close()
        with pytest.raises(ValueError, match=r"^the run is finished or closed; "):
            recorder.add_calls(np.zeros(1, CALLS))


class TestDigest:
    @settings(deadline=None)
    @given(st.integers(0, 40), st.integers(0, 40))
    def test_it_does_not_depend_on_where_chunks_end(self, cut: int, other: int) -> None:
        rows = strategies.numbered_calls(0, 40)
        whole, parts = MemoryRecorder(strategies.meta()), MemoryRecorder(strategies.meta())
        whole.add_calls(rows)
        for part in np.split(rows, sorted((cut, other))):
            parts.add_calls(part)

        assert whole.finish({}).meta["digest"] == parts.finish({}).meta["digest"]

    def test_a_row_moved_between_the_tables_changes_it(self) -> None:
        empty = strategies.recorded(np.empty(0, CALLS), np.empty(0, EVENTS))
        call = strategies.recorded(np.zeros(1, CALLS), np.empty(0, EVENTS))
        event = strategies.recorded(np.empty(0, CALLS), np.zeros(1, EVENTS))

        assert len({empty.meta["digest"], call.meta["digest"], event.meta["digest"]}) == 3

    @pytest.mark.parametrize(
        ("changes", "same"),
        [
            ({"seed": 2}, False),
            ({"mode": "fast"}, False),
            ({"image": "other"}, False),
            ({"image": "/home/me/mini"}, True),
            ({"versions": {"klpemu": "9"}}, True),
            ({"warnings": 1}, True),
        ],
    )
    def test_only_what_determines_the_run_counts(self, changes: dict[str, Any], same: bool) -> None:
        rows = strategies.numbered_calls(0, 3), np.empty(0, EVENTS)
        one, other = strategies.recorded(*rows), strategies.recorded(*rows, **changes)

        assert (one.meta["digest"] == other.meta["digest"]) is same

    def test_it_is_the_same_on_every_machine(self) -> None:
        run = strategies.recorded(strategies.numbered_calls(0, 100), np.empty(0, EVENTS))

        assert run.meta["digest"] == "6eb92ec0aba6651144ca9fd69c19790c"

    def test_a_changed_row_is_noticed(self, tmp_path: Path) -> None:
        with RunWriter(tmp_path, strategies.meta()) as writer:
            writer.add_calls(strategies.numbered_calls(0, 3))
            writer.finish({})
        data = bytearray((tmp_path / "calls.npy").read_bytes())
        data[-1] ^= 1
        (tmp_path / "calls.npy").write_bytes(data)

        run = load_run(tmp_path)

        assert digest_of(run) != run.meta["digest"]
