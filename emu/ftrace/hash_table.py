"""The shape of a filter's hash table: how many buckets, where a site belongs, where things lie.

Source: kernel/trace/ftrace.c, dup_hash, ftrace_hash_key; include/linux/hash.h, hash_64 (6.1).
"""

from __future__ import annotations

from collections.abc import Callable

from emu.structs import FTRACE_FUNC_ENTRY, FTRACE_HASH

MAX_BITS = 12
"""FTRACE_HASH_MAX_BITS."""

GOLDEN_RATIO_64 = 0x61C8864680B583EB
"""What ftrace_ops_test multiplies a site by, too. Source: include/linux/hash.h."""


def size_bits_for(count: int) -> int:
    """Return log2 of the number of buckets for ``count`` sites: about one for two."""
    return min((count // 2).bit_length(), MAX_BITS)


def bucket_of(ip: int, size_bits: int) -> int:
    """Return the bucket that a site belongs in: ftrace_hash_key."""
    return (ip * GOLDEN_RATIO_64 & (1 << 64) - 1) >> 64 - size_bits if size_bits else 0


def block_size(count: int) -> int:
    """Return the bytes of a table of ``count`` sites with its buckets and entries."""
    return FTRACE_HASH.size + (8 << size_bits_for(count)) + FTRACE_FUNC_ENTRY.size * count


def places(address: int, count: int) -> tuple[int, range]:
    """Return where the buckets and the entries of the table at ``address`` are."""
    buckets = address + FTRACE_HASH.size
    entries = buckets + (8 << size_bits_for(count))
    return buckets, range(entries, entries + FTRACE_FUNC_ENTRY.size * count, FTRACE_FUNC_ENTRY.size)


def sites_in(table: int, load: Callable[[int], int]) -> list[int]:
    """Return the sites in the table at address ``table``, 0 for those struck out; ``load`` reads a u64."""
    count = load(table + FTRACE_HASH.offset("count")) if table else 0
    return [load(entry + FTRACE_FUNC_ENTRY.offset("ip")) for entry in places(table, count)[1]]
