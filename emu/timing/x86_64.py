"""x86-64: from a decoded instruction to its role.

Capstone gives text, sizes and operands; which of them are read and written is told by our own tables
(Capstone leaves out the stack, flags and several implied registers).
"""

from __future__ import annotations

from emu.build.decode import Detailed, Operand
from emu.timing.layout import (
    F_FUSION_HEAD,
    F_LOCK,
    F_MOVE,
    F_RENAMES,
    F_RMW,
    F_STORE_DATA_ONLY,
    F_TWO_STEPS,
    F_USES_STACK,
    F_VECTOR,
    F_ZERO,
    X86_STACK_POINTER,
    Branch,
    Detail,
)
from emu.timing.roles import Entry, Role
from emu.timing.x86_64_table import INTEGER, STACK, STRING, SYSTEM
from emu.timing.x86_64_vector_table import EXPLICIT, VECTOR, ZERO_IDIOMS

FLAGS, CARRY, RSP = 16, 49, X86_STACK_POINTER
"""The carry flag is renamed apart from the others: INC and DEC leave it alone."""
VECTOR0 = 17

_NAMES = ("ax", "cx", "dx", "bx", "sp", "bp", "si", "di")
_SCALAR = {**INTEGER, **STACK, **STRING, **SYSTEM}
_IDIOMS = frozenset({"xor", "sub"})
_CALLS = {Branch.CALL: Branch.INDIRECT_CALL, Branch.JUMP: Branch.INDIRECT}


def _registers() -> dict[str, int]:
    """Return our numbers by Capstone's names: parts of a register have the number of the whole."""
    numbers = {"eflags": FLAGS, "rflags": FLAGS}
    for number, name in enumerate(_NAMES):
        low = f"{name[0]}l" if number < 4 else f"{name}l"
        numbers |= dict.fromkeys((f"r{name}", f"e{name}", name, low), number)
        if number < 4:
            numbers[f"{name[0]}h"] = number
    for number in range(8, 16):
        numbers |= dict.fromkeys((f"r{number}", f"r{number}d", f"r{number}w", f"r{number}b"), number)
    for number in range(32):
        numbers |= dict.fromkeys((f"xmm{number}", f"ymm{number}", f"zmm{number}"), VECTOR0 + number)
    return numbers


REGISTERS = _registers()


def role(insn: Detailed) -> Role | None:
    """Return what an instruction does, or None if no table has it."""
    prefix, _, name = insn.instruction.mnemonic.rpartition(" ")
    if name in STRING and not any(o.register.startswith("xmm") for o in insn.operands):
        return _string(name, repeated="rep" in prefix)
    entry = _SCALAR.get(name) if name not in STRING else None
    if entry is None:
        entry = _vector(name, insn.operands)
    if entry is None:
        return None
    if name in STACK:
        return _stack(name, entry, insn)
    return _ordinary(name, entry, insn, locked="lock" in prefix)


def _vector(name: str, operands: tuple[Operand, ...]) -> Entry | None:
    """Return the entry of an SSE instruction or of its AVX form."""
    if name in VECTOR:
        return VECTOR[name]
    if not name.startswith("v") or name[1:] not in VECTOR:
        return None
    entry = VECTOR[name[1:]]
    if name[1:] in EXPLICIT or entry.access[:1] != ("rw",) or len(operands) <= len(entry.access):
        return entry
    return Entry(access=("w", "r", *entry.access[1:]), cost=entry.cost, flags=entry.flags, bits=entry.bits)


def address_registers(memory: Operand) -> tuple[int, ...]:
    """Return the registers of an address."""
    return tuple(REGISTERS[name] for name in (memory.base, memory.index) if name in REGISTERS)


def _is_indexed(memory: Operand) -> bool:
    """Tell whether an address takes the slow path: a scaled index, or base, index and displacement."""
    if not memory.index:
        return False
    return memory.scale > 1 or (memory.displacement != 0 and bool(memory.base))


