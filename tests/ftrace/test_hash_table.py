"""The shape of filters in guest memory: what guest code walks."""

from __future__ import annotations

import pytest

from emu.arch import PORTS
from emu.ftrace import OpsFlags, sites_in
from emu.ftrace.hash_table import bucket_of, size_bits_for
from emu.machine.operations import OpKind
from emu.structs import FTRACE_FUNC_ENTRY, FTRACE_HASH
from tests.synthetic import Kernel


@pytest.fixture(params=["x86_64", "arm64"])
def kernel(request: pytest.FixtureRequest) -> Kernel:
    return Kernel(PORTS[request.param])


@pytest.mark.parametrize(
    ("count", "bits"), [(1, 0), (2, 1), (3, 1), (4, 2), (50, 5), (8191, 12), (20_000, 12)]
)
def test_buckets_are_about_half_as_many_as_sites(count: int, bits: int) -> None:
    assert size_bits_for(count) == bits


def test_the_only_bucket_takes_all() -> None:
    assert {bucket_of(ip, 0) for ip in range(0, 4096, 8)} == {0}


def test_sites_spread_over_all_buckets() -> None:
    assert {bucket_of(0x0100_0000 + ip, 5) for ip in range(0, 4096, 8)} == set(range(32))


@pytest.mark.parametrize("count", [1, 2, 3, 50])
def test_each_site_is_in_its_bucket_once(kernel: Kernel, count: int) -> None:
    ips, load = range(0x0100_0000, 0x0100_0000 + 0x40 * count, 0x40), kernel.memory.load
    table = kernel.ftrace.hashes.create(ips)
    bits = load(table + FTRACE_HASH.offset("size_bits"))
    buckets = load(table + FTRACE_HASH.offset("buckets"))
    found = []
    for bucket in range(1 << bits):
        pointer = buckets + 8 * bucket
        while entry := load(pointer):
            assert load(entry + FTRACE_FUNC_ENTRY.offset("hlist.pprev")) == pointer
            found.append(load(entry + FTRACE_FUNC_ENTRY.offset("ip")))
            assert bucket_of(found[-1], bits) == bucket
            pointer = entry
    assert sorted(found) == list(ips) == sites_in(table, load)
    end = max(entry for entry in range(table, table + kernel.heap.live[table][0]) if entry % 8 == 0)
    assert end + 8 == table + FTRACE_HASH.size + (8 << bits) + FTRACE_FUNC_ENTRY.size * count


def test_a_table_is_whole_before_its_address_is_stored(kernel: Kernel) -> None:
    ops = kernel.ops(OpsFlags.DYNAMIC)
    kernel.player.operations.clear()
    kernel.ftrace.ftrace_set_filter_ip(ops, kernel.address("mini_leaf"))
    names = kernel.player.names(OpKind.STORE, OpKind.BARRIER)
    published = names.index("ftrace_ops->local_hash.filter_hash")
    assert names[published - 1] == "ftrace_hash publish"
    assert "ftrace_hash->count" in names[:published]
    assert not any(name.startswith(("ftrace_hash", "hlist")) for name in names[published:])
