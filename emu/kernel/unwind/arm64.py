"""arm64: what instructions do to frames, and which routines of the kernel are no functions.

Source: Arm ARM DDI 0487, C6; AAPCS64, section 6; asm/arm64.
"""

from __future__ import annotations

import re

from emu.arch.arm64.port import ARM64
from emu.build.decode import Instruction
from emu.kernel.unwind.effect import Effect, Expression, Flow, Load, Store, Sum
from emu.kernel.unwind.rules import Entry, Rules
from emu.kernel.unwind.state import PC

_GENERAL = (*(f"x{i}" for i in range(31)), "sp")
_ALIASES = {"fp": "x29", "lr": "x30", "wsp": "sp", **{f"w{i}": f"x{i}" for i in range(31)}}
_MEMORY = re.compile(r"\[(\w+)(?:, #(-?\w+))?\](!)?(?:, #(-?\w+))?")
_SIZES = {"x": 8, "w": 4, "b": 1, "h": 2, "s": 4, "d": 8, "q": 16}
_LARGEST = 64
_UNSIGNED = frozenset({"paciasp", "pacibsp", "autiasp", "autibsp"})
"""Return address signing: hints that do nothing, as nobody enables it (SCTLR_EL1.EnIA and EnIB are 0)."""

_FLOWS = {
    "b": Flow.JUMP, "br": Flow.JUMP, "bl": Flow.CALL, "blr": Flow.CALL, "ret": Flow.RETURN, "eret": Flow.STOP,
    "brk": Flow.TRAP, "udf": Flow.STOP,
    **dict.fromkeys(("cbz", "cbnz", "tbz", "tbnz"), Flow.BRANCH),
}  # fmt: skip


def flow(mnemonic: str) -> Flow:
    """Return where control goes."""
    return Flow.BRANCH if mnemonic.startswith(("b.", "bc.")) else _FLOWS.get(mnemonic, Flow.NEXT)


def effect(instruction: Instruction, written: frozenset[str]) -> Effect:
    """Return what an instruction does."""
    name, operands = instruction.mnemonic, instruction.operands
    goes = flow(name)
    if goes is not Flow.NEXT:
        target = operands.rsplit("#", 1)[-1] if name not in ("br", "blr", "ret", "brk") else ""
        return Effect(flow=goes, target=int(target, 0) if target else None)
    if name in _UNSIGNED:
        return Effect()
    writes: dict[str, Expression] = {_ALIASES.get(part, part): None for part in written}
    memory = _MEMORY.search(operands)
    if "[" in operands:
        return _accessed(name, operands.split(", [")[0].split(", "), memory, writes)
    register, *sources = operands.split(", ")
    if register in _GENERAL and name in ("mov", "add", "sub") and sources[0] in _GENERAL:
        writes[register] = _sum(name, sources)
    return Effect(writes=writes)


def _sum(name: str, sources: list[str]) -> Expression:
    """Return ``register``, ``register, #n`` or ``register, #n, lsl #12`` of MOV, ADD or SUB."""
    register, *constant = sources
    if name == "mov":
        return Sum(register)
    if not constant[0].startswith("#"):
        return None
    number = int(constant[0][1:], 0) << (12 if constant[1:] == ["lsl #12"] else 0)
    return Sum(register, number if name == "add" else -number)


def _accessed(
    name: str, moved: list[str], memory: re.Match[str] | None, writes: dict[str, Expression]
) -> Effect:
    """Return the effect of a load or store of the registers ``moved``."""
    if memory is None:  # register offset: into an array, not a frame's saved registers
        return Effect(writes=writes)
    base, offset, before, after = memory.groups()
    at = int(offset or "0", 0)
    step = at if before else int(after or "0", 0)
    if step:
        writes[base] = Sum(base, step)
    if name.startswith("st"):
        return Effect(writes=writes, stores=_stores(name, moved, base, at))
    if name in ("ldr", "ldur", "ldp", "ldnp"):
        for place, register in enumerate(moved):
            if register in _GENERAL:
                writes[register] = Load(base, at + 8 * place)
    return Effect(writes=writes)


def _stores(name: str, moved: list[str], base: str, at: int) -> tuple[Store, ...]:
    if name in ("stp", "stnp", "str", "stur", "stlr"):
        size = _SIZES[moved[0][0]]
        return tuple(
            Store(base, at + size * place, size, Sum(register) if register in _GENERAL else None)
            for place, register in enumerate(moved)
        )
    if name in ("strb", "sturb", "strh", "sturh"):
        return (Store(base, at, 1 if name.endswith("b") else 2),)
    return (Store(base, at, _LARGEST),)


_SAVED = {**{f"x{i}": f"x{i}" for i in range(30)}, "lr": "x30", "sp": "sp", "pc": PC}

RULES = Rules(
    port=ARM64,
    fp="x29",
    general=_GENERAL,
    preserved=frozenset({*(f"x{i}" for i in range(19, 30)), "sp"}),  # AAPCS64, 6.1.1
    return_depth=0,
    site_link="x9",
    effect=effect,
    flow=flow,
    entries={
        "vector_timer": Entry.DARK,
        "vector_reschedule": Entry.DARK,
        "vector_sync": Entry.DARK,
        "vector_breakpoint": Entry.DARK,
        "vector_syscall": Entry.DARK,
        "kernel_entry": Entry.DARK,
        "irq_exit": Entry.SAVED,
        "kernel_exit": Entry.SAVED,
        "start_cpu": Entry.STACKLESS,
        "cpu_idle_loop": Entry.JUMPED,
        "finish_task_switch": Entry.SWITCHED,
        "ret_from_fork": Entry.FIRST,
        "ret_to_user_first": Entry.FIRST,
        "ftrace_caller": Entry.SITE,
        "ftrace_regs_caller": Entry.SITE,
        "ftrace_caller_ops": Entry.SITE,
        "ftrace_regs_caller_ops": Entry.SITE,
    },
    savers=frozenset({"kernel_entry"}),
    saved=_SAVED,
    switched={**{f"x{i}": f"x{i}" for i in range(19, 29)}, "fp": "x29", "lr": PC},
    pushed={},
    pushed_size=0,
)
