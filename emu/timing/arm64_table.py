"""Which operands each arm64 instruction reads and writes, by mnemonic.

Source: Arm Architecture Reference Manual for A-profile (DDI 0487), C6 and C7. Memory operands are told by
`LOADS`, `STORES` and `ATOMICS`: mnemonic -> (bytes of one register or 0 = its width, registers transferred, bits).
"""

from __future__ import annotations

from emu.timing.layout import (
    F_ACQUIRE,
    F_DRAIN,
    F_FUSES,
    F_FUSION_HEAD,
    F_LOAD_BARRIER,
    F_MOVE,
    F_NOP,
    F_RELEASE,
    F_SERIAL,
    Branch,
    Detail,
)
from emu.timing.roles import Entry, table

_W_R = ("w", "r", "r", "r")
_R = ("r", "r", "r", "r")

PLAIN = table({
    "add sub and orr eor bic orn eon adr adrp movz movn mvn neg": Entry(access=_W_R, cost="alu"),
    "mov": Entry(access=_W_R, cost="alu", bits=F_MOVE),
    "movk": Entry(access=("rw", "r"), cost="alu"),
    "adds subs ands bics negs": Entry(access=_W_R, cost="alu_flags", flags="w", bits=F_FUSION_HEAD),
    "cmp cmn tst": Entry(access=_R, cost="alu_flags", flags="w", bits=F_FUSION_HEAD),
    "adc sbc ngc": Entry(access=_W_R, cost="alu_flags", flags="r"),
    "adcs sbcs ngcs": Entry(access=_W_R, cost="alu_flags", flags="rw"),
    "ccmp ccmn": Entry(access=_R, cost="alu_flags", flags="rw"),
    "csel csinc csinv csneg cset csetm cinc cinv cneg": Entry(access=_W_R, cost="alu_flags", flags="r"),
    "lsl lsr asr ror lslv lsrv asrv rorv": Entry(access=_W_R, cost="shift"),
    "ubfx sbfx ubfiz sbfiz ubfm sbfm uxtb uxth sxtb sxth sxtw": Entry(access=_W_R, cost="shift"),
    "bfi bfxil bfm bfc": Entry(access=("rw", "r"), cost="bitfield_insert"),
    "extr": Entry(access=_W_R, cost="extr"),
    "rev rev16 rev32 rev64 rbit clz cls": Entry(access=_W_R, cost="alu"),
    "mul mneg madd msub smull umull smaddl umaddl smsubl umsubl smnegl umnegl": Entry(access=_W_R, cost="mul"),
    "smulh umulh": Entry(access=_W_R, cost="mul_high"),
    "udiv sdiv": Entry(access=_W_R, cost="div", detail=Detail.QUOTIENT_BITS),
    "crc32b crc32h crc32w crc32x crc32cb crc32ch crc32cw crc32cx": Entry(access=_W_R, cost="crc32"),
    "b": Entry(access=("-",), cost="branch", branch=Branch.JUMP),
    "bl": Entry(access=("-",), cost="branch_link", writes=("x30",), branch=Branch.CALL),
    "br braa brab braaz brabz": Entry(access=_R, cost="branch", branch=Branch.INDIRECT),
    "blr blraa blrab blraaz blrabz": Entry(
        access=_R, cost="branch_link", writes=("x30",), branch=Branch.INDIRECT_CALL
    ),
    "ret retaa retab": Entry(access=_R, cost="branch", branch=Branch.RETURN),
    "cbz cbnz": Entry(access=("r", "-"), cost="branch", branch=Branch.CONDITIONAL),
    "tbz tbnz": Entry(access=("r", "-", "-"), cost="branch", branch=Branch.CONDITIONAL),
    "nop hint bti yield sev sevl wfe wfi psb tsb esb csdb": Entry(access=("-",), cost="nop", bits=F_NOP),
    "paciasp pacibsp autiasp autibsp paciaz pacibz autiaz autibz xpaclri pacia1716 autia1716 pacib1716 autib1716":
        Entry(access=(), cost="pac", reads=("x30",), writes=("x30",)),
    "pacia pacib autia autib pacda pacdb autda autdb paciza pacizb autiza autizb xpaci xpacd":
        Entry(access=("rw", "r"), cost="pac"),
    "dmb": Entry(access=("-",), cost="dmb", bits=F_LOAD_BARRIER),
    "dsb ssbb pssbb": Entry(access=("-",), cost="dsb", bits=F_DRAIN),
    "isb": Entry(access=("-",), cost="isb", bits=F_DRAIN | F_SERIAL),
    "sb": Entry(access=(), cost="isb", bits=F_DRAIN),
    "clrex": Entry(access=("-",), cost="nop"),
    "mrs": Entry(access=("w", "-"), cost="mrs"),
    "msr": Entry(access=("-", "r"), cost="msr"),
    "dc ic at tlbi sys": Entry(access=("r", "r"), cost="cache_maintenance"),
    "sysl": Entry(access=("w",), cost="mrs"),
    "svc hvc smc": Entry(access=("-",), cost="trap", bits=F_DRAIN),
    "brk udf hlt": Entry(access=("-",), cost="trap", bits=F_DRAIN),
    "eret eretaa eretab": Entry(access=(), cost="eret", bits=F_DRAIN | F_SERIAL, branch=Branch.OTHER),
    "cfinv rmif setf8 setf16": Entry(access=("r", "-", "-"), cost="alu_flags", flags="rw"),
})  # fmt: skip

