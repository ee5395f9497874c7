"""What a result tells, by the formulas of docs/guest-kernel.md."""

from __future__ import annotations

import pytest

from emu.lab.replies import Reply, reply_of


@pytest.mark.parametrize(
    ("function", "result", "reply"),
    [
        ("vic_alpha", 0, Reply()),
        ("vic_alpha", 300, Reply(version=300)),
        ("dup1", 0x7_0000_0004, Reply(version=4)),
        ("late_init", 2, Reply(version=2)),
        ("cmdline_proc_show", 0, Reply()),
        ("loadavg_proc_show", 0x3_0000_0000, Reply(version=3)),
        ("vic_wait", 0xFFFF_FFFC, Reply(error=-4)),
        ("vic_outer", 0xFFFF_FFFC, Reply(error=-4)),
        ("vic_outer", 0x02_00_00, Reply(met=(0, 2))),
        ("vic_pair", 0x03_02_01, Reply(version=1, met=(2, 3))),
        ("vic_count", 5, Reply(levels=(5, 0))),
        ("vic_count", 0x01_05_00, Reply(version=1, levels=(0, 5))),
        ("vic_count", 0x01_02_03, Reply(version=1, levels=(3, 2))),
    ],
)
def test_each_formula(function: str, result: int, reply: Reply) -> None:
    assert reply_of(function, result) == reply
