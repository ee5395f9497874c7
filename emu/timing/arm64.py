"""arm64: from a decoded instruction to its role.

Capstone's lists of what is read and written are wrong for compares, stores, exclusives and LSE atomics, so
our own tables tell it.
"""

from __future__ import annotations

from emu.build.decode import Detailed, Operand
from emu.timing.arm64_table import ATOMICS, CONDITIONAL, EXCLUSIVE_STORES, LOADS, PLAIN, STORES, VECTOR
from emu.timing.layout import (
    F_FUSION_HEAD,
    F_LOCK,
    F_MOVE,
    F_PAIR,
    F_RENAMES,
    F_RMW,
    F_STORE_DATA_ONLY,
    F_VECTOR,
)
from emu.timing.roles import Entry, Role

SP, FLAGS, VECTOR0 = 31, 32, 33
LINK = 30

_FEWEST_RETURNS = frozenset({"ret", "retaa", "retab"})
_WIDTHS = {"w": 4, "x": 8, "b": 1, "h": 2, "s": 4, "d": 8, "q": 16, "v": 16}


def _registers() -> dict[str, int]:
    numbers = {"sp": SP, "wsp": SP, "fp": 29, "lr": LINK, "nzcv": FLAGS, "ip0": 16, "ip1": 17}
    for number in range(31):
        numbers |= {f"x{number}": number, f"w{number}": number}
    for number in range(32):
        numbers |= {f"{kind}{number}": VECTOR0 + number for kind in "bhsdqv"}
    return numbers


REGISTERS = _registers()


def role(insn: Detailed) -> Role | None:
    """Return what an instruction does, or None if no table has it."""
    name = insn.instruction.mnemonic
    memory = next((o for o in insn.operands if o.kind == "memory"), None)
    if name in ATOMICS and memory is not None:
        return _atomic(name, insn, memory)
    if name in EXCLUSIVE_STORES and memory is not None:
        return _store(EXCLUSIVE_STORES[name], insn, memory, exclusive=True)
    if name in STORES and memory is not None:
        return _store(STORES[name], insn, memory, exclusive=False)
    if name in LOADS:
        return _load(LOADS[name], insn, memory)
    if name in ("prfm", "prfum"):
        registers = _address(memory) if memory is not None else ()
        return Role(cost="prefetch", sources=registers)
    if name.startswith("b."):
        return Role(
            cost=CONDITIONAL.cost, flags=CONDITIONAL.bits, sources=(FLAGS,), branch=CONDITIONAL.branch
        )
    vector = any(_is_vector(o) for o in insn.operands)
    entry = VECTOR.get(name) or PLAIN.get(name)
    if entry is None:
        return None
    if vector and name in PLAIN:
        cost = {"mul": "float", "mov": "vector_mov"}.get(entry.cost if name != "mov" else "mov", "vector_alu")
        entry = Entry(access=entry.access, cost=cost, flags=entry.flags)
    return _plain(name, entry, insn)


def _is_vector(operand: Operand) -> bool:
    return REGISTERS.get(operand.register, 0) >= VECTOR0


def _number(operand: Operand) -> tuple[int, ...]:
    """Return a register operand's number; nothing for the zero register and what is no register."""
    number = REGISTERS.get(operand.register)
    return () if number is None else (number,)


def _width(operand: Operand) -> int:
    name = operand.register
    return 8 if name in ("fp", "lr", "sp") else _WIDTHS.get(name[:1], 8)


def _address(memory: Operand) -> tuple[int, ...]:
    return tuple(REGISTERS[name] for name in (memory.base, memory.index) if name in REGISTERS)


