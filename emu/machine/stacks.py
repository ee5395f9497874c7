"""A native stack for each CPU, so that its turn can end inside Unicorn and go on from there.

Entering and leaving Unicorn costs as much as a dozen guest instructions. In exact mode a turn is often
one instruction, so each CPU enters it once, on a stack of its own, and a turn's end is a switch of stacks:
the hook before the next instruction gives way to the loop and comes back when it is the CPU's turn again.
A CPU that was changed meanwhile (``CPU_REENTER``) leaves Unicorn there and enters it again.

Where the host has no switch here (`SWITCHABLE`), CPUs have no stacks, and a turn's end leaves Unicorn.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from typing import Any, cast

import numba as nb
import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numpy.typing import NDArray

from emu.compiled import inline_jit, late_callback
from emu.machine.native import Words, call5, to_address, words
from emu.machine.state import (
    CPU_CTL,
    CPU_ENTRIES,
    CPU_ERROR,
    CPU_FRESH,
    CPU_LEFT,
    CPU_PC,
    CPU_REENTER,
    CPU_STACK,
    CPU_UC,
    CPU_WORDS,
    CTL_EMU_START,
    CTL_STACK,
    CTL_WORDS,
)  # fmt: skip

SWITCHABLE = sys.platform == "linux" and platform.machine() == "x86_64"
"""Whether CPUs can have stacks on this host."""
STACK_SIZE = 1 << 18
"""Bytes of a CPU's stack, without a guard page; some 10 KiB are used: Unicorn translates code on it, too."""
_SAVED = 6
"""Registers that a switch keeps on the stack. Source: System V ABI AMD64, 3.2.1."""
_SWITCH = """
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq (%rsi), %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    movq %rdx, %rdi
    popq %rcx
    jmpq *%rcx
"""
"""Save rsp at (rdi), take over the one at (rsi); rdx is the argument of what begins there.

A jump, not a RET, which the host would predict to go back to where the switch was called.
"""


if SWITCHABLE:
    # for code that is compiled against cached code with a switch in it, too: LLVM ends the process without
    binding.initialize_native_asmparser()


@nb.extending.intrinsic
def _switch_stack(typing_context: Any, leave: Any, enter: Any, argument: Any) -> Any:
    """Call ``void switch(leave, enter, argument)``; call nothing on a host without one."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        if not SWITCHABLE:
            return context.get_dummy_value()
        word = ir.IntType(64)
        kind = ir.FunctionType(ir.VoidType(), [word] * 3)
        switch = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
            builder.module, kind, "klpemu_switch_stack"
        )
        if switch.is_declaration:
            switch.linkage = "linkonce_odr"
            switch.attributes.add("naked")
            switch.attributes.add("noinline")
            body = ir.IRBuilder(switch.append_basic_block())
            body.asm(ir.FunctionType(ir.VoidType(), []), _SWITCH, "", [], side_effect=True)
            body.unreachable()
        builder.call(switch, values)
        return context.get_dummy_value()

    word = types.int64
    return types.none(word, word, word), codegen


_switch = cast("Callable[[int, int, int], None]", _switch_stack)


@inline_jit
def enter_cpu(ctl: Words, cpu: Words) -> None:
    """The loop's side: let a CPU run until it gives way."""
    _switch(ctl.ctypes.data + 8 * CTL_STACK, cpu.ctypes.data + 8 * CPU_STACK, cpu.ctypes.data)


@inline_jit
def give_way(ctl: Words, cpu: Words) -> None:
    """The CPU's side: let the loop go on until it is this CPU's turn again."""
    _switch(cpu.ctypes.data + 8 * CPU_STACK, ctl.ctypes.data + 8 * CTL_STACK, 0)


@late_callback(types.void(types.voidptr))
def run_on_stack(block):  # type: ignore[no-untyped-def]
    """What a CPU's stack begins with: enter Unicorn for ever."""
    cpu = words(to_address(block), CPU_WORDS)
    ctl = words(cpu[CPU_CTL], CTL_WORDS)
    while True:
        cpu[CPU_LEFT] = 0
        cpu[CPU_REENTER] = 0
        cpu[CPU_FRESH] = 1
        cpu[CPU_ENTRIES] += 1
        cpu[CPU_ERROR] = call5(ctl[CTL_EMU_START], cpu[CPU_UC], cpu[CPU_PC], 0, 0, 0)
        if cpu[CPU_LEFT] == 0:
            give_way(ctl, cpu)


class Stacks:
    """The stacks of a machine's CPUs.

    Args:
        blocks: CPU blocks, int64, shape ``(cpus, CPU_WORDS)``.

    Attributes:
        memory: int64, shape ``(cpus, STACK_SIZE // 8)``; stacks grow down from the end of each row.
    """

    def __init__(self, blocks: NDArray[np.int64]) -> None:
        self.memory = np.zeros((len(blocks), STACK_SIZE // 8), np.int64)
        for block, stack in zip(blocks, self.memory, strict=True):
            begin = len(stack) - 2 - (stack.ctypes.data // 8 + len(stack)) % 2  # rsp as behind a CALL
            stack[begin] = run_on_stack.address
            block[CPU_STACK] = stack.ctypes.data + 8 * (begin - _SAVED)