def _is_vector(operand: Operand) -> bool:
    return operand.register[:3] in ("xmm", "ymm", "zmm")


def _ordinary(name: str, entry: Entry, insn: Detailed, *, locked: bool) -> Role:
    """Return the role of an instruction whose operands say all, but for what its entry adds."""
    operands = insn.operands
    access = _access(name, entry, operands)
    if name == "imul" and len(operands) == 1:
        entry = INTEGER["mul"]
    sources = [REGISTERS[r] for r in entry.reads]
    dests = [(REGISTERS[r], 0) for r in entry.writes]
    facts = Role(
        cost=_cost(name, entry, operands), flags=entry.bits, branch=entry.branch, detail=entry.detail
    )
    memory: Operand | None = None
    for operand, use in zip(operands, access, strict=False):
        if operand.kind == "register" and operand.register in REGISTERS:
            number = REGISTERS[operand.register]
            merges = "w" in use and operand.size in (1, 2)
            if "r" in use or merges:
                sources.append(number)
            if "w" in use:
                dests.append((number, 0))
        elif operand.kind == "memory":
            memory = operand
            facts = _with_memory(facts, operand, use)
    dests += [(REGISTERS[r], late) for r, late in entry.late]
    sources += _flags_read(name, entry)
    dests += [(register, 0) for register in _flags_written(name, entry)]
    flags = facts.flags
    if any(RSP in (REGISTERS.get(o.register), *address_registers(o)) for o in operands):
        flags |= F_USES_STACK
    registers = [o.register for o in operands]
    if len(operands) >= 2 and len(set(registers[-2:])) == 1 and registers[-1] and _is_idiom(name, operands):
        flags |= F_ZERO
    if memory is not None:
        flags = _memory_flags(flags, facts, access, operands, locked or name == "xchg")
        if "a" in access:
            sources += address_registers(memory)
        if facts.cost == "lea_complex" and operands[0].size > 2 and memory.base != memory.index:
            flags |= F_TWO_STEPS  # base and displacement, then the index
            sources = [REGISTERS[memory.index]]
            facts = facts.but(load_address=(REGISTERS[memory.base],))
        if _merges_load(name, operands):
            flags &= ~F_RENAMES
            facts = facts.but(cost="alu")
    elif name in ("mov", "movabs") and (operands[0].size < 4 or operands[1].kind != "register"):
        flags &= ~F_MOVE
        wide = name == "movabs"
        facts = facts.but(cost="mov_wide" if wide else "alu")  # an immediate, or a part that is merged
    elif flags & F_MOVE and operands[-1].register not in REGISTERS:
        flags &= ~F_MOVE
    unique = tuple(dict.fromkeys(sources))
    assert len(unique) <= 6, f"{name} reads {len(unique)} registers"
    return facts.but(
        flags=flags, sources=unique, dests=tuple(dict.fromkeys(dests)),
        extended=entry.extended and memory is not None,
    )  # fmt: skip


_CARRY_ONLY = frozenset({"adc", "sbb", "adcx", "adox", "rcl", "rcr", "cmc"})
_CARRY_CONDITIONS = ("b", "ae")
_BOTH_CONDITIONS = ("be", "a")


def _flags_read(name: str, entry: Entry) -> tuple[int, ...]:
    """Return the flag registers that an instruction reads."""
    if "r" not in entry.flags:
        return ()
    if name in _CARRY_ONLY:
        return (CARRY,)
    for prefix in ("cmov", "set", "j"):
        if name.startswith(prefix):
            condition = name.removeprefix(prefix)
            if condition in _BOTH_CONDITIONS:
                return (FLAGS, CARRY)
            return (CARRY,) if condition in _CARRY_CONDITIONS else (FLAGS,)
    return (FLAGS, CARRY)


