"""Compiled code: every frame that clang makes of C is seen through, or said not to be."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from emu.arch import PORTS, port_named
from emu.build.contents import Call
from emu.build.toolchain import EntryScheme, compile_object
from tests.kernel.unwind.test_truth import UNRELIABLE, functions_at
from tests.kernel.unwind.watched import Score, Watched

SOURCE = Path(__file__).with_name("frames.c")

CALLS = {
    ("f_leaf", 41): 42,
    ("f_calls", 2): 113,
    ("f_recursive", 6): 21,
    ("f_alloca", 5): 10,
    ("f_aligned", 7): 21,
    ("f_large", 9): 9,
    ("f_tail", 8): 17,
    ("f_switch", 0, 5): 6,
    ("f_switch", 1, 5): 11,
    ("f_switch", 3, 5): 15,
    ("f_switch", 4, 5): 0xFFFFFFFA,
    ("f_switch", 6, 5): 25,
    ("f_switch", 9, 5): 82,
    ("f_switch", 10, 5): 0xDEAD,
    ("f_early", 1): 100,
    ("f_early", 2): 200,
    ("f_early", 5): 13,
    ("f_through", 1, 4): 9,
}
"""What workers call, and what it returns."""

FLAGS = {
    "frame-pointers": ("-fno-omit-frame-pointer", "-mno-omit-leaf-frame-pointer"),
    "no-frame-pointers": ("-fomit-frame-pointer",),
    "unoptimised": ("-O0",),
    "landing-pads": ("-fomit-frame-pointer",),
}
"""Compiler flags; landing pads are added by port."""

PADS = {"x86_64": "-fcf-protection=branch", "arm64": "-mbranch-protection=standard"}


@pytest.mark.slow
@pytest.mark.toolchain
@pytest.mark.parametrize("flags", FLAGS)
@pytest.mark.parametrize("arch", PORTS)
class TestFrames:
    """The true stack, or none."""

    def test_no_stack_is_wrong(self, arch: str, flags: str) -> None:
        pytest.importorskip("ziglang")
        more = (PADS[arch],) if flags == "landing-pads" else ()
        content = compile_object(
            port_named(arch), SOURCE, entry=EntryScheme.PATCHABLE, flags=(*FLAGS[flags], *more)
        )
        watched = Watched(arch, cpus=1, workers=1, users=0)
        calls = [Call(fn=str(fn), args=tuple(args), expected=result) for (fn, *args), result in CALLS.items()]
        watched.machine.add_module("frames", content, calls=calls)
        watched.at_once(lambda: watched.machine.load("frames"))
        loaded = watched.machine.loader.image("frames")
        watched.kernel.offer_calls([(call, loaded.address(call.fn)) for call in calls])
        for function in ("f_leaf", "f_switch", "f_alloca"):
            watched.at_once(partial(watched.machine.tracing.add, function))
        score = Score(watched, interrupting=True)
        functions = {name for name, symbol in loaded.symbols.items() if name.startswith("f_") and symbol.size}
        functions -= {"f_table"}
        while not functions <= functions_at(watched.unwinder, score.reliable):
            assert watched.kernel.engine.instructions() < 150_000
            score.run(5_000)
        assert watched.machine.bad_results() == 0
        assert set(score.unreliable) <= set(UNRELIABLE[arch]), dict(score.unreliable)
