"""Flavours by name."""

from __future__ import annotations

import pytest

from emu.arch import PORTS
from emu.errors import UnknownNameError
from emu.ftrace import enabled_functions
from emu.livepatch import LINUX_6_1, LINUX_6_17, Flavour, Func, Object, Patch, flavour_named
from tests.synthetic import Kernel


@pytest.mark.parametrize("flavour", [LINUX_6_1, LINUX_6_17], ids=lambda flavour: flavour.name)
def test_found_by_name(flavour: Flavour) -> None:
    assert flavour_named(flavour.name) is flavour


def test_an_unknown_name_is_told_what_was_meant() -> None:
    with pytest.raises(
        UnknownNameError, match=r"^unknown flavour 'linux-6\.2'; did you mean 'linux-6\.1'\?$"
    ):
        flavour_named("linux-6.2")


def test_enabled_functions_has_two_more_columns_in_6_17() -> None:
    kernel = Kernel(PORTS["x86_64"])
    func = Func("mini_leaf", "lp_1")
    handle = kernel.livepatch.enable(Patch("lp", (Object(None, (func,)),)))

    def line(flavour: Flavour) -> str:
        (found,) = enabled_functions(kernel.ftrace, modified_column=flavour.modified_column)
        return found.partition("\t")[0]

    assert line(LINUX_6_1) == "mini_leaf (1)   I  "
    assert line(LINUX_6_17) == "mini_leaf (1)   I     M "
    kernel.livepatch.disable(handle)
    ops = kernel.ops()
    kernel.ftrace.ftrace_set_filter_ip(ops, kernel.address("mini_leaf"))
    assert kernel.ftrace.register_ftrace_function(ops) == 0
    assert line(LINUX_6_17) == "mini_leaf (1)         M "
    assert kernel.ftrace.unregister_ftrace_function(ops) == 0
    assert [mark for mark, _ in kernel.player.marks if mark == "WARN"] == []
