"""Proves that a decoded x86-64 instruction means what the statement says."""

from __future__ import annotations

from dataclasses import replace

from emu.build.asm.operands import Immediate, Memory, Operand, Register
from emu.build.asm.x86_64_names import ALIASES, BRANCHES, REGISTER_SIZES, STRINGS

_REFUSED = {
    "iret": "Keystone gives the 16-bit form; write iretq",
    "pushf": "Keystone gives the 16-bit form; write pushfq",
    "popf": "Keystone gives the 16-bit form; write popfq",
}
_BYTE_COUNT = frozenset(
    [
        "shl",
        "shr",
        "sar",
        "rol",
        "ror",
        "rcl",
        "rcr",
        "shld",
        "shrd",
        "bt",
        "bts",
        "btr",
        "btc",
        "int",
        "in",
        "out",
    ]
)
"""Their immediate is 8 bits wide whatever the other operands are."""

_SIZELESS = frozenset(
    [
        "lea",
        "invlpg",
        "lgdt",
        "lidt",
        "sgdt",
        "sidt",
        "fxsave",
        "fxrstor",
        "fxsave64",
        "fxrstor64",
        "clflush",
        "cmpxchg8b",
        "cmpxchg16b",
        "ldmxcsr",
        "stmxcsr",
        "prefetcht0",
        "prefetcht1",
        "prefetcht2",
        "prefetchnta",
        "prefetchw",
    ]
)
"""Their memory operand has one size only, or none that matters."""

_LOCKABLE = frozenset(  # Intel SDM vol. 2A, LOCK
    [
        "add",
        "adc",
        "and",
        "btc",
        "btr",
        "bts",
        "cmpxchg",
        "cmpxchg8b",
        "cmpxchg16b",
        "dec",
        "inc",
        "neg",
        "not",
        "or",
        "sbb",
        "sub",
        "xor",
        "xadd",
        "xchg",
    ]
)
_SYMMETRIC = frozenset({"xchg", "test"})


def is_branch(mnemonic: str) -> bool:
    """Return whether the operand of ``mnemonic`` may be a label."""
    return mnemonic in BRANCHES


def _plain(mnemonic: str) -> str:
    prefix, _, name = mnemonic.rpartition(" ")
    prefix = {"repz": "repe", "repnz": "repne"}.get(prefix, prefix)
    return f"{prefix} {ALIASES.get(name, name)}".strip()


def mismatch(
    mnemonic: str,
    operands: tuple[Operand, ...],
    found_mnemonic: str,
    found: tuple[Operand, ...],
    code: bytes,
    end: int,
) -> str | None:
    """Return why the bytes do not mean the statement; see `emu.build.dialect.Mismatch`."""
    wanted, got = _plain(mnemonic), _plain(found_mnemonic)
    name = wanted.rpartition(" ")[2]
    if wanted in _REFUSED:
        return _REFUSED[wanted]
    if why := _bad_prefix(wanted, name, operands):
        return why
    if name == "nop" and operands:
        return "Keystone gives a prefetch hint for a NOP with an operand"
    if wanted.startswith("rep ") and got == "repe " + name:
        got = wanted
    if wanted != got:
        return f"the mnemonic is {got!r}"
    if mnemonic == "movabs" and any(isinstance(operand, Memory) for operand in operands):
        return "an absolute address is written [number] with mov"
    if name in STRINGS and not operands:
        return _stray_size_prefix(name, operands, code)
    if len(operands) == 1 and len(found) == 2 and found[1] == Immediate(1) and name in _BYTE_COUNT:
        operands = (*operands, Immediate(1))  # SAR rax is SAR rax, 1
    if len(operands) != len(found):
        return f"it has {len(found)} operands, not {len(operands)}"
    if name in _SYMMETRIC and not _same_place(operands[0], found[0], end):
        found = found[::-1]
    for place, (want, have) in enumerate(zip(operands, found, strict=True), 1):
        if why := _operand(name, want, have, operands, end):
            return f"operand {place} {why}"
    return _stray_size_prefix(name, operands, code)


def _bad_prefix(wanted: str, name: str, operands: tuple[Operand, ...]) -> str | None:
    if wanted == "int" and operands == (Immediate(3),):
        return "GNU as gives int3 for it; write int3"
    if wanted.startswith("rep") and wanted != name and name not in STRINGS:
        return "only string instructions take a rep prefix"
    if not wanted.startswith("lock "):
        return None
    places = operands if name == "xchg" else operands[:1]
    if name in _LOCKABLE and any(isinstance(place, Memory) for place in places):
        return None
    return "it raises #UD: lock needs a read-modify-write of memory"


def _same_place(want: Operand, have: Operand, end: int) -> bool:
    if isinstance(want, Memory) and isinstance(have, Memory):
        return True
    return want == have


def _operand(
    name: str, want: Operand, have: Operand, all_wanted: tuple[Operand, ...], end: int
) -> str | None:
    if isinstance(want, Immediate) and isinstance(have, Immediate):
        width = _immediate_width(name, all_wanted)
        low = 0 if name in _BYTE_COUNT else -(1 << width - 1)
        if not low <= want.value < 1 << width:
            return f"does not fit {width} bits"
        if (want.value - have.value) % (1 << width):
            return f"is {have.value:#x}, not {want.value:#x}"
        return None
    if isinstance(want, Memory) and isinstance(have, Memory):
        return _memory(name, want, have, all_wanted, end)
    return None if want == have else "is another one"


def _immediate_width(name: str, operands: tuple[Operand, ...]) -> int:
    if name in _BYTE_COUNT:
        return 8
    if name == "ret":
        return 16
    if is_branch(name) or name == "push":
        return 64
    first = operands[0]
    if isinstance(first, Register):
        return 8 * REGISTER_SIZES[first.name]
    if isinstance(first, Memory) and first.size:
        return 8 * first.size
    return 64


def _memory(name: str, want: Memory, have: Memory, operands: tuple[Operand, ...], end: int) -> str | None:
    if have.base == "rip":
        have = replace(have, offset=have.offset + end)
        if want.base != "rip":
            return "is relative to rip"
    if have.index in ("riz", "eiz") or have.base in ("riz", "eiz"):
        return "has no index where one was written"
    if (want.segment, want.base, want.index, want.scale) != (
        have.segment, have.base, have.index, have.scale,
    ):  # fmt: skip
        return "has another segment, base, index or scale"
    if (want.offset - have.offset) % 2**64:
        return f"has the offset {have.offset:#x}, not {want.offset:#x}"
    if want.size:
        return None if want.size == have.size else f"has {have.size} bytes, not {want.size}"
    if name in _SIZELESS:
        return None
    if name in ("jmp", "call") and have.size == 8:
        return None
    sizes = {REGISTER_SIZES[other.name] for other in operands if isinstance(other, Register)}
    return None if sizes == {have.size} else "has no size; write byte, word, dword or qword ptr"


def _stray_size_prefix(name: str, operands: tuple[Operand, ...], code: bytes) -> str | None:
    """Catch the 16-bit form of an instruction that names nothing of 16 bits (``push 0x80000000``)."""
    at = 0
    while code[at] in b"\xf0\xf2\xf3\x2e\x36\x3e\x26\x64\x65\x67":
        at += 1
    if code[at] != 0x66 or name in STRINGS:
        return None
    for operand in operands:
        if isinstance(operand, Register) and REGISTER_SIZES[operand.name] in (2, 16):
            return None
        if isinstance(operand, Memory) and operand.size in (2, 16):
            return None
    return "it has 16-bit operands"
