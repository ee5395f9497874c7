"""What an A64 instruction means to memory ordering: its kind, and which registers play which part.

Made for `views`: an operand too many only makes a run show less, one too few would make it
show what hardware can't. So immediate fields are told apart from registers where that is
easy, and all vector registers count as one.

Source: Arm ARM DDI 0487, C4.1, "A64 instruction set encoding".
"""

from __future__ import annotations

from emu.compiled import inline_jit, jit
from emu.machine.state import VIEW_FLAGS, VIEW_SP, VIEW_SYSTEM, VIEW_SYSTEM_SLOTS, VIEW_VECTOR, VIEW_ZERO

LOAD = 1
STORE = 2
ATOMIC = 4  # one instruction that loads and stores: CAS, SWP, LD<op>
LOAD_EXCLUSIVE = 8
STORE_EXCLUSIVE = 16
ACQUIRE = 32  # LDAR, LDAXR, the load of an A form
ACQUIRE_PC = 64  # LDAPR
RELEASE = 128
ORDER_LOADS = 256  # DMB LD, DSB LD
ORDER_STORES = 512  # DMB ST
ORDER_ALL = 1024  # DMB, DSB
WAIT_STORES = 2048  # DSB ST
CONTEXT = 4096  # ISB, ERET

Roles = tuple[int, int, int, int, int, int, int, int]
"""Kind; two address registers; two source registers; two results; the base register that is written back.

Registers are indices of a CPU's views; ``VIEW_ZERO`` where there is none.
"""


@inline_jit
def _general_or_sp(field: int) -> int:
    register = field
    if field == 31:
        register = VIEW_SP
    return register


@jit
def _exclusive_or_ordered(word: int) -> Roles:
    rs, rt2, rn, rt = word >> 16 & 31, word >> 10 & 31, _general_or_sp(word >> 5 & 31), word & 31
    o2, load, o1, o0 = word >> 23 & 1, word >> 22 & 1, word >> 21 & 1, word >> 15 & 1
    zero = VIEW_ZERO
    if o1 and (o2 or word >> 31 & 1 == 0):  # CAS, CASP
        kind = LOAD | STORE | ATOMIC
        if load:
            kind |= ACQUIRE
        if o0:
            kind |= RELEASE
        second = zero
        if not o2 and rs < 30:  # CASP: a pair of registers each
            second = rs + 1
        return kind, rn, zero, rs, rt, rs, second, zero
    if o2:  # LDAR, LDLAR, STLR, STLLR
        if load:
            return LOAD | ACQUIRE, rn, zero, zero, zero, rt, zero, zero
        return STORE | RELEASE, rn, zero, rt, zero, zero, zero, zero
    pair = zero
    if o1:
        pair = rt2
    if load:
        kind = LOAD | LOAD_EXCLUSIVE
        if o0:
            kind |= ACQUIRE
        return kind, rn, zero, zero, zero, rt, pair, zero
    kind = STORE | STORE_EXCLUSIVE
    if o0:
        kind |= RELEASE
    return kind, rn, zero, rt, pair, rs, zero, zero


@jit
def _load_store_register(word: int) -> Roles:
    rm, rn, rt = word >> 16 & 31, _general_or_sp(word >> 5 & 31), word & 31
    vector, opc, size = word >> 26 & 1, word >> 22 & 3, word >> 30
    zero = VIEW_ZERO
    index, back = zero, zero
    if word >> 24 & 1 == 0:
        form = word >> 10 & 3
        if word >> 21 & 1:
            if form == 0:  # atomic memory operations
                if word >> 12 & 15 == 12 and not vector:  # LDAPR
                    return LOAD | ACQUIRE_PC, rn, zero, zero, zero, rt, zero, zero
                kind = LOAD | STORE | ATOMIC
                if word >> 23 & 1:
                    kind |= ACQUIRE
                if word >> 22 & 1:
                    kind |= RELEASE
                return kind, rn, zero, rm, zero, rt, zero, zero
            if form & 1:  # LDRAA
                return LOAD, rn, zero, zero, zero, rt, zero, rn
            index = rm
        elif form & 1:
            back = rn
    if vector:
        rt = VIEW_VECTOR
    is_load = opc & 1 == 1 or (opc == 2 and not vector)
    if is_load:
        if size == 3 and opc == 2 and not vector:  # PRFM
            return 0, zero, zero, zero, zero, zero, zero, zero
        return LOAD, rn, index, zero, zero, rt, zero, back
    return STORE, rn, index, rt, zero, zero, zero, back


@jit
def _load_or_store(word: int) -> Roles:
    rt2, rn, rt = word >> 10 & 31, _general_or_sp(word >> 5 & 31), word & 31
    vector, group, zero = word >> 26 & 1, word >> 28 & 3, VIEW_ZERO
    if group == 3:
        return _load_store_register(word)
    if group == 2:  # pairs
        if vector:
            rt, rt2 = VIEW_VECTOR, zero
        back = zero
        if word >> 23 & 1:
            back = rn
        if word >> 22 & 1:
            return LOAD, rn, zero, zero, zero, rt, rt2, back
        return STORE, rn, zero, rt, rt2, zero, zero, back
    if group == 1:
        if word >> 24 & 1 == 0:  # literal
            if vector:
                rt = VIEW_VECTOR
            return LOAD, zero, zero, zero, zero, rt, zero, zero
        if word >> 22 & 3 == 0:
            return STORE | RELEASE, rn, zero, rt, zero, zero, zero, zero  # STLUR
        return LOAD | ACQUIRE_PC, rn, zero, zero, zero, rt, zero, zero  # LDAPUR
    if vector:  # structures; a post-index register counts as part of the address
        rm, back = word >> 16 & 31, zero
        if word >> 23 & 1:
            back = rn
        if word >> 22 & 1:
            return LOAD, rn, rm, zero, zero, VIEW_VECTOR, zero, back
        return STORE, rn, rm, VIEW_VECTOR, zero, zero, zero, back
    return _exclusive_or_ordered(word)


