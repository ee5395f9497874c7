"""x86-64: which instructions let every earlier store become visible before they are done."""

from __future__ import annotations

_FENCES = frozenset({"mfence", "xchg", "cmpxchg", "cmpxchg8b", "cmpxchg16b"})
"""MFENCE; XCHG with memory is locked unasked (Intel SDM vol. 3A, 9.1.2.1).

CMPXCHG without a prefix is no fence; it is taken for one as the engine tells of a store when it fails, too.
"""

_SERIALISING = frozenset({
    "cpuid", "iretq", "iretd", "iret", "rsm", "serialize", "invd", "wbinvd", "invlpg", "lgdt", "lidt", "lldt",
    "ltr", "wrmsr",
})  # fmt: skip
"""Intel SDM vol. 3A, 9.3; MOV to a control or debug register as well."""

_PORTS = frozenset({"in", "out", "insb", "insd", "insw", "outsb", "outsd", "outsw"})
"""I/O instructions drain the store buffer. Source: Intel SDM vol. 3A, 12.10, "Store Buffer"."""


def is_fence(mnemonic: str, operands: str) -> bool:
    """Return whether all earlier stores have landed when the instruction is done.

    SFENCE and LFENCE are none: neither orders a store with a later load (Intel SDM vol. 2B, SFENCE; 2A,
    LFENCE), and stores and loads are kept in order among themselves anyway.

    >>> is_fence("lock add", "dword ptr [rsp], 0"), is_fence("xchg", "rax, rbx"), is_fence("sfence", "")
    (True, False, False)
    """
    if mnemonic.startswith(("lock ", "xacquire lock ", "xrelease lock ")):
        return True
    if mnemonic in _FENCES:
        return mnemonic == "mfence" or "[" in operands
    if mnemonic == "mov":
        return operands.startswith(("cr", "dr"))
    return mnemonic in _SERIALISING or mnemonic in _PORTS
