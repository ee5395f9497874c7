"""x86-64 instructions for litmus tests."""

from emu.ordering.code.x86_64.compile import (
    ATOMIC_LINE,
    compile_instruction,
    is_restricted,
    label_taken,
    normal,
    register_name,
    undefined,
)

__all__ = [
    "ATOMIC_LINE",
    "compile_instruction",
    "is_restricted",
    "label_taken",
    "normal",
    "register_name",
    "undefined",
]
