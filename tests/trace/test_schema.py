"""The columns, and rows made of the engine's words."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from emu.trace import CALLS, EVENTS, CallFlag, EventKind, calls_from_words, events_from_words
from emu.trace.schema import CALL_FLAG_DOCS, EVENT_DOCS
from tests.trace import strategies


class TestTables:
    def test_rows_have_no_padding(self) -> None:
        assert (CALLS.itemsize, EVENTS.itemsize) == (88, 48)

    def test_columns_are_little_endian_on_every_machine(self) -> None:
        for dtype in (CALLS, EVENTS):
            assert dtype.newbyteorder("<") == dtype

    def test_words_have_the_order_that_the_engine_writes(self) -> None:
        assert CALLS.names == (
            "seq", "dispatch_seq", "cpu", "task", "site", "parent", "target", "patch", "patch_state", "depth",
            "flags", "enter", "dispatched", "exit", "insns", "result",
        )  # fmt: skip
        assert EVENTS.names == ("seq", "cycle", "cpu", "kind", "task", "a", "b", "c")

    def test_every_flag_and_kind_is_explained(self) -> None:
        assert set(CALL_FLAG_DOCS) == set(CallFlag)
        assert set(EVENT_DOCS) == set(EventKind)

    def test_every_flag_fits_its_column(self) -> None:
        assert sum(CallFlag) < 2**16


class TestRowsFromWords:
    @settings(deadline=None)
    @given(strategies.words(16), st.data())
    def test_every_value_of_a_call_arrives(self, words: NDArray[np.uint64], data: st.DataObject) -> None:
        states = data.draw(st.lists(st.integers(-2, 1), min_size=len(words), max_size=len(words)))
        words[:, 8] = np.array(states, np.int64).view(np.uint64)

        rows = calls_from_words(words)

        assert rows["patch_state"].tolist() == states
        for index, name in enumerate(CALLS.names or ()):
            if name != "patch_state":
                assert rows[name].tolist() == words[:, index].tolist()

    @settings(deadline=None)
    @given(strategies.words(8))
    def test_every_value_of_an_event_arrives(self, words: NDArray[np.uint64]) -> None:
        rows = events_from_words(words)

        assert [list(row) for row in rows.tolist()] == words.tolist()

    def test_64_bit_columns_take_any_value(self) -> None:
        words = np.zeros((1, 16), np.uint64)
        words[0, 15] = 2**64 - 1

        assert calls_from_words(words)["result"][0] == 2**64 - 1

    def test_rows_do_not_share_memory_with_the_buffer(self) -> None:
        words = np.ones((3, 8), np.uint64)
        rows = events_from_words(words)
        words[:] = 0

        assert rows["cycle"].tolist() == [1, 1, 1]

    def test_a_slice_of_a_larger_buffer_will_do(self) -> None:
        buffer = np.arange(200, dtype=np.uint64).reshape(10, 20) % 100

        assert calls_from_words(buffer[::2, :16])["seq"].tolist() == [0, 40, 80, 20, 60]

    @pytest.mark.parametrize(("column", "largest"), [(9, 255), (14, 2**32 - 1)])
    def test_depth_and_insns_saturate(self, column: int, largest: int) -> None:
        words = np.zeros((2, 16), np.uint64)
        words[1, column] = largest + 5

        name = (CALLS.names or ())[column]
        assert calls_from_words(words)[name].tolist() == [0, largest]

    @pytest.mark.parametrize(("column", "value"), [(2, 2**16), (3, 2**32), (8, 128), (8, 2**63), (10, 2**16)])
    def test_a_value_that_does_not_fit_is_named(self, column: int, value: int) -> None:
        words = np.zeros((3, 16), np.uint64)
        words[2, column] = value

        with pytest.raises(ValueError, match=r"^row 2: -?\d+ does not fit column '\w+'$"):
            calls_from_words(words)

    def test_another_shape_or_type_is_refused(self) -> None:
        with pytest.raises(ValueError, match=r"^words must have shape \(n, 16\), not \(2, 8\)$"):
            calls_from_words(np.zeros((2, 8), np.uint64))
        with pytest.raises(TypeError, match=r"^words must be uint64, not int64$"):
            events_from_words(np.zeros((2, 8), np.int64))
