"""What files of truth values and numbers take, letter by letter."""

from __future__ import annotations

import pytest

from emu.kernel.kstrtox import INT_MAX, kstrtobool, proc_dointvec


@pytest.mark.parametrize("text", ["1", "y", "Y", "yes", "yellow", "t", "True", "on", "ON", "oN!", "1\n"])
def test_true(text: str) -> None:
    assert kstrtobool(text) is True


@pytest.mark.parametrize("text", ["0", "n", "N", "no", "f", "FALSE", "of", "off", "oF", "0\n", "01"])
def test_false(text: str) -> None:
    assert kstrtobool(text) is False


@pytest.mark.parametrize("text", ["", "2", "-1", " 1", "\n", "o", "ox", "e", "d", "x1", "\uff11"])
def test_neither(text: str) -> None:
    assert kstrtobool(text) is None


@pytest.mark.parametrize(
    ("text", "value", "taken"),
    [
        ("0", 0, 1),
        ("  12\n", 12, 5),
        ("-3 \t\n", -3, 5),
        ("0x1F", 31, 4),
        ("017", 15, 3),
        ("00", 0, 2),
        ("1 2", 1, 2),
        (str(INT_MAX), INT_MAX, 10),
        (str(-INT_MAX - 1), -INT_MAX - 1, 11),
        ("1" + " " * 30, 1, 31),
    ],
)
def test_numbers(text: str, value: int, taken: int) -> None:
    assert proc_dointvec(text) == (value, taken)


@pytest.mark.parametrize(
    "text",
    ["", " ", "-", "+1", "--1", "x", "0x", "08", "1,", "1\v", str(INT_MAX + 1), str(-INT_MAX - 2), "0" * 21],
)
def test_no_numbers(text: str) -> None:
    assert proc_dointvec(text) is None
