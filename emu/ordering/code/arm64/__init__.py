"""A64 instructions for litmus tests."""

from emu.ordering.code.arm64.branches import undefined
from emu.ordering.code.arm64.compile import (
    compile_instruction,
    is_restricted,
    label_taken,
    normal,
    register_name,
)

__all__ = ["compile_instruction", "is_restricted", "label_taken", "normal", "register_name", "undefined"]
