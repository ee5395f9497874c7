"""Where the kernel's heap puts objects."""

from __future__ import annotations

import pytest

from emu.kernel.heap import LINE
from emu.lab.machine import Machine
from emu.timing import load_cpu_model
from emu.units import PAGE_SIZE

SIZES = (0x58, 0x40, 0x70, 0x1008, 16, 0xF00)


def objects(timing: str, count: int) -> list[tuple[int, int]]:
    """Return address and size of some objects on the heap of a machine."""
    with Machine(arch="arm64", cpus=1, users=0, timing=timing, mode="exact") as machine:
        heap = machine.kernel.heap
        made = [(heap.allocate(size, "test"), size) for size in SIZES for _ in range(count)]
        for address, _ in made:
            heap.free(address)
        return made


def test_without_a_cpu_model_objects_end_at_a_pages_end() -> None:
    for address, size in objects("off", 3):
        assert (address + size + 15) // 16 * 16 % PAGE_SIZE == 0


def test_with_a_cpu_model_no_page_is_shared() -> None:
    pages: set[int] = set()
    for address, size in objects("neoverse-n1", 70):
        mine = set(range(address // PAGE_SIZE, (address + size - 1) // PAGE_SIZE + 1))
        assert not pages & mine
        assert len(mine) == -(-size // PAGE_SIZE), "nor one more than without"
        pages |= mine


@pytest.mark.parametrize("size", [0x58, 0x40, 16])
def test_with_a_cpu_model_objects_spread_over_the_sets_of_the_first_cache(size: int) -> None:
    parameters = load_cpu_model("neoverse-n1").parameters
    sets, ways = int(parameters["l1d_sets"]), int(parameters["l1d_ways"])
    mine = [address for address, wanted in objects("neoverse-n1", 100) if wanted == size]
    lines = [line for at in mine for line in range(at // LINE, (at + size - 1) // LINE + 1)]
    fullest = max(sum(line % sets == one for line in lines) for one in range(sets))
    assert fullest <= ways
