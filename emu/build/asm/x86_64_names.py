"""Names of the x86-64 dialect: registers, operand sizes, prefixes, condition codes."""

from __future__ import annotations

_LEGACY = ["ax", "bx", "cx", "dx", "si", "di", "bp", "sp"]

REGISTER_SIZES: dict[str, int] = (
    {"r" + name: 8 for name in _LEGACY}
    | {"e" + name: 4 for name in _LEGACY}
    | dict.fromkeys(_LEGACY, 2)
    | dict.fromkeys(["al", "bl", "cl", "dl", "ah", "bh", "ch", "dh", "sil", "dil", "bpl", "spl"], 1)
    | {f"r{n}{end}": size for n in range(8, 16) for end, size in (("", 8), ("d", 4), ("w", 2), ("b", 1))}
    | {f"xmm{n}": 16 for n in range(16)}
    | dict.fromkeys(["cs", "ds", "es", "fs", "gs", "ss"], 2)
    | {f"cr{n}": 8 for n in (0, 2, 3, 4, 8)}
    | {f"dr{n}": 8 for n in range(8)}
)  # fmt: skip
"""Bytes of each register that an operand may name."""

RESERVED = frozenset(REGISTER_SIZES) | {
    "rip", "eip", "riz", "eiz", "st", "ptr", "byte", "word", "dword", "qword", "xmmword", "offset", "short",
    "near", "far", "and", "or", "xor", "not", "shl", "shr", "mod", "eq", "ne", "lt", "le", "gt", "ge",
    "flat", "tbyte", "fword", "oword", "ymmword", "zmmword",
}  # fmt: skip
"""Words that mean something to an assembler in Intel syntax: no label or equate has one as its name."""

SEGMENTS = frozenset(["cs", "ds", "es", "fs", "gs", "ss"])

POINTER_SIZES = {"byte": 1, "word": 2, "dword": 4, "qword": 8, "xmmword": 16}

PREFIXES = frozenset({"lock", "rep", "repe", "repz", "repne", "repnz"})

REFUSED = (
    frozenset({"data16", "data32", "addr16", "addr32", "rex64", "xacquire", "xrelease", "bnd", "notrack"})
    | SEGMENTS
)
"""Prefixes that Keystone takes for instructions: with an operand behind them it never returns."""

_CONDITIONS = {
    "z": "e", "nz": "ne", "c": "b", "nae": "b", "nc": "ae", "nb": "ae", "na": "be", "nbe": "a",
    "pe": "p", "po": "np", "nge": "l", "nl": "ge", "ng": "le", "nle": "g",
}  # fmt: skip

ALIASES: dict[str, str] = {
    stem + other: stem + name for stem in ("j", "set", "cmov") for other, name in _CONDITIONS.items()
} | {
    "sal": "shl",
    "movabs": "mov",  # the decoder's word for MOV r64, imm64; memory forms are refused
    "repz cmpsb": "repe cmpsb",
    "repnz scasb": "repne scasb",
}
"""Other spellings of one instruction. Source: Intel SDM vol. 2, Jcc, SETcc, CMOVcc, SAL."""

BRANCHES = frozenset(
    {"jmp", "call", "loop", "loope", "loopne", "jrcxz", "jecxz"}
    | {
        "j" + name
        for name in ["o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g"]
    }
    | {name for name in ALIASES if name.startswith("j")}
)
"""Mnemonics whose operand may be a label."""

SHORT_JUMPS = frozenset({"loop", "loope", "loopne", "jrcxz", "jecxz"})
"""Jumps that reach 128 bytes: their targets are labels of their own file."""

STRINGS = frozenset(
    stem + suffix for stem in ("movs", "stos", "lods", "scas", "cmps", "ins", "outs") for suffix in "bwdq"
) | {"xlatb"}
"""Written without operands: with them, Keystone writes warnings to the terminal."""
