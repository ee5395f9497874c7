"""What klpemu needs to know about a port, as data and small functions.

Generic code never compares a port's name: where ports differ, each supplies a
value or a function here under the same name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emu.arch.memory_order import MemoryOrder
from emu.arch.probing import Probing
from emu.arch.tracing import Tracing
from emu.structs import Struct


@dataclass(frozen=True, slots=True, kw_only=True)
class EntrySite:
    """How a traced function's entry is switched on and off.

    Args:
        poke_size: bytes that a poke rewrites at the poke address.
        poke_offset: from the ``__mcount_loc`` address to the poke address, bytes.
        nop: the off state of those bytes.
        nops: matches a run of whole NOP instructions, in any of their forms: what compilers leave at sites.
        prologue: bytes that ``ftrace_init`` writes at the ``__mcount_loc`` address
            before the poke address, once (arm64: ``MOV X9, LR``); empty elsewhere.
        reach: furthest distance of a direct call, bytes either way.
        landing_pads: byte strings that may stand between a function's address and its site.
        body_offset: from the ``__mcount_loc`` address to the instruction behind the site, bytes.
    """

    poke_size: int
    poke_offset: int
    nop: bytes
    nops: re.Pattern[bytes]
    prologue: bytes
    reach: int
    landing_pads: tuple[bytes, ...]
    body_offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Registers:
    """Register names as the engine's binding and the guest ABI know them.

    Args:
        pc, sp, result: Capstone/Unicorn names.
        link: the same, of the register that holds the return address; "" where that is on the stack.
        args: integer argument registers, in order.
        all: every general register, for reports.
    """

    pc: str
    sp: str
    result: str
    link: str
    args: tuple[str, ...]
    all: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A processor architecture that klpemu runs kernels-in-miniature of.

    Args:
        name: as on the command line.
        description: one line for people.
        machine: ELF ``e_machine`` name as pyelftools prints it.
        registers: names.
        pt_regs: layout of a saved register frame; also of ``ftrace_regs``.
        switch_frame: what ``__switch_to`` leaves on the stack of a task.
        switch_return: member of ``switch_frame`` that holds where the task resumes.
        site: entry site facts.
        trap: one trap instruction (int3 / brk): fills freed text.
        stub_names: symbols that a call at an entry site may name.
        encode_call: (site, target) -> bytes of a direct call, ``OutOfReachError`` when too far.
        call_target: (site, bytes) -> target of a direct call, or None if it is not one.
        text_is_coherent: stores reach every CPU's instruction fetch without cache maintenance
            (x86-64 yes; arm64 needs DC CVAU and IC IVAU).
        serialising: mnemonics after which a CPU fetches instructions anew.
        shadowing: mnemonics behind which one more instruction runs before an interrupt is taken.
        halting: mnemonics that stop a CPU until an interrupt.
        memory_order: which orderings it can be run under, and its fences.
        equates: assembler constants of this port.
        tracing: how ftrace is wired: text pokes, private trampolines, PLT entries.
        probing: how kprobes are taken.
        operations: an instruction that takes the time of an operation of an installation, by the operation's
            or barrier's name; one that is not there takes none. Its address register does not matter.
    """

    name: str
    description: str
    machine: str
    registers: Registers
    pt_regs: Struct
    switch_frame: Struct
    switch_return: str
    site: EntrySite
    trap: bytes
    stub_names: tuple[str, ...]
    encode_call: Callable[[int, int], bytes]
    call_target: Callable[[int, bytes], int | None]
    text_is_coherent: bool
    serialising: frozenset[str]
    halting: frozenset[str]
    shadowing: frozenset[str]
    memory_order: MemoryOrder
    equates: dict[str, int]
    tracing: Tracing
    probing: Probing
    operations: dict[str, bytes]

    def trap_fill(self, size: int) -> NDArray[np.uint8]:
        """Return ``size`` bytes of trap instructions, shape ``(size,)``, uint8."""
        return np.resize(np.frombuffer(self.trap, np.uint8), size)
