"""x86-64: what instructions do to frames, and which routines of the kernel are no functions.

Source: Intel SDM vol. 2; System V psABI for x86-64, section 3.2; asm/x86_64.
"""

from __future__ import annotations

import re

from emu.arch.x86_64.port import X86_64
from emu.build.decode import Instruction
from emu.kernel.unwind.effect import Aligned, Effect, Expression, Flow, Load, Store, Sum
from emu.kernel.unwind.rules import Entry, Rules
from emu.kernel.unwind.state import PC

_FULL = {
    **{part.format(x): f"r{x}x" for x in "abcd" for part in ("r{}x", "e{}x", "{}x", "{}l", "{}h")},
    **{part.format(x): f"r{x}" for x in ("si", "di", "bp", "sp") for part in ("r{}", "e{}", "{}", "{}l")},
    **{part.format(i): f"r{i}" for i in range(8, 16) for part in ("r{}", "r{}d", "r{}w", "r{}b")},
}
"""The 64-bit register by the name of each of its parts."""

_WORDS = frozenset(
    {*(f"{x}x" for x in "abcd"), "si", "di", "bp", "sp", "fs", "gs", *(f"r{i}w" for i in range(8, 16))}
)
_GENERAL = tuple(dict.fromkeys(_FULL.values()))
_SIZES = {"byte": 1, "word": 2, "dword": 4, "qword": 8, "xmmword": 16, "ymmword": 32}
_LARGEST = 64
_MEMORY = re.compile(r"(\w+) ptr (?:\w+:)?\[(.+)\]")
_PLACE = re.compile(r"(r\w+)(?: ([+-]) (0x[0-9a-f]+|\d+))?")
_NUMBER = re.compile(r"-?(?:0x[0-9a-f]+|\d+)")
_READ_ONLY = frozenset({"cmp", "test", "bt", "nop"})
"""Instructions whose first operand is not written."""

_FLOWS = {
    "call": Flow.CALL, "jmp": Flow.JUMP, "ret": Flow.RETURN, "ud2": Flow.TRAP,
    **dict.fromkeys(("iretq", "iret", "iretd", "retf", "retfq", "sysretq", "sysexit", "int3"), Flow.STOP),
}  # fmt: skip


def flow(mnemonic: str) -> Flow:
    """Return where control goes."""
    name = mnemonic.rsplit(" ", 1)[-1]  # behind "lock", "rep", "notrack"
    if name in _FLOWS:
        return _FLOWS[name]
    return Flow.BRANCH if name.startswith(("j", "loop")) else Flow.NEXT


def effect(instruction: Instruction, written: frozenset[str]) -> Effect:
    """Return what an instruction does."""
    name = instruction.mnemonic.rsplit(" ", 1)[-1]
    operands = instruction.operands.split(", ")
    writes: dict[str, Expression] = {_FULL[part]: None for part in written if part in _FULL}
    goes = flow(name)
    if goes is not Flow.NEXT:
        target = int(operands[0], 0) if _NUMBER.fullmatch(operands[0]) else None
        # calls and returns leave the stack pointer where it was, as seen from here
        return Effect(flow=goes, target=target)
    first, last = operands[0], operands[-1]
    stores: tuple[Store, ...] = ()
    match name:
        case "push" | "pop" if first == "rsp" or first in _WORDS or _size(first) == 2:
            writes |= {"rsp": None}
        case "push" | "pushfq":
            writes = {"rsp": Sum("rsp", -8)}
            stores = (Store("rsp", -8, 8, _value(first)),)
        case "pop" | "popfq":
            writes = {"rsp": Sum("rsp", 8)} | ({first: Load("rsp", 0)} if first in _GENERAL else {})
        case "leave":
            writes = {"rsp": Sum("rbp", 8), "rbp": Load("rbp", 0)}
        case "enter":
            writes = {"rsp": None, "rbp": None}
        case "cmpxchg":
            writes["rax"] = None
            stores = _overwritten(first)
        case "mov" | "lea" | "add" | "sub" | "and" if first in _GENERAL:
            writes[first] = _result(name, first, last)
        case "mov" if place := _place(first):
            stores = (Store(*place, _size(first), _value(last)),)
        case _ if name not in _READ_ONLY:
            stores = _overwritten(first)
    return Effect(writes=writes, stores=stores)


def _result(name: str, register: str, operand: str) -> Expression:
    number = int(operand, 0) if _NUMBER.fullmatch(operand) else None
    match name:
        case "mov":
            return _value(operand)
        case "lea":
            place = _place(operand)
            return Sum(*place) if place else None
        case "add" if number is not None:
            return Sum(register, number)
        case "sub" if number is not None:
            return Sum(register, -number)
        case "and" if number is not None:
            alignment = -number & (1 << 64) - 1
            return Aligned(register, alignment) if alignment & alignment - 1 == 0 else None
    return None


def _value(operand: str) -> Expression:
    """Return what 8 bytes of an operand hold."""
    if operand in _GENERAL:
        return Sum(operand)
    place = _place(operand)
    return Load(*place) if place and _size(operand) == 8 else None


def _place(operand: str) -> tuple[str, int] | None:
    """Return register and constant that a memory operand is addressed by; None if there is more to it."""
    memory = _MEMORY.search(operand) or re.fullmatch(r"()\[(.+)\]", operand)  # LEA names no size
    found = _PLACE.fullmatch(memory[2]) if memory and "s:[" not in operand else None
    if not found or found[1] not in _GENERAL:
        return None
    return found[1], int(f"{found[2] or ''}{found[3] or 0}", 0)


def _size(operand: str) -> int:
    """Return the bytes of a memory operand."""
    memory = _MEMORY.search(operand)
    return _SIZES.get(memory[1], _LARGEST) if memory else _LARGEST


def _overwritten(operand: str) -> tuple[Store, ...]:
    place = _place(operand)
    return (Store(*place, _size(operand)),) if place else ()


RULES = Rules(
    port=X86_64,
    fp="rbp",
    general=_GENERAL,
    preserved=frozenset({"rbx", "rbp", "rsp", "r12", "r13", "r14", "r15"}),  # psABI, 3.2.1
    return_depth=-8,
    site_link="",
    effect=effect,
    flow=flow,
    entries={
        "vector_timer": Entry.INTERRUPT,
        "vector_reschedule": Entry.INTERRUPT,
        "vector_sync": Entry.INTERRUPT,
        "vector_breakpoint": Entry.INTERRUPT,
        "interrupt_common": Entry.JUMPED,
        "vector_syscall": Entry.STACKLESS,
        "start_cpu": Entry.STACKLESS,
        "cpu_idle_loop": Entry.JUMPED,
        "finish_task_switch": Entry.SWITCHED,
        "ret_from_fork": Entry.FIRST,
        "ret_to_user_first": Entry.FIRST,
        "ftrace_caller": Entry.SITE,
        "ftrace_regs_caller": Entry.SITE,
    },
    savers=frozenset(),
    saved={},
    switched={
        "r15": "r15", "r14": "r14", "r13": "r13", "r12": "r12", "bx": "rbx", "bp": "rbp", "ret_addr": PC,
    },
    pushed={-40: PC, -16: "rsp"},  # Intel SDM vol. 3A, 6.14.2: RIP, CS, RFLAGS, RSP, SS
    pushed_size=40,
)  # fmt: skip
