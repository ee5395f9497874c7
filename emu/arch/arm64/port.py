"""arm64: registers, frames, entry sites, encodings."""

from __future__ import annotations

import re
import struct

from emu.arch.arm64 import poke, trampoline
from emu.arch.errors import OutOfReachError
from emu.arch.memory_order import MemoryOrder
from emu.arch.port import EntrySite, Port, Registers
from emu.arch.probing import ON_EVERY_PORT, Probing
from emu.arch.tracing import Tracing
from emu.structs import Member, Struct

BL_REACH = 2**27
"""Bytes either way of BL. Source: Arm ARM DDI 0487, C6.2, BL: imm26 * 4."""

NOP = struct.pack("<I", 0xD503201F)
MOV_X9_LR = struct.pack("<I", 0xAA1E03E9)


def encode_call(site: int, target: int) -> bytes:
    """Return the 4 bytes of ``BL target`` at ``site``.

    >>> encode_call(0x1000, 0x2000).hex()
    '00040094'
    """
    delta = target - site
    if not -BL_REACH <= delta < BL_REACH:
        raise OutOfReachError(site, target, BL_REACH)
    assert delta % 4 == 0, "a BL target is 4-byte aligned"
    return struct.pack("<I", 0x94000000 | (delta >> 2) & 0x3FFFFFF)


def call_target(site: int, code: bytes) -> int | None:
    """Return what the BL in ``code`` at ``site`` calls, or None if it is no BL."""
    (word,) = struct.unpack_from("<I", code)
    if word >> 26 != 0b100101:
        return None
    imm26 = word & 0x3FFFFFF
    return int(site + 4 * (imm26 - (imm26 >> 25 << 26)))


PT_REGS = Struct(  # Source: arch/arm64/include/asm/ptrace.h, struct pt_regs (6.1), shortened
    "pt_regs",
    size=0x130,
    prefix="PTREGS",
    members={
        **{f"x{i}": Member(8 * i, "<u8", f"saved x{i}") for i in range(30)},
        "lr": Member(0xF0, "<u8", "saved x30"),
        "sp": Member(0xF8, "<u8", "stack pointer of the interrupted code"),
        "pc": Member(0x100, "<u8", "where to resume"),
        "pstate": Member(0x108, "<u8", "saved PSTATE"),
        "orig_x0": Member(0x110, "<u8", "x0 at syscall entry"),
        "stackframe": Member(0x120, "<u8", "frame record: fp, lr", 2),
    },
)

SWITCH_FRAME = Struct(
    "cpu_context",
    size=0x60,
    prefix="SWITCH_FRAME",
    members={
        name: Member(8 * i, "<u8", f"saved {name}")
        for i, name in enumerate([*(f"x{i}" for i in range(19, 29)), "fp", "lr"])
    },
)

ARM64 = Port(
    name="arm64",
    description="patchable entry (MOV X9, LR; BL), aligned text stores, optional CALL_OPS, module PLTs",
    machine="EM_AARCH64",
    registers=Registers(
        pc="pc",
        sp="sp",
        result="x0",
        link="x30",
        args=tuple(f"x{i}" for i in range(8)),  # AAPCS64, section 6.4
        all=(*(f"x{i}" for i in range(31)), "sp", "pc", "nzcv"),
    ),
    pt_regs=PT_REGS,
    switch_frame=SWITCH_FRAME,
    switch_return="lr",
    site=EntrySite(
        poke_size=4,
        poke_offset=4,
        nop=NOP,
        nops=re.compile(rb"(?:\x1f\x20\x03\xd5)*"),  # Arm ARM C6.2, NOP
        prologue=MOV_X9_LR,
        reach=BL_REACH,
        landing_pads=(bytes.fromhex("5f2403d5"),),  # BTI C = HINT #34
        body_offset=8,
    ),
    trap=struct.pack("<I", 0xD4200020),  # BRK #1
    stub_names=("_mcount", "mcount"),
    encode_call=encode_call,
    call_target=call_target,
    text_is_coherent=False,
    serialising=frozenset({"isb", "eret"}),  # Source: Arm ARM DDI 0487, context synchronization event
    halting=frozenset({"wfi"}),
    shadowing=frozenset(),
    memory_order=MemoryOrder(
        own="arm64", allowed=("sc", "tso", "arm64"), is_fence=lambda _mnemonic, _operands: False
    ),
    equates={"PSTATE_I": 0x80, "PSTATE_EL1H": 0x5},
    tracing=Tracing(
        poke_steps=poke.poke_steps,
        early_steps=poke.early_steps,
        step_names=poke.STEP_NAMES,
        plt_entry=trampoline.plt_entry,
        ops_literal=trampoline.ops_literal,
    ),
    probing=Probing(  # Source: arch/arm64/kernel/probes/decode-insn.c, include/asm/brk-imm.h (6.1)
        on_ftrace=False,
        breakpoint=struct.pack("<I", 0xD4200000 | 0x4 << 5),  # BRK #KPROBES_BRK_IMM
        step_trap=struct.pack("<I", 0xD4200000 | 0x6 << 5),  # BRK #KPROBES_BRK_SS_IMM
        alignment=4,
        traps=frozenset({"brk"}),
        unsteppable=re.compile(
            r"adrp?\b.*|(ldr|ldrsw|prfm) [^\[]*|(ldx|ldax|stx|stlx|msr|mrs|wf[ei])[a-z]*\b.*"
        ),
        exclusive=("ldx|ldax", "stx|stlx"),
        blacklist=ON_EVERY_PORT
        | {"kernel_entry", "kernel_exit", "irq_exit", "kprobe_breakpoint_handler"}
        | {"ftrace_caller_ops", "ftrace_regs_caller_ops"},
    ),
    operations={
        name: struct.pack("<I", word)
        for name, word in {
            "LOAD": 0xF9400020,  # ldr x0, [x1]
            "STORE": 0xF9000020,  # str x0, [x1]
            "ATOMIC_ADD": 0xF8E00022,  # ldaddal x0, x2, [x1]
            "SET_BIT": 0xF8203022,  # ldset x0, x2, [x1]
            "CLEAR_BIT": 0xF8201022,  # ldclr x0, x2, [x1]
            "TEXT_STORE": 0xB9000020,  # str w0, [x1]
            "CACHE_CLEAN": 0xD50B7B21,  # dc cvau, x1
            "CACHE_INVALIDATE": 0xD50B7521,  # ic ivau, x1
            "WMB": 0xD5033ABF,  # dmb ishst
            "RMB": 0xD50339BF,  # dmb ishld
            "MB": 0xD5033BBF,  # dmb ish
            "DSB": 0xD5033B9F,  # dsb ish
        }.items()
    },
)
