"""A64 instructions for litmus tests."""

from emu.ordering.code.arm64.compile import compile_instruction, free_to_modify, normal

__all__ = ["compile_instruction", "free_to_modify", "normal"]
