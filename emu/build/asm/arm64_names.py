"""Names of the arm64 dialect: registers, conditions, and where a word is no symbol."""

from __future__ import annotations

REGISTERS = frozenset(
    {f"{kind}{n}" for kind in "xw" for n in range(31)}
    | {f"{kind}{n}" for kind in "vqdshb" for n in range(32)}
    | {"sp", "wsp", "xzr", "wzr"}
)

REGISTER_ALIASES = {"fp": "x29", "lr": "x30"}

_PLAIN = ("eq", "ne", "hs", "lo", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt", "gt", "le", "al", "nv")

CONDITIONS = {name: name for name in _PLAIN} | {"cs": "hs", "cc": "lo"}
"""Condition as written -> as the decoder prints it. Source: Arm ARM DDI 0487, C1.2.4."""

SHIFTS = frozenset(
    ["lsl", "lsr", "asr", "ror", "uxtb", "uxth", "uxtw", "uxtx", "sxtb", "sxth", "sxtw", "sxtx"]
)

RESERVED = REGISTERS | set(REGISTER_ALIASES) | SHIFTS | set(CONDITIONS) | {"ip0", "ip1", "wsp", "msl", "mul"}

KEYWORD_PLACES: dict[str, int] = {
    "mrs": 1, "msr": 0, "dc": 0, "ic": 0, "tlbi": 0, "at": 0, "prfm": 0, "dmb": 0, "dsb": 0, "isb": 0,
    "csel": 3, "csinc": 3, "csinv": 3, "csneg": 3, "cset": 1, "csetm": 1, "cinc": 2, "cinv": 2, "cneg": 2,
    "ccmp": 3, "ccmn": 3, "bti": 0,
}  # fmt: skip
"""By mnemonic, the place of the operand that is a word and no symbol."""

BRANCH_REACH: dict[str, int] = (
    {"b": 2**27, "bl": 2**27, "cbz": 2**20, "cbnz": 2**20, "tbz": 2**15, "tbnz": 2**15}
    | {f"b.{name}": 2**20 for name in CONDITIONS}
    | {f"b{name}": 2**20 for name in CONDITIONS}
    | {"adr": 2**20, "ldr": 2**20, "ldrsw": 2**20}
)
"""Bytes either way of a label operand. Source: Arm ARM DDI 0487, C6.2: imm26, imm19, imm14."""
