"""Native memory ordering does what its plain twin does, step by step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from emu.machine import state as s
from emu.machine.state import Ordering
from emu.machine.store_buffer import drain, show
from emu.machine.views import order_load, order_store, retire
from tests.reference.memory_ordering import Draws, Twin

BASE, SIZE, CPUS, SEED = 0x2000_0000, 0x1000, 3, 0x1234_5678_9ABC_DEF1
SIZES = {1: 0x3900_0000, 2: 0x7900_0000, 4: 0xB900_0000, 8: 0xF900_0000}
LDR, LDAR, STLR = 0x0040_0000, 0xC8DF_FC00, 0xC89F_FC00
LDAPR, LDADD, SWPAL, LDXR, STXR = 0xF8BF_C000, 0xF820_0000, 0xF8E0_8000, 0xC85F_7C00, 0xC800_7C00
EOR = 0xCA00_0000
BARRIERS = {
    "all": 0xD503_3BBF,
    "loads": 0xD503_39BF,
    "stores": 0xD503_3ABF,
    "wait": 0xD503_3A9F,
    "isb": 0xD503_3FDF,
}


@dataclass(frozen=True)
class Step:
    """One instruction: registers ``t`` (data) and ``n`` (address); ``value`` is what a store stores."""

    cpu: int
    kind: str
    offset: int
    size: int
    t: int
    n: int
    value: int


class Native:
    """Control blocks and a memory of their own: no Unicorn."""

    def __init__(self, ordering: Ordering) -> None:
        self.data = np.zeros(SIZE + 64, np.uint8)
        self.ctl, self.blocks = np.zeros(s.CTL_WORDS, np.int64), np.zeros((CPUS, s.CPU_WORDS), np.int64)
        self.keep: list[NDArray[Any]] = [
            np.zeros((CPUS, s.PENDING_MAX, s.STORE_WORDS), np.int64),
            np.zeros((CPUS, s.VIEW_WORDS), np.int64),
            np.zeros((CPUS, s.COHERENCE_SLOTS), np.int64),
            np.zeros((s.LANDED_ROWS, s.LANDED_WORDS), np.int64),
            np.zeros(s.LAST_SLOTS, np.int64), np.ones(16, np.uint8),
            np.zeros((CPUS, s.COHERENCE_SLOTS, s.FORWARD_WORDS), np.int64),
        ]  # fmt: skip
        rows, views, coherence, landed, last, pages, forwards = self.keep
        views[:, s.VIEW_LOADED] = -1
        for field, value in (
            (s.CTL_CPUS, CPUS), (s.CTL_CPU_BLOCKS, self.blocks.ctypes.data), (s.CTL_DATA_BASE, BASE),
            (s.CTL_DATA_HOST, self.data.ctypes.data), (s.CTL_DATA_SIZE, SIZE), (s.CTL_ORDERING, ordering),
            (s.CTL_SHOWN, -1), (s.CTL_ORDER_RANDOM, SEED), (s.CTL_LANDED, landed.ctypes.data),
            (s.CTL_LAST_LANDED, last.ctypes.data),
        ):  # fmt: skip
            self.ctl[field] = value
        for cpu, block in enumerate(self.blocks):
            block[s.CPU_INDEX], block[s.CPU_PAGES] = cpu, pages.ctypes.data
            block[s.CPU_STORE_ROWS], block[s.CPU_VIEWS] = rows[cpu].ctypes.data, views[cpu].ctypes.data
            block[s.CPU_COHERENCE], block[s.CPU_FORWARDS] = (
                coherence[cpu].ctypes.data,
                forwards[cpu].ctypes.data,
            )

    def peek(self, address: int, size: int) -> int:
        return int.from_bytes(self.data[address - BASE : address - BASE + size].tobytes(), "little")

    def poke(self, address: int, size: int, value: int) -> None:
        content = (value & (1 << 8 * size) - 1).to_bytes(size, "little")
        self.data[address - BASE : address - BASE + size] = np.frombuffer(content, np.uint8)

    def store(self, cpu: int, word: int, address: int, size: int, value: int) -> None:
        order_store(self.ctl, self.blocks[cpu], word, address, size, value)
        self.poke(address, size, value)

    def step(self, step: Step) -> int:
        """Do what Unicorn does around the hooks; return what was loaded, or a status."""
        address, block, ctl = BASE + step.offset, self.blocks[step.cpu], self.ctl
        show(ctl, block)
        word, found, size = word_of(step), 0, step.size
        if step.kind in ("load", "ldar", "ldapr", "ldxr", "ldadd", "swpal"):
            order_load(ctl, block, word, address, size)
            found = self.peek(address, size)
        if step.kind in ("store", "stlr", "swpal", "ldadd"):
            value = found + step.value if step.kind == "ldadd" else step.value
            self.store(step.cpu, word, address, size, int(np.uint64(value % 2**64).astype(np.int64)))
        elif step.kind == "stxr":
            before = self.peek(address, size)
            order_load(ctl, block, word, address, size)
            found = int(self.peek(address, size) != before)
            # on a mismatch the engine stores what it has just read
            value = step.value if not found else self.peek(address, size)
            self.store(step.cpu, word, address, size, int(np.uint64(value).astype(np.int64)))
        retire(ctl, block, word)
        block[s.CPU_INSNS] += 1
        return found


def word_of(step: Step) -> int:
    t, n = step.t, step.n << 5
    match step.kind:
        case "load":
            return SIZES[step.size] | LDR | n | t
        case "store":
            return SIZES[step.size] | n | t
        case "ldadd" | "swpal":
            return {"ldadd": LDADD, "swpal": SWPAL}[step.kind] | 5 << 16 | n | t
        case "stxr":
            return STXR | 6 << 16 | n | t
        case "eor":
            return EOR | step.n << 16 | n | t
        case kind if kind in BARRIERS:
            return BARRIERS[kind]
        case kind:
            return {"ldar": LDAR, "ldapr": LDAPR, "ldxr": LDXR, "stlr": STLR}[kind] | n | t


def twin_step(twin: Twin, step: Step) -> int:
    """The same by the twin."""
    cpu, address, size, found = twin.run(step.cpu), BASE + step.offset, step.size, 0
    content = step.value.to_bytes(8, "little")[:size]
    seen = cpu.register.get(step.n, 0)
    data_seen = max(seen, cpu.register.get(step.t, 0))
    match step.kind:
        case "load" | "ldar" | "ldapr" | "ldxr":
            value, time = twin.load(
                cpu, address, size, step.n, acquire=step.kind == "ldar", acquire_pc=step.kind == "ldapr",
                fresh=step.kind == "ldxr",
            )  # fmt: skip
            found, cpu.register[step.t] = int.from_bytes(value, "little"), time
            if step.kind == "ldxr":
                cpu.monitor = (address // 16, twin.now)
        case "store" | "stlr":
            twin.push(cpu, address, content, release=step.kind == "stlr", seen=data_seen)
        case "ldadd" | "swpal":
            if step.kind == "swpal":
                twin.drain(cpu)
            value, time = twin.load(
                cpu, address, size, step.n, acquire=step.kind == "swpal", acquire_pc=False, fresh=True
            )
            found = int.from_bytes(value, "little")
            new = (found + step.value) % 2**64 if step.kind == "ldadd" else step.value
            store = twin.push(cpu, address, new.to_bytes(8, "little"), release=step.kind == "swpal", seen=0)
            store.seen = max(seen, cpu.register.get(5, 0), cpu.register.get(31, 0), time)
            store.atomic = True
            twin.land(cpu, store)
            if step.kind == "swpal":
                cpu.floor = twin.now
            cpu.register[step.t] = time
        case "stxr":
            twin.land_overlapping(cpu, address, size)
            found = int(not twin.may_store_exclusively(cpu, address))
            if not found:
                store = twin.push(cpu, address, content, release=False, seen=data_seen)
                store.atomic = True
                twin.land(cpu, store)
            cpu.monitor = None
            cpu.register[6] = twin.now
        case "eor":
            cpu.register[step.t] = seen
        case "all":
            twin.drain(cpu)
            cpu.floor = max(cpu.floor, cpu.reads, cpu.writes)
        case "loads" | "isb":
            cpu.floor = max(cpu.floor, cpu.reads)
        case "stores":
            cpu.group += 1
        case "wait":
            twin.drain(cpu)
            cpu.floor = max(cpu.floor, cpu.writes)
    cpu.insns += 1
    return found


def _step(kind: str, cpu: int, granule: int, within: int, log_size: int, t: int, n: int, value: int) -> Step:
    size = 1 << log_size if kind in ("load", "store") else 8
    offset = 8 * granule + (within if kind in ("load", "store") else 0)
    return Step(cpu, kind, offset, size, t, n, value)


KINDS = (
    ["load"] * 6
    + ["store"] * 6
    + ["ldar", "ldapr", "ldxr", "stxr", "stlr", "ldadd", "swpal", "eor", *BARRIERS]
)
STEPS = st.builds(
    _step, st.sampled_from(KINDS), st.integers(0, CPUS - 1), st.integers(0, 3),
    st.sampled_from([0, 0, 0, 1, 2, 4, 5, 6]),
    st.integers(0, 3), st.integers(0, 3), st.integers(0, 3), st.integers(0, 2**64 - 1),
)  # fmt: skip


@pytest.mark.parametrize("ordering", [Ordering.ARM64, Ordering.TSO], ids=["arm64", "tso"])
@settings(max_examples=300, deadline=None)
@given(steps=st.lists(STEPS, max_size=60))
def test_every_load_and_the_memory_are_the_twins(ordering: Ordering, steps: list[Step]) -> None:
    native = Native(ordering)
    twin = Twin(CPUS, Draws(SEED), in_order=ordering is Ordering.TSO, limit=s.PENDING_MAX)

    for step in steps:
        assert native.step(step) == twin_step(twin, step), step

    for cpu in range(CPUS):
        show(native.ctl, native.blocks[cpu])
        drain(native.ctl, native.blocks[cpu])
        twin.drain(twin.run(cpu))
    assert native.data[:SIZE].tobytes() == twin.memory(BASE, SIZE, twin.now)
    assert native.ctl[s.CTL_NOW] == twin.now
