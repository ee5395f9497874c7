"""``code.jsonl``: what was written is read back, and nothing else is believed."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.trace import CodeBlock, RunFileError, RunWriter, load_run
from emu.trace.code import parse_code
from tests.trace import strategies

PATH = Path("run/code.jsonl")
WORDS, NUMBERS = st.text(max_size=9), st.integers(0, 2**64 - 1)
BLOCKS = st.builds(
    CodeBlock,
    kind=WORDS, name=WORDS, seq=NUMBERS, address=NUMBERS, code=st.binary(min_size=1, max_size=99),
    symbols=st.dictionaries(WORDS, st.tuples(NUMBERS, NUMBERS), max_size=3),
    sites=st.dictionaries(WORDS, NUMBERS, max_size=3),
    traps=st.dictionaries(NUMBERS, WORDS, max_size=3),
    lines=st.dictionaries(NUMBERS, WORDS, max_size=3),
)  # fmt: skip
LINE = strategies.BLOCK.to_line()


@given(st.lists(BLOCKS, max_size=3))
def test_blocks_are_read_as_they_were_written(blocks: list[CodeBlock]) -> None:
    text = "".join(block.to_line() for block in blocks)

    assert text.count("\n") == len(blocks)
    assert parse_code(text, PATH) == tuple(blocks)


@given(st.integers(0, len(LINE) - 1))
def test_a_last_line_that_was_cut_short_is_left_out(size: int) -> None:
    assert parse_code(LINE + LINE[:size], PATH) == (strategies.BLOCK,)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": 1}, {"name": None}, {"seq": -1}, {"seq": 1.5}, {"seq": True}, {"address": 2**64},
        {"address": "1"}, {"code": "0"}, {"code": "xx"}, {"code": ""}, {"code": 5}, {"symbols": []},
        {"symbols": {"f": 1}}, {"symbols": {"f": [1, 2, 3]}}, {"symbols": {"f": [1, -1]}},
        {"sites": {"f": None}}, {"traps": {"1": "x"}}, {"traps": [[1, 2]]}, {"lines": [1]}, {"lines": [[1]]},
        {"lines": None},
    ],
    ids=str,
)  # fmt: skip
def test_a_malformed_line_is_named(change: dict[str, object]) -> None:
    line = json.dumps({**json.loads(LINE), **change})

    with pytest.raises(RunFileError, match=r"^run/code\.jsonl: line 2 (is malformed|has 0 bytes of code); "):
        parse_code(f"{LINE}{line}\n", PATH)


@pytest.mark.parametrize("line", ["", "{", "[]", "1", "null", "[" * 100_000, '{"kind": "plt"}'], ids=range(7))
def test_a_line_of_something_else_is_named(line: str) -> None:
    with pytest.raises(
        RunFileError, match=r"^run/code\.jsonl: line 1 is malformed; expected a block of code; "
    ):
        parse_code(f"{line}\n", PATH)


def test_a_block_is_in_the_file_at_once(tmp_path: Path) -> None:
    with RunWriter(tmp_path, strategies.meta()) as writer:
        for seq in range(3):
            writer.add_code(replace(strategies.BLOCK, seq=seq))
            assert [block.seq for block in load_run(tmp_path).code] == [*range(seq + 1)]


def test_a_run_without_the_file_has_no_code(tmp_path: Path) -> None:
    with RunWriter(tmp_path, strategies.meta()) as writer:
        writer.add_code(strategies.BLOCK)
        writer.finish({})
    (tmp_path / "code.jsonl").unlink()

    assert load_run(tmp_path).code == ()