CONDITIONAL = Entry(access=("-",), cost="branch", flags="r", bits=F_FUSES, branch=Branch.CONDITIONAL)
"""``b.cond`` with any condition."""

_A, _L = F_ACQUIRE, F_RELEASE
LOADS = {
    **dict.fromkeys(("ldr", "ldur", "ldtr"), (0, 1, 0)),
    **dict.fromkeys(("ldrb", "ldurb", "ldrsb", "ldursb", "ldtrb", "ldtrsb"), (1, 1, 0)),
    **dict.fromkeys(("ldrh", "ldurh", "ldrsh", "ldursh", "ldtrh", "ldtrsh"), (2, 1, 0)),
    **dict.fromkeys(("ldrsw", "ldursw", "ldtrsw"), (4, 1, 0)),
    **dict.fromkeys(("ldp", "ldnp", "ldxp"), (0, 2, 0)),
    "ldpsw": (4, 2, 0),
    "ldxr": (0, 1, 0), "ldxrb": (1, 1, 0), "ldxrh": (2, 1, 0),
    "ldar": (0, 1, _A), "ldarb": (1, 1, _A), "ldarh": (2, 1, _A), "ldlar": (0, 1, _A),
    "ldapr": (0, 1, _A), "ldaprb": (1, 1, _A), "ldaprh": (2, 1, _A), "ldapur": (0, 1, _A),
    "ldaxr": (0, 1, _A), "ldaxrb": (1, 1, _A), "ldaxrh": (2, 1, _A), "ldaxp": (0, 2, _A),
    "ldraa": (0, 1, 0), "ldrab": (0, 1, 0),
}  # fmt: skip

STORES = {
    **dict.fromkeys(("str", "stur", "sttr"), (0, 1, 0)),
    **dict.fromkeys(("strb", "sturb", "sttrb"), (1, 1, 0)),
    **dict.fromkeys(("strh", "sturh", "sttrh"), (2, 1, 0)),
    **dict.fromkeys(("stp", "stnp"), (0, 2, 0)),
    "stlr": (0, 1, _L), "stlrb": (1, 1, _L), "stlrh": (2, 1, _L), "stllr": (0, 1, _L), "stlur": (0, 1, _L),
}  # fmt: skip

EXCLUSIVE_STORES = {
    "stxr": (0, 1, 0), "stxrb": (1, 1, 0), "stxrh": (2, 1, 0), "stxp": (0, 2, 0),
    "stlxr": (0, 1, _L), "stlxrb": (1, 1, _L), "stlxrh": (2, 1, _L), "stlxp": (0, 2, _L),
}  # fmt: skip
"""The first operand is the status that they write."""


def _atomics() -> dict[str, tuple[int, int, int]]:
    """Return the LSE instructions, each with its bytes, 0 registers pairs, and order."""
    found: dict[str, tuple[int, int, int]] = {}
    names = [f"ld{op}" for op in ("add", "clr", "eor", "set", "smax", "smin", "umax", "umin")] + [
        "swp",
        "cas",
        "casp",
    ]
    for name in names:
        for order, bits in (("", 0), ("a", _A), ("l", _L), ("al", _A | _L)):
            for width, size in (("", 0), ("b", 1), ("h", 2)):
                found[name + order + width] = (size, 2 if name == "casp" else 1, bits)
    for op in ("add", "clr", "eor", "set", "smax", "smin", "umax", "umin"):
        for order, bits in (("", 0), ("l", _L)):
            for width, size in (("", 0), ("b", 1), ("h", 2)):
                found[f"st{op}{order}{width}"] = (size, 1, bits)
    return found


ATOMICS = _atomics()

VECTOR = table({
    "movi mvni dup ins umov smov fmov fneg fabs": Entry(access=_W_R, cost="vector_mov"),
    "addp addv cnt uaddlv xtn ushr sshr shl zip1 zip2 uzp1 uzp2 ext tbl cmeq cmgt cmhi":
        Entry(access=_W_R, cost="vector_alu"),
    "fadd fsub fmul fmadd fmsub fmla fcvt scvtf ucvtf fcvtzs fcvtzu fmax fmin": Entry(access=_W_R, cost="float"),
    "fcmp": Entry(access=_R, cost="float", flags="w"),
    "fdiv fsqrt": Entry(access=_W_R, cost="float_div"),
})  # fmt: skip
