"""A64 branches, barriers, cache maintenance, exceptions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from emu.ordering.code.arm64.alu import CONDITIONS, FLAGS, KNOWN, assign, deps_of, known, value_of
from emu.ordering.code.arm64.operands import Register, need_amount, need_integer, need_register
from emu.ordering.code.errors import CodeError, UnsupportedError
from emu.ordering.code.thread import Dead, Instruction, Result, State
from emu.ordering.columns import CLEAN, INVALIDATE
from emu.ordering.local_arm64 import NONE
from emu.ordering.tree import Event

_BARRIER = {"LD": "ld", "ST": "st"}
_LINK = Register("X30", 64)
_ELR = "ELR_EL1"
_RELATIVE = re.compile(r"\.\s*([+-]\s*\w+)$")

EIS = "EIS"
"""Variant: exception entry synchronises context (with ``EXS``, exceptions need not)."""
EOS = "EOS"
EXS = "EXS"


def target_of(text: str, index: int, labels: Mapping[str, int]) -> int:
    """Return where a branch at an index goes: a label or ``.+8``."""
    text = text.strip()
    match = _RELATIVE.match(text)
    if match is not None:
        distance = need_integer(match[1].replace(" ", ""))
        if distance % 4:
            raise CodeError(f"{text!r} is not a multiple of 4 bytes away")
        return index + distance // 4
    if text not in labels:
        raise CodeError(f"there is no label {text!r}")
    return labels[text]


def _goto(state: State, index: int, counted: bool = True) -> None:
    if not 0 <= index < len(state.code.instructions):
        raise CodeError("a branch leaves the code")
    state.jump(index, counted)


def _branch(name: str, operands: list[str], index: int, labels: Mapping[str, int]) -> Instruction:
    to = target_of(operands[0], index, labels)
    link = name == "BL"

    def run(state: State) -> None:
        if link:
            assign(state, _LINK, state.code.address(state.index), NONE)
        _goto(state, to)

    return run


def _conditional(name: str, operands: list[str], index: int, labels: Mapping[str, int]) -> Instruction:
    condition = name[2:] if name[1] == "." else name[1:]
    holds = CONDITIONS[condition]
    to = target_of(operands[0], index, labels)

    def run(state: State) -> None:
        deps = state.deps.get(FLAGS, NONE)
        state.order.conditional_branch(deps)
        if holds(state.registers.get(FLAGS, 0)):
            _goto(state, to, deps != NONE or not state.registers.get(KNOWN, 0))

    return run


def _compare_branch(name: str, operands: list[str], index: int, labels: Mapping[str, int]) -> Instruction:
    source = need_register(operands[0])
    to = target_of(operands[-1], index, labels)
    wanted = name in ("CBZ", "TBZ")
    mask = 1 << need_amount(operands[1]) if name[0] == "T" else source.mask

    def run(state: State) -> None:
        deps = deps_of(state, source)
        state.order.conditional_branch(deps)
        if (value_of(state, source) & mask == 0) == wanted:
            _goto(state, to, deps != NONE or not known(state, source))

    return run


def _indirect(name: str, operands: list[str], index: int, labels: Mapping[str, int]) -> Instruction:
    del index, labels
    source = need_register(operands[0], 64) if operands else _LINK

    def run(state: State) -> None:
        to = state.code.index(value_of(state, source))
        state.order.conditional_branch(deps_of(state, source))
        if to is None:
            raise CodeError(f"{name} goes to no instruction")
        if name == "BLR":
            assign(state, _LINK, state.code.address(state.index), NONE)
        _goto(state, to)

    return run


def _address(name: str, operands: list[str], index: int, labels: Mapping[str, int]) -> Instruction:
    del name
    target = need_register(operands[0], 64)
    to = target_of(operands[1], index, labels)

    def run(state: State) -> None:
        assign(state, target, state.code.address(to), NONE)

    return run


def _fence(name: str, operands: list[str], index: int, labels: Mapping[str, int]) -> Instruction:
    del index, labels
    option = operands[0].upper() if operands else "SY"
    match = re.fullmatch(r"(NSH|ISH|OSH)(LD|ST)?|SY|LD|ST", option)
    if match is None:
        raise CodeError(f"{option!r} is not a barrier option")
    kind = _BARRIER.get(match[2] or option, "full")
    note = ""
    if match[1] and name == "DMB":
        note = "Shareability-argument-for-DMB-is-deprecated"
    elif match[2]:
        note = f"Maintenance-scope-for-DSB-{match[2]}-is-deprecated"

    def run(state: State) -> None:
        getattr(state.order, name.lower())(kind)
        if note:
            state.notes |= {note}

    return run


def _isb(state: State) -> None:
    state.order.context_synchronisation()


def _nop(state: State) -> None:
    del state


def _clean(name: str, operands: list[str], index: int, labels: Mapping[str, int]) -> Instruction:
    del index, labels
    if operands[0].upper() not in ("CVAU",):
        raise UnsupportedError(f"{name} {operands[0]} is not modelled; DC CVAU is")
    source = need_register(operands[1], 64)

    def run(state: State) -> None:
        address = value_of(state, source)
        placed = state.order.clean(address, deps_of(state, source))
        state.events.append(Event(CLEAN, address, None, placed.local, placed.synced))

    return run


def _invalidate(name: str, operands: list[str], index: int, labels: Mapping[str, int]) -> Instruction:
    del index, labels
    option = operands[0].upper()
    if option not in ("IVAU", "IALLU", "IALLUIS"):
        raise UnsupportedError(f"{name} {operands[0]} is not modelled; IC IVAU, IALLU and IALLUIS are")
    source = need_register(operands[1], 64) if option == "IVAU" else None

    def run(state: State) -> None:
        deps = NONE if source is None else deps_of(state, source)
        line = None if source is None else value_of(state, source)
        placed = state.order.invalidate(deps)
        state.events.append(Event(INVALIDATE, line, None, placed.local, placed.synced))

    return run


def take_exception(state: State, kind: str, back_to: int, synchronise: bool) -> None:
    """Enter the fault handler; without one the CPU stops.

    Args:
        state: of the CPU.
        kind: of exception.
        back_to: index that the exception returns to.
        synchronise: whether the entry is a context synchronisation event.
    """
    if state.handling:
        raise Dead  # a fault inside the handler: no such execution is counted
    at = state.index - 1
    state.faults = (*state.faults, (at, kind))
    if synchronise:
        state.order.context_synchronisation()
    if state.handler < 0:
        state.ended = True
        return
    state.registers[_ELR] = state.code.address(back_to)
    state.deps[_ELR] = NONE
    state.index = state.handler
    state.handling = True


def _supervisor_call(variants: frozenset[str]) -> Instruction:
    synchronise = EXS not in variants or EIS in variants

    def run(state: State) -> None:
        take_exception(state, "SupervisorCall", state.index, synchronise)

    return run


def _exception_return(variants: frozenset[str]) -> Instruction:
    synchronise = EXS not in variants or EOS in variants

    def run(state: State) -> Result:
        if synchronise:
            state.order.context_synchronisation()
        to = state.code.index(state.registers.get(_ELR, 0))
        if to is None:
            raise CodeError("ERET goes to no instruction")
        state.handling = False
        state.jump(to)
        return None

    return run


def undefined(variants: frozenset[str]) -> Instruction:
    """Return what an undefined instruction does."""

    def run(state: State) -> None:
        if "FAULTTONEXT" in variants:
            state.faults = (*state.faults, (state.index - 1, "UndefinedInstruction"))
            state.order.context_synchronisation()
            return
        take_exception(state, "UndefinedInstruction", state.index - 1, True)

    return run


def _system_register(name: str, operands: list[str]) -> Instruction:
    if len(operands) != 2:
        raise CodeError(f"{name} needs 2 operands")
    system, general = operands if name == "MSR" else operands[::-1]
    if system.upper() != _ELR:
        raise UnsupportedError(f"system register {system} is not modelled; {_ELR} is")
    register = need_register(general, 64)

    def write(state: State) -> None:
        state.registers[_ELR] = value_of(state, register)
        state.deps[_ELR] = deps_of(state, register)

    def read(state: State) -> None:
        assign(state, register, state.registers.get(_ELR, 0), state.deps.get(_ELR, NONE))

    return write if name == "MSR" else read


_TABLE: dict[str, tuple[int, Callable[[str, list[str], int, Mapping[str, int]], Instruction]]] = {
    "B": (1, _branch), "BL": (1, _branch), "CBZ": (2, _compare_branch), "CBNZ": (2, _compare_branch),
    "TBZ": (3, _compare_branch), "TBNZ": (3, _compare_branch), "BR": (1, _indirect), "BLR": (1, _indirect),
    "RET": (0, _indirect), "ADR": (2, _address), "DMB": (1, _fence), "DSB": (1, _fence), "DC": (2, _clean),
    "IC": (1, _invalidate),
}  # fmt: skip


def compile_branch(
    name: str, operands: list[str], index: int, labels: Mapping[str, int], variants: frozenset[str]
) -> Instruction | None:
    """Return a branch, barrier, cache operation or exception instruction; None if the name is not one."""
    if name == "ISB":
        return _isb
    if name in ("NOP", "HINT", "YIELD"):
        return _nop
    if name == "SVC":
        return _supervisor_call(variants)
    if name == "ERET":
        return _exception_return(variants)
    if name == "UDF":
        return undefined(variants)
    if name in ("MSR", "MRS"):
        return _system_register(name, operands)
    if name.startswith("B.") and name[2:] in CONDITIONS:
        return _conditional(name, operands, index, labels)
    if name not in _TABLE:
        return None
    least, maker = _TABLE[name]
    if len(operands) < least:
        raise CodeError(f"{name} needs {least} operands")
    return maker(name, operands, index, labels)
