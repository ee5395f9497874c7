"""Whatever is patched, in whatever order it is unpatched: in the end every byte of text is what it was."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emu.build.memory_map import KERNEL_TEXT
from emu.ftrace import enabled_functions
from emu.lab.machine import Machine
from emu.livepatch import Func, Object, Patch
from tests.exhaustive.at_once import switch_at_once
from tests.exhaustive.schemes import SCHEMES, Scheme

pytestmark = pytest.mark.slow

FUNCTIONS = (
    "mini_leaf", "mini_nested", "mini_recursive", "mini_tail", "mini_many", "mini_loop", "mini_landing",
    "mini_sleep", "cmdline_proc_show", "meminfo_proc_show",
)  # fmt: skip


@st.composite
def stacks(draw: st.DrawFn) -> tuple[list[tuple[str, ...]], list[int], str]:
    """Return what each patch of a stack replaces, the order they are disabled in, and a function to trace."""
    subset = st.lists(st.sampled_from(FUNCTIONS), min_size=1, unique=True).map(tuple)
    patches = draw(st.lists(subset, min_size=1, max_size=3))
    return patches, draw(st.permutations(range(len(patches)))), draw(st.sampled_from(("", *FUNCTIONS)))


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
class TestRestores:
    """Patch, then unpatch."""

    @settings(max_examples=12, deadline=None, derandomize=True)
    @given(stack=stacks())
    def test_every_byte(self, scheme: Scheme, stack: tuple[list[tuple[str, ...]], list[int], str]) -> None:
        patches, order, traced = stack
        machine = Machine(arch=scheme.arch, call_ops=scheme.call_ops, cpus=2, workers=1, users=1)
        switch_at_once(machine)
        assert machine.run(calls=20).ok
        text, records = _text(machine), enabled_functions(machine.ftrace)
        handles = []
        for number, functions in enumerate(patches):
            funcs = tuple(Func(name, f"lp_{name}") for name in functions)
            handles.append(machine.livepatch.enable(Patch(f"lp{number}", (Object(None, funcs),))))
            assert machine.run(until=handles[-1].settled).ok
        if traced:
            assert machine.wait(machine.tracing.add(traced)) == 0
        assert machine.run(calls=50).ok
        assert _text(machine) != text
        for index in order:
            handles[index].disable()
            assert machine.run(until=handles[index].settled).ok
        if traced:
            assert machine.wait(machine.tracing.remove(traced)) == 0
        assert machine.run(calls=50).ok
        assert [handle.result for handle in handles] == [0] * len(handles)
        assert (_text(machine), enabled_functions(machine.ftrace)) == (text, records)
        assert (machine.bad_results(), machine.kernel.warnings()) == (0, 0)


def _text(machine: Machine) -> bytes:
    """Return the kernel's text, which every CPU fetches alike once it has synchronised."""

    def settle() -> int:
        machine.kernel.guest.sync_cores("test")
        return 0

    assert machine.wait(machine.kernel.installer.submit("sync", settle)) == 0
    engine, (base, size) = machine.kernel.engine, (KERNEL_TEXT.base, KERNEL_TEXT.size)
    held = engine.memory.read(base, size)
    assert all(engine.fetch.seen_by(cpu, base, size) == held for cpu in range(engine.cpus))
    return held