def _plain(name: str, entry: Entry, insn: Detailed) -> Role:
    sources = [REGISTERS[r] for r in entry.reads]
    dests = [(REGISTERS[r], 0) for r in entry.writes]
    for operand, use in zip(insn.operands, entry.access, strict=False):
        if "r" in use:
            sources += _number(operand)
        if "w" in use:
            dests += [(number, 0) for number in _number(operand)]
    if name in _FEWEST_RETURNS and not insn.operands:
        sources.append(LINK)
    if "r" in entry.flags:
        sources.append(FLAGS)
    if "w" in entry.flags:
        dests.append((FLAGS, 0))
    flags, cost = entry.bits, entry.cost
    if flags & F_MOVE and not (len(insn.operands) == 2 and _number(insn.operands[1])):
        flags &= ~F_MOVE
    if cost in ("alu", "alu_flags") and "," in insn.instruction.operands and _is_shifted(insn):
        cost = "alu_shifted"
        flags &= ~F_FUSION_HEAD
    if cost == "div":
        cost = f"div{8 * _width(insn.operands[0])}"
    return Role(
        cost=cost, flags=flags, sources=tuple(dict.fromkeys(sources)), dests=tuple(dict.fromkeys(dests)),
        branch=entry.branch, detail=entry.detail,
    )  # fmt: skip


def _is_shifted(insn: Detailed) -> bool:
    """Tell whether the last operand is shifted or extended by more than the fast path does."""
    last = insn.instruction.operands.rpartition(",")[2].strip().split()
    if not last or last[0] not in (
        "lsl",
        "lsr",
        "asr",
        "ror",
        "uxtb",
        "uxth",
        "uxtw",
        "sxtb",
        "sxth",
        "sxtw",
        "sxtx",
    ):
        return False
    return insn.operands[-1].kind == "register" or last[0] != "lsl"


def _load(facts: tuple[int, int, int], insn: Detailed, memory: Operand | None) -> Role:
    size, count, bits = facts
    transferred = [o for o in insn.operands if o.kind == "register"][:count]
    width = size or (_width(transferred[0]) if transferred else 8)
    dests = tuple((number, 0) for o in transferred for number in _number(o))
    vector = any(map(_is_vector, transferred))
    flags = bits | (F_VECTOR if vector else F_RENAMES) | (F_PAIR if count == 2 else 0)
    address = _address(memory) if memory is not None else ()  # a literal has none
    return Role(
        cost="load_pair" if count == 2 else "load", flags=flags, load_address=address, dests=dests,
        load_size=width * count, loads=1, indexed=memory is not None and bool(memory.index),
        writeback=REGISTERS[memory.base] if memory is not None and insn.writes_back else -1,
    )  # fmt: skip


def _store(facts: tuple[int, int, int], insn: Detailed, memory: Operand, *, exclusive: bool) -> Role:
    size, count, bits = facts
    registers = [o for o in insn.operands if o.kind == "register"]
    status, transferred = (registers[:1], registers[1 : 1 + count]) if exclusive else ([], registers[:count])
    width = size or (_width(transferred[0]) if transferred else 8)
    sources = tuple(dict.fromkeys(n for o in transferred for n in _number(o)))
    return Role(
        cost="store_exclusive" if exclusive else "store_pair" if count == 2 else "store",
        flags=bits | F_STORE_DATA_ONLY, sources=sources, store_address=_address(memory),
        dests=tuple((n, 0) for o in status for n in _number(o)), store_size=width * count, stores=1,
        load_address=_address(memory) if insn.writes_back else (),
        writeback=REGISTERS[memory.base] if insn.writes_back else -1,
    )  # fmt: skip


def _atomic(name: str, insn: Detailed, memory: Operand) -> Role:
    """Return the role of an LSE atomic: Rs is read, Rt written; CAS reads both and writes Rs."""
    size, count, bits = ATOMICS[name]
    registers = [o for o in insn.operands if o.kind == "register"]
    width = size or (_width(registers[0]) if registers else 8)
    if name.startswith("cas"):
        sources, dests = registers, registers[:count]
    elif name.startswith("st"):
        sources, dests = registers, []
    else:
        sources, dests = registers[:1], registers[1:2]
    return Role(
        cost="atomic", flags=bits | F_LOCK | F_RMW,
        sources=tuple(dict.fromkeys(n for o in sources for n in _number(o))),
        dests=tuple((n, 0) for o in dests for n in _number(o)),
        load_address=_address(memory), store_address=_address(memory), load_size=width * count,
        store_size=width * count, loads=1, stores=1,
    )  # fmt: skip
