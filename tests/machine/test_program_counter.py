"""Unicorn's flag "the program counter is in sync" is found, and changes nothing but the time a run takes."""

from __future__ import annotations

import ctypes

import pytest

from emu.arch import port_named
from emu.lab.machine import Machine
from emu.machine import program_counter, virtual_cpu
from emu.machine.program_counter import synced_flag
from emu.machine.registers import new_cpu, register_number

NOPS = {"x86_64": bytes.fromhex("9090"), "arm64": bytes.fromhex("1f2003d5") * 2}
BASE = 0x10000


@pytest.mark.parametrize("arch", NOPS)
class TestSyncedFlag:
    def test_writing_the_program_counter_sets_it_and_a_run_clears_it(self, arch: str) -> None:
        port = port_named(arch)
        uc, pc = new_cpu(port), register_number(port, port.registers.pc)
        uc.mem_map(BASE, 0x1000)
        uc.mem_write(BASE, NOPS[arch])
        address = synced_flag(uc, pc)
        assert address
        flag = ctypes.c_uint8.from_address(address)
        assert flag.value == 0
        uc.reg_write(pc, BASE)
        assert flag.value == 1
        uc.emu_start(BASE, 0, count=1)
        assert flag.value == 0

    def test_there_is_none_where_the_c_library_does_not_tell_sizes(
        self, arch: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(program_counter, "_allocated", lambda _block: 0)
        port = port_named(arch)
        assert synced_flag(new_cpu(port), register_number(port, port.registers.pc)) == 0

    @pytest.mark.parametrize("timing", [True, False])
    def test_a_run_is_the_same_without_it(
        self, arch: str, timing: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with_flag = _digest(arch, timing)
        monkeypatch.setattr(virtual_cpu, "synced_flag", lambda _uc, _pc: 0)
        assert _digest(arch, timing) == with_flag


def _digest(arch: str, timing: bool) -> object:
    model = {"x86_64": "zen4", "arm64": "neoverse-n1"}[arch] if timing else "off"
    machine = Machine(arch=arch, cpus=2, timing=model, mode="exact", seed=3)
    patch = machine.livepatch.enable("livepatch-mini")
    machine.run(until=patch.settled)
    machine.run(instructions=20_000)
    meta = machine.finish().meta
    return meta["digest"], meta["cycles"]