def _flags_written(name: str, entry: Entry) -> tuple[int, ...]:
    """Return the flag registers that an instruction writes."""
    if "w" not in entry.flags:
        return ()
    if name in ("inc", "dec"):
        return (FLAGS,)
    if name in ("clc", "stc", "cmc", "adcx"):
        return (CARRY,)
    return (FLAGS, CARRY)


def _is_idiom(name: str, operands: tuple[Operand, ...]) -> bool:
    if name in _IDIOMS:
        return operands[0].size >= 4
    return name.removeprefix("v") in ZERO_IDIOMS


def _merges_load(name: str, operands: tuple[Operand, ...]) -> bool:
    return name == "mov" and operands[1].kind == "memory" and operands[0].size in (1, 2)


def _access(name: str, entry: Entry, operands: tuple[Operand, ...]) -> tuple[str, ...]:
    """Return the use of each operand, with the forms that share a mnemonic told apart."""
    if not entry.access:
        return entry.access
    if name == "imul":
        return {1: ("r",), 2: ("rw", "r")}.get(len(operands), ("w", "r", "r"))
    if name in ("movss", "movsd") and all(o.kind == "register" for o in operands):
        return ("rw", "r", "r")[: len(operands)]
    return entry.access


def _cost(name: str, entry: Entry, operands: tuple[Operand, ...]) -> str:
    """Return the class of an instruction, by form."""
    memory = next((o for o in operands if o.kind == "memory"), None)
    match entry.cost:
        case "lea" if memory is not None:
            terms = bool(memory.base) + bool(memory.index) + bool(memory.displacement)
            narrow = operands[0].size == 2 and bool(memory.index)
            return "lea_complex" if narrow or (terms == 3 and memory.base != "rip") else "alu"
        case "rotate_carry":
            return "rotate_carry_1" if operands[1].immediate == 1 else "rotate_carry"
        case "div":
            return f"div{8 * operands[0].size}"
        case "alu" if memory is not None and name in ("movzx", "movsx", "movsxd"):
            return "mov"
        case "bt" | "bts" if memory is not None:
            return f"{entry.cost}_memory_{'bit' if operands[1].kind == 'immediate' else 'register'}"
        case "vector_transfer" if memory is not None or all(map(_is_vector, operands)):
            return "vector_mov"
        case "vector_transfer":
            return "vector_from_integer" if _is_vector(operands[0]) else "vector_to_integer"
        case "vector_shuffle" if name in ("movss", "movsd", "vmovss", "vmovsd") and memory is not None:
            return "vector_mov"
    return entry.cost


def _with_memory(facts: Role, memory: Operand, use: str) -> Role:
    registers = address_registers(memory)
    if use == "a":
        return facts
    if "r" in use:
        facts = facts.but(load_address=registers, load_size=memory.size, loads=1, indexed=_is_indexed(memory))
    if "w" in use:
        facts = facts.but(store_address=registers, store_size=memory.size, stores=1)
    return facts


def _memory_flags(
    flags: int, facts: Role, access: tuple[str, ...], operands: tuple[Operand, ...], locked: bool
) -> int:
    """Return flags of an instruction with a memory operand."""
    if facts.loads and facts.stores:
        flags = (flags | F_RMW) & ~F_FUSION_HEAD
        if facts.cost in ("alu", "adc"):  # others take their operand from the store's data
            flags |= F_RENAMES
        if locked:
            flags |= F_LOCK
    if any(o.kind == "immediate" for o in operands):
        flags &= ~F_FUSION_HEAD
    if facts.loads and any(map(_is_vector, operands)):
        flags |= F_VECTOR
    if flags & F_MOVE:  # a plain load or store
        flags &= ~F_MOVE
        if facts.loads:
            flags |= 0 if flags & F_VECTOR else F_RENAMES
        else:
            flags |= F_STORE_DATA_ONLY
    return flags


