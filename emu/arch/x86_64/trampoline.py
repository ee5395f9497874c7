"""x86-64: the private copy of ftrace_caller that a lone ftrace_ops is called through."""

from __future__ import annotations

import struct

from emu.arch.tracing import Template

OP_REF = bytes.fromhex("488b15")
"""``mov rdx, [rip + disp32]`` up to its displacement: how a template loads the ops."""
OP_REF_SIZE = 7
CALL_SIZE = 5
RETURN = bytes.fromhex("c3cc000000")
"""RET and INT3 in the room that a JMP to a return thunk would take.

Source: arch/x86/kernel/ftrace.c, RET_SIZE with CONFIG_RETPOLINE (6.1), and the observed bytes.
"""


class TemplateError(AssertionError):
    """A template does not load its ops where its label says."""

    def __init__(self, found: bytes) -> None:
        super().__init__(
            f"the trampoline template has {found.hex()} at its op_ptr label, expected {OP_REF.hex()} "
            "(mov rdx, [rip + disp32]); move the label to that instruction"
        )
        self.found = found


def trampoline_size(code_size: int) -> int:
    """Return the bytes that a copy takes: code, return, ops pointer."""
    return code_size + len(RETURN) + 8


def copy_trampoline(template: Template, at: int, ops: int, func: int) -> bytes:
    """Return ``template`` as placed at ``at``: it loads ``ops`` from its own end and calls ``func``.

    The ops pointer follows the return without alignment, as in Linux.

    Source: arch/x86/kernel/ftrace.c, create_trampoline (6.1).
    """
    code = bytearray(template.code)
    found = bytes(code[template.op_ptr : template.op_ptr + len(OP_REF)])
    if found != OP_REF:
        raise TemplateError(found)
    pointer = len(code) + len(RETURN)
    struct.pack_into("<i", code, template.op_ptr + 3, pointer - (template.op_ptr + OP_REF_SIZE))
    code[template.call] = 0xE8
    struct.pack_into("<i", code, template.call + 1, func - (at + template.call + CALL_SIZE))
    return bytes(code) + RETURN + struct.pack("<Q", ops)
