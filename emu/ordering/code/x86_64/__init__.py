"""x86-64 instructions for litmus tests."""

from emu.ordering.code.x86_64.compile import compile_instruction, normal

__all__ = ["compile_instruction", "normal"]