def _stack(name: str, entry: Entry, insn: Detailed) -> Role:
    """Return the role of an instruction that uses the stack or may: the stack engine keeps its pointer."""
    operand = insn.operands[0] if insn.operands else None
    facts = Role(cost=entry.cost, flags=entry.bits, branch=entry.branch)
    sources: list[int] = [REGISTERS[r] for r in entry.reads]
    dests: list[tuple[int, int]] = [(REGISTERS[r], 0) for r in entry.writes]
    sources += _flags_read(name, entry)
    dests += [(register, 0) for register in _flags_written(name, entry)]
    pushes, pops = name in ("push", "pushfq", "call", "enter"), name in ("pop", "popfq", "ret", "leave")
    if operand is not None and operand.kind == "register":
        if name == "pop":
            dests.append((REGISTERS[operand.register], 0))
        else:
            sources.append(REGISTERS[operand.register])
    if operand is not None and operand.kind != "immediate" and name in ("call", "jmp"):
        facts = facts.but(branch=_CALLS[entry.branch], cost=f"{name}_indirect")
    if operand is not None and operand.kind == "memory":
        registers = address_registers(operand)
        if name == "pop":
            facts = facts.but(store_address=registers, store_size=operand.size, stores=1, slots=1)
        else:
            facts = facts.but(
                load_address=registers, load_size=operand.size, loads=1, indexed=_is_indexed(operand),
                slots=1 if name != "jmp" else 0, flags=facts.flags | F_RENAMES,
            )  # fmt: skip
    width = (
        operand.size if operand is not None and name in ("push", "pop") and operand.kind != "immediate" else 8
    )
    if pushes:
        facts = facts.but(store_address=(RSP,), store_size=width, stores=1)
        if name == "call":
            facts = facts.but(flags=facts.flags | F_STORE_DATA_ONLY)
            if operand is not None and operand.kind != "immediate":
                facts = facts.but(flags=facts.flags & ~F_STORE_DATA_ONLY)
    if pops:
        address = (REGISTERS["rbp"],) if name == "leave" else (RSP,)
        facts = facts.but(load_address=address, load_size=width, loads=1)
        if name != "popfq":
            facts = facts.but(flags=facts.flags | F_RENAMES)
        if name == "leave":
            dests = [(RSP, 0), (REGISTERS["rbp"], -1)]  # the pointer takes an addition
    if name == "ret" and operand is not None:
        facts = facts.but(slots=1)
    return facts.but(sources=tuple(dict.fromkeys(sources)), dests=tuple(dests))


_STRING_SIZES = {"b": 1, "w": 2, "d": 4, "q": 8}


def _string(name: str, *, repeated: bool) -> Role:
    """Return the role of a string instruction; a repeated one is one step per repetition."""
    entry = STRING[name]
    kind, size = name[:4], _STRING_SIZES[name[4]]
    rsi, rdi = REGISTERS["rsi"], REGISTERS["rdi"]
    loads = kind != "stos"
    stores = kind in ("movs", "stos")
    sources = [REGISTERS[r] for r in entry.reads] + ([REGISTERS["rax"]] if kind in ("stos", "scas") else [])
    dests = [(REGISTERS[r], 0) for r in entry.writes]
    if kind == "lods":
        dests.append((REGISTERS["rax"], 0))
    if "w" in entry.flags:
        dests += [(FLAGS, 0), (CARRY, 0)]
    if repeated:
        sources.append(REGISTERS["rcx"])
        dests.append((REGISTERS["rcx"], 0))
    return Role(
        cost=(f"rep_{kind}b" if size == 1 and kind == "stos" else f"rep_{kind}") if repeated else kind,
        sources=tuple(sources),
        dests=tuple(dests)[:4],
        load_address=(rdi if kind == "scas" else rsi,) if loads else (),
        load_size=size if loads else 0,
        loads=(2 if kind == "cmps" else 1) if loads else 0,
        store_address=(rdi,) if stores else (),
        store_size=size if stores else 0,
        stores=1 if stores else 0,
        detail=Detail.COUNT if repeated else Detail.NONE,
    )
