"""x86-64 instructions for litmus tests."""

from emu.ordering.code.x86_64.compile import (
    compile_instruction,
    is_restricted,
    label_taken,
    normal,
    register_name,
    undefined,
)

__all__ = ["compile_instruction", "is_restricted", "label_taken", "normal", "register_name", "undefined"]
