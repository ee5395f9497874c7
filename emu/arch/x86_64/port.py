"""x86-64: registers, frames, entry sites, encodings."""

from __future__ import annotations

import re
import struct

from emu.arch.errors import OutOfReachError
from emu.arch.memory_order import MemoryOrder
from emu.arch.port import EntrySite, Port, Registers
from emu.arch.probing import ON_EVERY_PORT, Probing
from emu.arch.tracing import Tracing
from emu.arch.x86_64 import poke, trampoline
from emu.arch.x86_64.fences import is_fence
from emu.structs import Member, Struct

NOPS = re.compile(
    rb"(?:[\x66\x2e]*(?:\x90|\x0f\x1f(?:\x00|\x40.|\x44\x00.|\x80.{4}|\x84\x00.{4})))*", re.DOTALL
)
"""Intel SDM vol. 2B, NOP: 90 and 0F 1F /0 with any displacement (clang: 0f 1f 44 00 08), prefixed or not."""

CALL_REACH = 2**31
"""Bytes either way of CALL rel32. Source: Intel SDM vol. 2A, CALL."""


def encode_call(site: int, target: int) -> bytes:
    """Return the 5 bytes of ``CALL target`` at ``site``.

    >>> encode_call(0x1000, 0x2000).hex()
    'e8fb0f0000'
    """
    delta = target - (site + 5)
    if not -CALL_REACH <= delta < CALL_REACH:
        raise OutOfReachError(site, target, CALL_REACH)
    return b"\xe8" + struct.pack("<i", delta)


def call_target(site: int, code: bytes) -> int | None:
    """Return what the 5-byte CALL in ``code`` at ``site`` calls, or None if it is no CALL."""
    if len(code) < 5 or code[0] != 0xE8:
        return None
    return int(site + 5 + struct.unpack_from("<i", code, 1)[0])


_PT_REGS_ORDER = "r15 r14 r13 r12 bp bx r11 r10 r9 r8 ax cx dx si di orig_ax ip cs flags sp ss"

PT_REGS = Struct(  # Source: arch/x86/include/asm/ptrace.h, struct pt_regs
    "pt_regs",
    size=0xA8,
    prefix="PTREGS",
    members={name: Member(8 * i, "<u8", f"saved {name}") for i, name in enumerate(_PT_REGS_ORDER.split())},
)

SWITCH_FRAME = Struct(
    "inactive_task_frame",
    size=0x38,
    prefix="SWITCH_FRAME",
    members={
        name: Member(8 * i, "<u8", f"saved {name}")
        for i, name in enumerate(("r15", "r14", "r13", "r12", "bx", "bp", "ret_addr"))
    },
)

X86_64 = Port(
    name="x86_64",
    description="call __fentry__ at entry, INT3 text pokes, per-ops trampolines",
    machine="EM_X86_64",
    registers=Registers(
        pc="rip",
        sp="rsp",
        result="rax",
        link="",
        args=("rdi", "rsi", "rdx", "rcx", "r8", "r9"),  # System V psABI, section 3.2.3
        all=(
            "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp",
            "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip", "eflags",
        ),
    ),
    pt_regs=PT_REGS,
    switch_frame=SWITCH_FRAME,
    switch_return="ret_addr",
    site=EntrySite(
        poke_size=5,
        poke_offset=0,
        nop=bytes.fromhex("0f1f440000"),  # Intel SDM vol. 2B, NOP, recommended 5-byte form
        nops=NOPS,
        prologue=b"",
        reach=CALL_REACH,
        landing_pads=(bytes.fromhex("f30f1efa"),),  # ENDBR64
        body_offset=5,
    ),
    trap=b"\xcc",
    stub_names=("__fentry__", "mcount"),
    encode_call=encode_call,
    call_target=call_target,
    text_is_coherent=True,
    serialising=frozenset({"iretq", "cpuid"}),  # Source: Intel SDM vol. 3A, 9.3
    halting=frozenset({"hlt"}),
    shadowing=frozenset({"sti"}),  # Source: Intel SDM vol. 2B, STI
    memory_order=MemoryOrder(own="tso", allowed=("sc", "tso"), is_fence=is_fence),
    equates={"FLAGS_IF": 0x200, "KERNEL_CS": 0x8, "KERNEL_DS": 0x10},
    tracing=Tracing(
        poke_steps=poke.poke_steps,
        early_steps=poke.early_steps,
        step_names=poke.STEP_NAMES,
        shield="bp_desc",
        shield_header=16,
        shield_entry=24,
        trampoline_size=trampoline.trampoline_size,
        copy_trampoline=trampoline.copy_trampoline,
    ),
    probing=Probing(  # Source: arch/x86/kernel/kprobes/core.c (6.1)
        on_ftrace=True,
        breakpoint=poke.INT3,
        step_trap=poke.INT3,
        alignment=1,
        traps=frozenset({"ud2"}),
        unsteppable=re.compile(r".*\brip\b.*|(cli|sti|popfq?|pushfq?|hlt|in|out)\b.*"),
        blacklist=ON_EVERY_PORT | {
            "interrupt_common", "timer_interrupt", "reschedule_interrupt", "poke_int3_handler",
            "kprobe_int3_handler",
        },
    ),
    operations={
        "LOAD": bytes.fromhex("488b07"),  # mov rax, [rdi]
        "STORE": bytes.fromhex("488907"),  # mov [rdi], rax
        "ATOMIC_ADD": bytes.fromhex("f0480107"),  # lock add [rdi], rax
        "SET_BIT": bytes.fromhex("f0480907"),  # lock or [rdi], rax
        "CLEAR_BIT": bytes.fromhex("f0482107"),  # lock and [rdi], rax
        "TEXT_STORE": bytes.fromhex("8807"),  # mov [rdi], al
        "MB": bytes.fromhex("f083042400"),  # lock add dword ptr [rsp], 0; Source: asm/barrier.h, __smp_mb
    },
)  # fmt: skip
