"""Every fallible step of enabling a patch fails once, at every occurrence: nothing may be left."""

from __future__ import annotations

import pytest

from emu.arch import PORTS
from emu.ftrace import enabled_functions
from emu.kernel.errno import EINVAL, ENOMEM
from emu.livepatch import Func, Object, Patch
from tests.synthetic import Kernel

SCHEMES = [("x86_64", False), ("arm64", False), ("arm64", True)]
STEPS = ("alloc", "ftrace_location", "filter", "register")
PATCH = Patch(
    "lp",
    (
        Object(None, (Func("mini_leaf", "lp_2"), Func("cmdline_proc_show", "lp_2"))),
        Object("victim", (Func("vic_alpha", "lp_2"), Func("vic_dup", "lp_2", sympos=2))),
    ),
)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(("name", "call_ops"), SCHEMES)
def test_a_failed_enable_leaves_text_graph_and_counts_as_they_were(
    name: str, call_ops: bool, step: str
) -> None:
    kernel = Kernel(PORTS[name], call_ops=call_ops)
    below = Patch("below", (Object(None, (Func("mini_leaf", "lp_1"),)),))
    assert kernel.livepatch.enable(below) > 0
    before, lines = kernel.snapshot(), enabled_functions(kernel.ftrace)
    k = 0
    while True:
        k += 1
        kernel.fail.arm(step, k, ENOMEM)
        ret = kernel.livepatch.enable(PATCH)
        kernel.fail.arm("", 0)
        if ret > 0:
            break
        assert ret in (-ENOMEM, -EINVAL)
        assert kernel.snapshot() == before, f"{step} no. {k}"
        assert enabled_functions(kernel.ftrace) == lines
        assert kernel.livepatch.patches() == ["below"]
        assert kernel.modules.find("lp") is None
        assert not kernel.player.marks or kernel.player.marks[-1][0] != "WARN"
    assert k > 3
    assert kernel.livepatch.disable(ret) == 0
    assert kernel.livepatch.unload(ret) == 0
    assert kernel.snapshot() == before


def test_without_trampolines_everything_still_works() -> None:
    kernel = Kernel(PORTS["x86_64"])
    kernel.fail.arm("text_alloc", 2)
    handle = kernel.livepatch.enable(PATCH)
    assert handle > 0
    shared = [line for line in enabled_functions(kernel.ftrace) if "tramp:" not in line]
    assert shared == ["cmdline_proc_show (1)   I   ->ftrace_ops_list_func+0x0/0x7"] or len(shared) == 1
    assert kernel.livepatch.disable(handle) == 0
