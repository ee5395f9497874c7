"""Whatever a recording says came into memory: it is shown, never believed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emu.arch import PORTS
from emu.lab.disassembly import disassemble_run
from emu.lab.machine import Machine
from emu.lab.userland import Userland
from emu.trace import CALLS, EVENTS, CodeBlock, EventKind
from tests.trace import strategies

BASE = 0x10C_0000
ADDRESSES = st.integers(BASE - 20, BASE + 60) | st.integers(0, 2**64 - 1)
NAMES = st.sampled_from("fg")
BLOCKS = st.builds(
    CodeBlock,
    kind=st.sampled_from(["module", "patch", "plt", "anything"]),
    name=st.text(max_size=3),
    seq=st.integers(0, 5),
    address=st.just(BASE) | st.integers(0, 2**64 - 1),
    code=st.binary(min_size=1, max_size=50),
    symbols=st.dictionaries(NAMES, st.tuples(ADDRESSES, st.integers(0, 50)), max_size=2),
    sites=st.dictionaries(NAMES, ADDRESSES, max_size=2),
    traps=st.dictionaries(ADDRESSES, st.text(max_size=3), max_size=2),
    lines=st.dictionaries(ADDRESSES, st.text(max_size=3), max_size=2),
)
EVENT = st.fixed_dictionaries(
    {
        "kind": st.sampled_from([EventKind.TEXT_POKE, EventKind.MODULE_UNLOAD]),
        "a": ADDRESSES,
        "b": st.integers(0, 20),
        "c": st.integers(0, 2**64 - 1),
    }
)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([*PORTS]), st.lists(BLOCKS, max_size=3), st.lists(EVENT, max_size=4))
def test_any_blocks_and_pokes_are_shown_byte_by_byte(
    arch: str, blocks: list[CodeBlock], events: list[dict[str, int]]
) -> None:
    rows = strategies.rows_of(EVENTS, *({"seq": seq, **event} for seq, event in enumerate(events)))
    run = strategies.recorded(np.zeros(0, CALLS), rows, arch=arch)

    found = disassemble_run(replace(run, code=tuple(blocks), symbols={}))

    for function in found.functions:
        assert sum(len(line.code) for line in function.lines) == function.size
        assert [line.address for line in function.lines] == sorted({line.address for line in function.lines})


@pytest.mark.parametrize("arch", sorted(PORTS))
def test_klp_relocations_are_shown_at_the_instructions_that_they_fill_in(arch: str) -> None:
    machine = Machine("reference", arch=arch, cpus=2, workers=0, users=0, spare_tasks=1)
    shell = Userland(machine)
    for module in ("viccore", "victim", "lp_oa1"):
        assert shell.insmod(module) == 0
    assert shell.wait_for_transition()
    alpha = machine.loader.image("victim").address("vic_alpha")

    (stub,) = disassemble_run(machine.finish(), ["vic_alpha@plt"]).functions

    notes = [[note for note in line.notes if note.startswith("poked; was ")] for line in stub.lines]
    if arch == "x86_64":
        assert [line.target for line in stub.lines] == [alpha]
        assert len(notes[0]) == 1
    else:  # movz and two movk; the last one's 0 stays 0, and so does the branch
        assert [line.text for line in stub.lines][:2] == [
            f"mov x16, #{alpha & 0xFFFF:#x}", f"movk x16, #{alpha >> 16:#x}, lsl #16",
        ]  # fmt: skip
        assert notes == [["poked; was mov x16, #0"], ["poked; was movk x16, #0, lsl #16"], [], []]
