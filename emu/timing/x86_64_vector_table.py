"""Which operands common SSE and AVX instructions read and write, by mnemonic without a leading ``v``.

Source: Intel SDM vol. 2, instruction reference.
"""

from __future__ import annotations

from emu.timing.layout import F_MOVE
from emu.timing.roles import Entry, table

_RW_R, _W_R, _RW_R_R, _W_R_R = ("rw", "r"), ("w", "r"), ("rw", "r", "r"), ("w", "r", "r")

VECTOR = table({
    "movaps movapd movups movupd movdqa movdqu lddqu movdqu8 movdqu16 movdqu32 movdqu64 movdqa32 movdqa64":
        Entry(access=_W_R, cost="vector_mov", bits=F_MOVE),
    "movntdq movntps movntpd movntdqa": Entry(access=_W_R, cost="vector_mov"),
    "movd movq": Entry(access=_W_R, cost="vector_transfer"),
    "movss movsd": Entry(access=_W_R, cost="vector_shuffle"),
    "movlps movhps movlpd movhpd movlhps movhlps": Entry(access=_RW_R, cost="vector_shuffle"),
    "movmskps movmskpd pmovmskb": Entry(access=_W_R, cost="vector_to_integer"),
    "pxor xorps xorpd pand andps andpd pandn andnps andnpd por orps orpd pxord pxorq pandd pandq pord porq":
        Entry(access=_RW_R, cost="vector_logic"),
    "paddb paddw paddd paddq psubb psubw psubd psubq pcmpeqb pcmpeqw pcmpeqd pcmpeqq pcmpgtb pcmpgtw pcmpgtd "
    "pminub pmaxub pminsw pmaxsw pminsd pmaxsd pminud pmaxud pavgb pavgw paddusb paddusw psubusb psubusw":
        Entry(access=_RW_R, cost="vector_add"),
    "pabsb pabsw pabsd": Entry(access=_W_R, cost="vector_add"),
    "pmullw pmulhw pmulhuw pmuludq pmuldq pmaddwd pmaddubsw pmulld psadbw": Entry(access=_RW_R, cost="vector_mul"),
    "psllw pslld psllq psrlw psrld psrlq psraw psrad pslldq psrldq": Entry(access=_RW_R, cost="vector_shift"),
    "pshufb punpcklbw punpcklwd punpckldq punpcklqdq punpckhbw punpckhwd punpckhdq punpckhqdq packsswb packssdw "
    "packuswb packusdw unpcklps unpcklpd unpckhps unpckhpd": Entry(access=_RW_R, cost="vector_shuffle"),
    "pshufd pshufhw pshuflw": Entry(access=("w", "r", "-"), cost="vector_shuffle"),
    "shufps shufpd palignr blendps blendpd pblendw insertps": Entry(access=("rw", "r", "-"), cost="vector_shuffle"),
    "pinsrb pinsrw pinsrd pinsrq": Entry(access=("rw", "r", "-"), cost="vector_insert"),
    "pextrb pextrw pextrd pextrq": Entry(access=("w", "r", "-"), cost="vector_to_integer"),
    "addss addsd addps addpd subss subsd subps subpd minss minsd maxss maxsd minps maxps minpd maxpd haddps haddpd":
        Entry(access=_RW_R, cost="float_add"),
    "mulss mulsd mulps mulpd": Entry(access=_RW_R, cost="float_mul"),
    "divss divsd divps divpd": Entry(access=_RW_R, cost="float_div"),
    "sqrtss sqrtsd sqrtps sqrtpd": Entry(access=_W_R, cost="float_sqrt"),
    "cmpss cmpps cmppd cmpeqps cmpltps cmpeqss cmpltss cmpeqpd": Entry(access=("rw", "r", "-"), cost="float_add"),
    "ucomiss ucomisd comiss comisd ptest": Entry(access=("r", "r"), cost="float_compare", flags="w"),
    "cvtsi2sd cvtsi2ss": Entry(access=_RW_R, cost="float_from_integer"),
    "cvtsd2si cvttsd2si cvtss2si cvttss2si": Entry(access=_W_R, cost="vector_to_integer"),
    "cvtss2sd cvtsd2ss cvtdq2ps cvtps2dq cvttps2dq cvtdq2pd cvtpd2ps cvtps2pd": Entry(access=_W_R, cost="float_add"),
    "zeroupper zeroall": Entry(access=(), cost="nop"),
    "broadcastss broadcastsd pbroadcastb pbroadcastw pbroadcastd pbroadcastq broadcasti128":
        Entry(access=_W_R, cost="vector_shuffle"),
    "extracti128 extractf128": Entry(access=("w", "r", "-"), cost="vector_shuffle"),
    "inserti128 insertf128 perm2i128 perm2f128": Entry(access=("w", "r", "r", "-"), cost="vector_shuffle"),
    "pternlogd pternlogq": Entry(access=("rw", "r", "r", "-"), cost="vector_logic"),
    "fmadd132sd fmadd213sd fmadd231sd fmadd132ps fmadd213ps fmadd231ps fmadd132pd fmadd213pd fmadd231pd":
        Entry(access=_RW_R_R, cost="float_fma"),
})  # fmt: skip

ZERO_IDIOMS = frozenset(
    [
        "pxor",
        "xorps",
        "xorpd",
        "pxord",
        "pxorq",
        "psubb",
        "psubw",
        "psubd",
        "psubq",
        "pcmpgtb",
        "pcmpgtw",
        "pcmpgtd",
    ]
)
"""With the same register twice the result is zero. Source: AMD SOG for Zen 4, section 2.9.2."""

EXPLICIT = frozenset(
    [
        "fmadd132sd",
        "fmadd213sd",
        "fmadd231sd",
        "fmadd132ps",
        "fmadd213ps",
        "fmadd231ps",
        "fmadd132pd",
        "fmadd213pd",
        "fmadd231pd",
        "pternlogd",
        "pternlogq",
        "inserti128",
        "insertf128",
        "perm2i128",
        "perm2f128",
        "extracti128",
        "extractf128",
    ]
)
"""AVX instructions whose operands stand above as they are; of others a second ``r`` is added and ``rw`` becomes ``w``."""
