"""The function that each kernel is put into."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kernel:
    """A loop body with what it needs: ``group`` is dispatch, call, memory, lock or alu."""

    group: str
    body: str
    setup: str = ""
    functions: str = ""


def source(kernel: Kernel) -> str:
    """Return the assembly of a kernel: r15 counts, r14 = rsi = scratch."""
    return f"""
    .intel_syntax noprefix
    .text
    .globl kernel
kernel:
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    mov r15, rdi
    mov r14, rsi
    {kernel.setup}
    .p2align 6
loop_top:
    {kernel.body}
    dec r15
    jnz loop_top
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret
{kernel.functions}
"""
