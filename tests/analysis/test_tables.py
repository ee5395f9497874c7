"""Tables read well in a pipe, whatever a file brought."""

import numpy as np

import emu.analysis
from emu.analysis import (
    audit,
    audit_table,
    cost,
    cost_tables,
    stage_facts,
    stages_table,
    summarize,
    summary_tables,
    table_of,
    text_of,
)  # fmt: skip
from emu.trace import CALLS, EVENTS, EventKind, MemoryRecorder, Run, Symbol
from tests.trace import strategies

LEAF, LP1_LEAF = (strategies.SYMBOLS[name].address for name in ("mini_leaf", "lp1_mini_leaf"))
CALL = {"site": LEAF, "target": LEAF, "enter": 10, "dispatched": 11, "exit": 1_010, "insns": 3}


def small_run() -> Run:
    new = CALL | {"flags": 0xC0, "patch": 1, "target": LP1_LEAF, "patch_state": 1}
    return strategies.recorded(
        strategies.rows_of(CALLS, CALL, new), strategies.rows_of(EVENTS, {"kind": EventKind.ENABLE, "a": 1})
    )


def test_counts_are_plain_text() -> None:
    text = text_of(summary_tables(summarize(small_run())))

    assert text.startswith(
        "calls by function\n"
        "function   original  p1  p2  all\n"
        "mini_leaf         1   1   0    2\n"
        "all               1   1   0    2\n"
        "\n"
        "calls by CPU\n"
        "CPU    original  p1  p2  all\n"
        "CPU 0         1   1   0    2\n"
        "\n"
        "calls by patch state\n"
    )
    assert text.isascii()
    assert text.endswith("ENABLE      1\n")


def test_costs_name_their_columns_and_group_digits() -> None:
    text = text_of(cost_tables(cost(small_run())))

    spread = ["p90", "p99", "max"]
    head = ["group", "calls", "cycles", *spread, "entry", *spread, "insns", *spread]
    assert text.splitlines()[1].split() == head
    assert text.splitlines()[2].split()[:4] == ["unpatched", "1", "1_000", "1_000"]
    assert "mini_leaf  patched" in text


def staged(*calls: dict[str, int]) -> str:
    events = ({"kind": EventKind.ENABLE, "a": 1, "seq": 10}, {"kind": EventKind.ENABLE, "a": 2, "seq": 20})
    run = strategies.recorded(strategies.rows_of(CALLS, *calls), strategies.rows_of(EVENTS, *events))
    return text_of([stages_table(stage_facts(run))])


STAGES_TITLE = "cost per call of a patch's functions: insns median and p99, cycles median\n"
NEW = CALL | {"seq": 15, "flags": 0xC0, "patch": 1, "target": LP1_LEAF, "exit": 2_310, "insns": 1_500}


def test_stages_are_one_table_of_all_patches_with_three_columns_per_group() -> None:
    assert staged(CALL, CALL, NEW, CALL | {"flags": 0x80, "insns": 40}) == STAGES_TITLE + (
        "                                    site off              traced                patched\n"
        "patch  stage     calls  insns  p99    cycles  insns  p99  cycles  insns    p99   cycles\n"
        "p1     before        3      3    3     1_000     40   40   1_000      -      -        -\n"
        "p1     enabling      1      -    -         -      -    -       -  1_500  1_500    2_300\n"
        "p2     before        4      3    3     1_000     40   40   1_000  1_500  1_500    2_300\n"
        "p2     enabling      0      -    -         -      -    -       -      -      -        -\n"
    )


def test_a_group_without_calls_has_no_columns() -> None:
    assert staged(CALL, CALL, NEW) == STAGES_TITLE + (
        "                                    site off                patched\n"
        "patch  stage     calls  insns  p99    cycles  insns    p99   cycles\n"
        "p1     before        2      3    3     1_000      -      -        -\n"
        "p1     enabling      1      -    -         -  1_500  1_500    2_300\n"
        "p2     before        3      3    3     1_000  1_500  1_500    2_300\n"
        "p2     enabling      0      -    -         -      -      -        -\n"
    )


def test_rows_of_text_are_taken_as_they_are() -> None:
    table = table_of("some [b]rows[/b]", ["what", "n"], [("[red]a\x1b", "1"), ("b", "10")])

    assert text_of([table]) == "some [b]rows[/b]\nwhat         n\n[red]a\\x1b   1\nb           10\n"


def test_an_audit_says_how_it_went_in_its_title() -> None:
    good = audit(strategies.recorded(strategies.rows_of(CALLS, CALL), np.empty(0, EVENTS)))

    assert audit_table(good).row_count == 0
    rows = strategies.rows_of(CALLS, *[CALL | {"patch": 1}] * 3)
    bad = audit(strategies.recorded(rows, np.empty(0, EVENTS)), limit=1)
    text = text_of([audit_table(bad)])
    assert text.startswith("3 calls inconsistent\n")
    assert text.endswith("the first 1 of 3 are shown\n")


def test_names_are_neither_markup_nor_control_sequences() -> None:
    meta = strategies.meta()
    meta["patches"][1]["name"] = "[red]p\x1b[2J"
    recorder = MemoryRecorder(meta)
    recorder.set_symbols({"[/]leaf\n": Symbol(LEAF, 4, "function")})
    recorder.add_calls(strategies.rows_of(CALLS, CALL))

    text = text_of(summary_tables(summarize(recorder.finish({}))))

    assert "[/]leaf\\n" in text
    assert "[red]p\\x1b[2J" in text
    assert "\x1b" not in text


def test_public_names_are_sorted_and_there() -> None:
    names = emu.analysis.__all__
    assert names == sorted(names)
    assert all(hasattr(emu.analysis, name) for name in names)