@jit
def _system_or_branch(word: int) -> Roles:
    zero = VIEW_ZERO
    if word & 0xFFFFF000 == 0xD5033000:  # barriers
        operation, variant, kind = word >> 5 & 7, word >> 8 & 3, 0
        if operation == 6:
            kind = CONTEXT
        elif operation in (4, 5):
            kind = ORDER_ALL
            if variant == 1:
                kind = ORDER_LOADS
            elif variant == 2:
                kind = WAIT_STORES
                if operation == 5:
                    kind = ORDER_STORES
        return kind, zero, zero, zero, zero, zero, zero, zero
    if word == 0xD69F03E0:  # ERET
        return CONTEXT, zero, zero, zero, zero, zero, zero, zero
    if word & 0xFFD00000 == 0xD5100000 or word & 0xFFD00000 == 0xD5000000:  # MRS, MSR; SYSL, SYS
        register = VIEW_SYSTEM + (word >> 5 & 0x7FFF) % VIEW_SYSTEM_SLOTS
        if word >> 21 & 1:
            return 0, zero, zero, register, zero, word & 31, zero, zero
        return 0, zero, zero, word & 31, zero, register, zero, zero
    if word & 0xFC000000 == 0x94000000 or word & 0xFEE00000 == 0xD6200000:  # BL, BLR
        return 0, zero, zero, zero, zero, 30, zero, zero
    return 0, zero, zero, zero, zero, zero, zero, zero


@jit
def _immediate(word: int) -> Roles:
    rd, rn, zero, flags = word & 31, word >> 5 & 31, VIEW_ZERO, VIEW_ZERO
    group, opc = word >> 23 & 7, word >> 29 & 3
    if group < 2:  # ADR, ADRP
        return 0, zero, zero, zero, zero, rd, zero, zero
    if group < 4:  # ADD, SUB
        if opc & 1:
            return 0, zero, zero, _general_or_sp(rn), zero, rd, VIEW_FLAGS, zero
        return 0, zero, zero, _general_or_sp(rn), zero, _general_or_sp(rd), zero, zero
    if group == 4:  # AND, ORR, EOR, ANDS
        if opc == 3:
            flags = VIEW_FLAGS
        else:
            rd = _general_or_sp(rd)
        return 0, zero, zero, rn, zero, rd, flags, zero
    if group == 5:  # MOVN, MOVZ, MOVK
        if opc == 3:
            return 0, zero, zero, rd, zero, rd, zero, zero
        return 0, zero, zero, zero, zero, rd, zero, zero
    if group == 6:  # bit fields; BFM keeps part of its result
        kept = zero
        if opc == 1:
            kept = rd
        return 0, zero, zero, rn, kept, rd, zero, zero
    return 0, zero, zero, rn, word >> 16 & 31, rd, zero, zero


@jit
def _register(word: int) -> Roles:
    rd, rn, rm, zero = word & 31, word >> 5 & 31, word >> 16 & 31, VIEW_ZERO
    sets, group = word >> 29 & 1, word >> 21 & 15
    if word >> 28 & 1 == 0:
        if word >> 24 & 1 == 0:  # logical
            if word >> 29 & 3 == 3:
                return 0, zero, zero, rn, rm, rd, VIEW_FLAGS, zero
            return 0, zero, zero, rn, rm, rd, zero, zero
        if word >> 21 & 1:  # ADD, SUB, extended register
            rn = _general_or_sp(rn)
            if not sets:
                rd = _general_or_sp(rd)
        if sets:
            return 0, zero, zero, rn, rm, rd, VIEW_FLAGS, zero
        return 0, zero, zero, rn, rm, rd, zero, zero
    if word >> 24 & 1:  # three sources
        return 0, word >> 10 & 31, zero, rn, rm, rd, zero, zero
    if group == 2 or (group == 0 and word >> 10 & 63):  # CCMP, whose field rm may be a number; flag moves
        return 0, VIEW_FLAGS, zero, rn, rm, zero, VIEW_FLAGS, zero
    if group == 0 and sets:  # ADCS, SBCS
        return 0, VIEW_FLAGS, zero, rn, rm, rd, VIEW_FLAGS, zero
    if group in (0, 4):  # ADC, SBC; CSEL
        return 0, VIEW_FLAGS, zero, rn, rm, rd, zero, zero
    if word >> 30 & 1:  # one source; PACIA and the like keep part of their result
        kept = zero
        if rm == 1:
            kept = rd
        return 0, zero, zero, rn, kept, rd, zero, zero
    return 0, zero, zero, rn, rm, rd, zero, zero


@jit
def roles(word: int) -> Roles:
    """Return what the instruction ``word`` means to memory ordering.

    What is neither load nor store has its further sources among the address registers.
    """
    zero = VIEW_ZERO
    group = word >> 25 & 15
    if group & 5 == 4:
        return _load_or_store(word)
    if group & 14 == 8:
        return _immediate(word)
    if group & 14 == 10:
        return _system_or_branch(word)
    if group & 7 == 5:
        return _register(word)
    if group & 7 == 7:  # vectors and floating point, which may also write a general register or the flags
        return 0, VIEW_VECTOR, word & 31, word >> 5 & 31, word >> 16 & 31, VIEW_VECTOR, word & 31, VIEW_FLAGS
    return 0, zero, zero, zero, zero, zero, zero, zero
