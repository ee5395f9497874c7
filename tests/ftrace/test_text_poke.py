"""The steps of a text poke: their order, and a name for each."""

from __future__ import annotations

import struct

import pytest

from emu.arch import PORTS, Port
from emu.arch.tracing import Poke, StepKind
from emu.ftrace import OpsFlags, step_names
from emu.machine.operations import Operation, OpKind
from tests.synthetic import Kernel

X86, ARM = PORTS["x86_64"], PORTS["arm64"]
TEXT = (OpKind.TEXT_STORE, OpKind.SYNC, OpKind.ATOMIC_ADD)
CACHE = (OpKind.CACHE_CLEAN, OpKind.CACHE_INVALIDATE, OpKind.BARRIER)


def poked(kernel: Kernel, *names: str) -> list[Operation]:
    """Register a lone handler on functions and return the operations."""
    ops = kernel.ops(OpsFlags.DYNAMIC)
    for name in names:
        assert kernel.ftrace.ftrace_set_filter_ip(ops, kernel.address(name)) == 0
    kernel.player.operations.clear()
    assert kernel.ftrace.register_ftrace_function(ops) == 0
    return kernel.player.operations


class TestX86:
    """int3, sync, tail, sync, first byte, sync."""

    def test_two_sites_are_poked_in_one_batch(self) -> None:
        kernel = Kernel(X86)
        operations = poked(kernel, "mini_leaf", "cmdline_proc_show")
        names = [o.what for o in operations if o.kind in TEXT]
        batch = ["int3"] * 2 + ["sync after int3"] + ["tail"] * 2 + ["sync after tail"]
        batch += ["first byte"] * 2 + ["sync after first byte", "bp_desc release"]
        assert names[-len(batch) :] == batch

    def test_entries_are_sorted_complete_and_published_before_the_first_int3(self) -> None:
        kernel = Kernel(X86)
        desc = kernel.address("bp_desc")
        seen: list[tuple[int, ...]] = []

        def note(operation: Operation) -> None:
            if operation.what == "int3":
                seen.append(struct.unpack("<8Q", kernel.memory.read(desc, 64)))

        kernel.player.on_operation = note
        poked(kernel, "mini_leaf", "cmdline_proc_show")
        refs, count, first, kind, target, second, _, _ = seen[-1]
        assert (refs, count, kind) == (1, 2, 1)
        assert [first, second] == sorted([kernel.site("mini_leaf"), kernel.site("cmdline_proc_show")])
        assert target == kernel.called(first)
        assert kernel.memory.load(desc) == 0

    def test_a_full_table_is_played_before_the_next_site(self) -> None:
        kernel = Kernel(X86)  # its bp_desc has room for three
        operations = poked(kernel, "mini_leaf", "cmdline_proc_show", "meminfo_proc_show", "mini_nested")
        counts = [o.value for o in operations if o.what == "bp_desc nr_entries"]
        assert counts[-2:] == [3, 1]

    def test_entries_stay_until_no_handler_looks_at_them(self) -> None:
        kernel = Kernel(X86)
        desc = kernel.address("bp_desc")

        def handler(operation: Operation) -> None:
            if operation.what == "sync after first byte":  # a handler comes and takes a reference
                kernel.memory.store(desc, 2)
            if operation.kind is OpKind.WAIT:  # and goes
                kernel.memory.store(desc, 0)

        kernel.player.on_operation = handler
        operations = poked(kernel, "mini_leaf")
        waits = [o.what for o in operations if o.kind is OpKind.WAIT]
        assert set(waits) == {"bp_desc wait"}

    def test_kinds_follow_the_new_instruction(self) -> None:
        site = 0x0100_0000
        for data, kind, target in (
            (X86.site.nop, 0, 0),
            (X86.encode_call(site, 0x0100_2000), 1, 0x0100_2000),
            (b"\xe9" + struct.pack("<i", 0x10), 2, site + 0x15),
        ):
            steps = X86.tracing.poke_steps([Poke(address=site, data=data)], 0x2000_0000)
            words = [int.from_bytes(s.data, "little") for s in steps if s.what == "bp_desc entry"]
            assert words == [site, kind, target]

    def test_an_int3_stays_one(self) -> None:
        steps = X86.tracing.poke_steps([Poke(address=0x0100_0000, data=b"\xcc")], 0x2000_0000)
        assert [s.what for s in steps if s.kind in (StepKind.TEXT_STORE, StepKind.SYNC)] == [
            "int3",
            "sync after int3",
        ]


class TestArm64:
    """One word, then the maintenance that makes every CPU fetch it."""

    def test_each_site_is_one_store_and_its_maintenance(self) -> None:
        kernel = Kernel(ARM)
        operations = poked(kernel, "mini_leaf")
        names = [o.what for o in operations if o.kind in TEXT + CACHE]
        one = ["bl", "dc cvau", "dsb after dc", "ic ivau", "dsb after ic", "isb", "sync after poke"]
        assert names[-len(one) :] == one

    def test_the_ops_literal_is_stored_before_the_bl(self) -> None:
        kernel = Kernel(ARM, call_ops=True)
        operations = poked(kernel, "mini_landing")
        stores = [o for o in operations if o.what in ("ops literal", "bl")]
        assert [o.what for o in stores] == ["ops literal", "bl"]
        assert stores[0].address == kernel.address("mini_landing") - 8

    def test_a_site_off_carries_the_ops_that_do_nothing(self) -> None:
        kernel = Kernel(ARM, call_ops=True)
        literal = kernel.memory.load(kernel.address("mini_leaf") - 8)
        assert kernel.ftrace.ops(literal).func == kernel.address("ftrace_stub")


@pytest.mark.parametrize("port", PORTS.values(), ids=lambda port: port.name)
def test_every_step_has_an_entry_in_the_table(port: Port) -> None:
    kernel = Kernel(port, call_ops=port is ARM)
    operations = [*kernel.player.operations, *poked(kernel, "mini_leaf")]
    kinds = (OpKind.TEXT_STORE, OpKind.CACHE_CLEAN, OpKind.CACHE_INVALIDATE)
    names = {o.what for o in operations if o.kind in kinds} | {
        o.what for o in operations if o.kind is OpKind.SYNC and o.what != "ftrace_sync_ipi"
    }
    assert names <= set(step_names(port))


@pytest.mark.parametrize("port", PORTS.values(), ids=lambda port: port.name)
def test_boot_needs_no_protocol_and_one_sync(port: Port) -> None:
    kernel = Kernel(port)
    before_module = [o.what for o in kernel.player.operations if o.kind in TEXT]
    assert set(before_module) == {"early", "sync after early"}
    assert before_module.count("sync after early") == 2  # vmlinux, the module
