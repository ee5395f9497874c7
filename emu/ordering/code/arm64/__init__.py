"""A64 instructions for litmus tests."""

from emu.ordering.code.arm64.branches import undefined
from emu.ordering.code.arm64.compile import (
    ATOMIC_LINE,
    compile_instruction,
    is_restricted,
    label_taken,
    normal,
    register_name,
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
