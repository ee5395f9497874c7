"""Tables that grow, and tables that were cut."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from emu.trace import CALLS, EVENTS, NpyAppender, RunFileError, RunWriteError
from emu.trace.npy import _header, map_table
from tests.trace import strategies

SAME_FOLDER = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class TestAppender:
    @SAME_FOLDER
    @given(st.lists(strategies.any_rows(CALLS), max_size=5))
    def test_numpy_reads_back_what_was_appended(self, tmp_path: Path, parts: list[NDArray[np.void]]) -> None:
        path = tmp_path / "calls.npy"
        path.unlink(missing_ok=True)
        with NpyAppender(path, CALLS) as table:
            for part in parts:
                table.append(part)

        whole = np.concatenate([np.empty(0, CALLS), *parts])
        assert np.load(path, allow_pickle=False).tobytes() == whole.tobytes()
        assert map_table(path, CALLS).rows.tobytes() == whole.tobytes()

    def test_the_file_is_readable_after_every_append(self, tmp_path: Path) -> None:
        with NpyAppender(tmp_path / "calls.npy", CALLS) as table:
            for count in range(12):
                assert table.rows()["seq"].tolist() == list(range(count))
                table.append(strategies.numbered_calls(count, 1))

    def test_the_header_never_claims_a_row_that_is_not_there(self, tmp_path: Path) -> None:
        path = tmp_path / "calls.npy"
        table = NpyAppender(path, CALLS)
        seen = []
        write = table._write

        def watched(data: bytes | memoryview, *, at: int) -> None:
            write(data, at=at)
            found = map_table(path, CALLS)
            seen.append((len(found.rows), found.note))

        table._write = watched  # type: ignore[method-assign]
        table.append(strategies.numbered_calls(0, 3))
        table.append(strategies.numbered_calls(3, 4))
        table.close()

        assert seen == [(0, ""), (3, ""), (3, ""), (7, "")]

    def test_an_append_that_failed_halfway_is_overwritten_by_the_next(self, tmp_path: Path) -> None:
        path = tmp_path / "calls.npy"
        table = NpyAppender(path, CALLS)
        table.append(strategies.numbered_calls(0, 2))
        with path.open("ab") as file:
            file.write(b"half a row")
        table.append(strategies.numbered_calls(2, 2))
        table.close()

        assert table.rows()["seq"].tolist() == [0, 1, 2, 3]

    def test_the_header_has_room_for_any_count(self, tmp_path: Path) -> None:
        sizes = {len(_header(CALLS, count)) for count in (0, 9, 10**7, 2**64 - 1)}
        assert len(sizes) == 1
        assert sizes.pop() % 64 == 0

    def test_rows_of_another_table_are_refused(self, tmp_path: Path) -> None:
        with (
            NpyAppender(tmp_path / "calls.npy", CALLS) as table,
            pytest.raises(TypeError, match=r"^rows must be one-dimensional "),
        ):
            table.append(np.zeros(1, EVENTS))

    def test_an_existing_file_is_not_overwritten(self, tmp_path: Path) -> None:
        (tmp_path / "calls.npy").write_bytes(b"mine")
        with pytest.raises(RunWriteError, match=r"^cannot write .*calls\.npy: File exists; "):
            NpyAppender(tmp_path / "calls.npy", CALLS)

    def test_a_million_rows_are_written_and_read_in_constant_memory(self, tmp_path: Path) -> None:
        table = NpyAppender(tmp_path / "calls.npy", CALLS)
        part = strategies.numbered_calls(0, 10_000)
        tracemalloc.start()
        try:
            for _ in range(100):
                table.append(part)
            rows = table.rows()
            last = int(rows["seq"][-1])
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            table.close()

        assert (len(rows), last) == (1_000_000, 9_999)
        assert peak < 200_000  # bytes; one part has 800 thousand, the table 80 million


def written(path: Path, count: int) -> bytes:
    with NpyAppender(path, CALLS) as table:
        table.append(strategies.numbered_calls(0, count))
    return path.read_bytes()


class TestMapping:
    def test_a_map_is_read_only(self, tmp_path: Path) -> None:
        written(tmp_path / "calls.npy", 3)
        rows = map_table(tmp_path / "calls.npy", CALLS).rows

        assert isinstance(rows, np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            rows["seq"] = 1

    def test_a_table_cut_anywhere_gives_its_whole_rows_or_one_clear_line(self, tmp_path: Path) -> None:
        path = tmp_path / "calls.npy"
        data = written(path, 4)
        header = len(data) - 4 * CALLS.itemsize
        for size in range(len(data)):
            path.write_bytes(data[:size])
            if size < header:
                with pytest.raises(
                    RunFileError, match=r"^[^\n]*: its header is cut short or malformed; [^\n]*$"
                ):
                    map_table(path, CALLS)
                continue
            table = map_table(path, CALLS)
            whole = (size - header) // CALLS.itemsize
            assert table.rows["seq"].tolist() == list(range(whole))
            assert table.note == f"calls.npy is cut short: {whole} of 4 rows are there"

    @pytest.mark.parametrize(
        ("header", "found"),
        [
            ("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", "its rows are '|O'"),
            ("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }", "its rows are '<f8'"),
            (
                "{'descr': [('seq', '<u8')], 'fortran_order': False, 'shape': (1,), }",
                "column 'dispatch_seq' is missing",
            ),
            (
                "{'descr': [('seq', '>u8'), ('cpu', '<u2')], 'fortran_order': False, 'shape': (1,), }",
                "column 'seq' is '>u8', not '<u8'",
            ),
            ("{'descr': '<u8', 'fortran_order': False}", "its header is cut short or malformed"),
            ("__import__('os').system('true')", "its header is cut short or malformed"),
            ("(" * 3000, "its header is cut short or malformed"),
            ("{'descr': '<u8', 'fortran_order': False, 'shape': (-1,), }", "its rows are '<u8'"),
            ("", "its header is cut short or malformed"),
        ],
    )
    @pytest.mark.parametrize("version", [1, 2])
    def test_a_foreign_header_is_refused(self, tmp_path: Path, header: str, found: str, version: int) -> None:
        path = tmp_path / "calls.npy"
        length = len(header).to_bytes(2 * version, "little")
        path.write_bytes(b"\x93NUMPY" + bytes((version, 0)) + length + header.encode() + bytes(100))

        with pytest.raises(RunFileError) as error:
            map_table(path, CALLS)
        assert found in str(error.value)
        assert "\n" not in str(error.value)

    @pytest.mark.parametrize("shape", ["(-1,)", "()", "(2, 2)"])
    def test_another_shape_is_refused(self, tmp_path: Path, shape: str) -> None:
        path = tmp_path / "calls.npy"
        data = written(path, 4)
        path.write_bytes(data.replace(b"(4,)", shape.encode(), 1))

        with pytest.raises(RunFileError):
            map_table(path, CALLS)

    def test_a_count_beyond_all_memory_gives_the_rows_there_are(self, tmp_path: Path) -> None:
        path = tmp_path / "calls.npy"
        data = written(path, 4)
        path.write_bytes(data.replace(b"(4,), }" + b" " * 18, b"(9999999999999999999,), }", 1))

        assert len(map_table(path, CALLS).rows) == 4

    def test_a_header_that_claims_gigabytes_is_not_read(self, tmp_path: Path) -> None:
        path = tmp_path / "calls.npy"
        path.write_bytes(b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + b" " * 100_000)

        with pytest.raises(RunFileError, match="its header is cut short or malformed"):
            map_table(path, CALLS)

    def test_a_later_format_a_folder_and_no_file_are_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "calls.npy"
        path.write_bytes(b"\x93NUMPY\x03\x00" + bytes(200))
        with pytest.raises(RunFileError, match=r"is \.npy format 3\.0; expected format 1\.0 or 2\.0"):
            map_table(path, CALLS)
        with pytest.raises(RunFileError, match="is not a regular file"):
            map_table(tmp_path, CALLS)
        with pytest.raises(RunFileError, match="No such file"):
            map_table(tmp_path / "none.npy", CALLS)

    @SAME_FOLDER
    @given(st.binary(max_size=300))
    def test_no_bytes_at_all_do_anything_worse_than_a_clear_error(self, tmp_path: Path, data: bytes) -> None:
        path = tmp_path / "calls.npy"
        path.write_bytes(b"\x93NUMPY\x01\x00" + data)
        try:
            map_table(path, CALLS)
        except RunFileError as error:
            message = str(error)
        else:
            message = ""
        assert "\n" not in message
