"""A64 branches, barriers, cache maintenance, exceptions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from emu.ordering.code.arm64.alu import CONDITIONS, FLAGS, KNOWN, assign, deps_of, known, value_of
from emu.ordering.code.arm64.operands import Register, need_amount, need_register
from emu.ordering.code.errors import CodeError, UnsupportedError
from emu.ordering.code.parsing import need_operands, target_of
from emu.ordering.code.thread import Dead, Instruction, Result, State
from emu.ordering.columns import CLEAN, INVALIDATE
from emu.ordering.dependencies import NONE
from emu.ordering.tree import Event

_BARRIER = {"LD": "ld", "ST": "st"}
_LINK = Register("X30", 64)
ELR = "ELR_EL1"
"""Register with the address that an exception returns to."""

EIS = "EIS"
"""Variant: exception entry synchronises context (with ``EXS``, exceptions need not)."""
EOS = "EOS"
EXS = "EXS"


def _branch(name: str, operands: list[str], index: int, labels: Mapping[str, int]) -> Instruction:
    to = target_of(operands[0], index, labels)
    link = name == "BL"

    def run(state: State) -> None:
        if link:
            assign(state, _LINK, state.code.address(state.index), NONE)
        state.jump(to)

    return run


def _conditional(name: str, operands: list[str], index: int, labels: Mapping[str, int]) -> Instruction:
    holds = CONDITIONS[name.removeprefix("B.")]
    to = target_of(operands[0], index, labels)

    def run(state: State) -> None:
        deps = state.deps.get(FLAGS, NONE)
        state.order.conditional_branch(deps)
        if holds(state.registers.get(FLAGS, 0)):
            state.jump(to, counted=deps != NONE or not state.registers.get(KNOWN, 0))

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
            state.jump(to, counted=deps != NONE or not known(state, source))

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
        state.jump(to)

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
    option = operands[0].upper()
    match = re.fullmatch(r"(NSH|ISH|OSH)(LD|ST)?|SY|LD|ST", option)
    if match is None:
        raise CodeError(f"{operands[0]!r} is not a barrier option; such as SY, ISH, ISHLD, ISHST")
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
    if operands[0].upper() != "CVAU":
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
    if option == "IVAU":
        need_operands("IC IVAU,", operands[1:], 1)
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
    state.registers[ELR] = state.code.address(back_to)
    state.deps[ELR] = NONE
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
        to = state.code.index(state.registers.get(ELR, 0))
        if to is None:
            raise CodeError("ERET goes to no instruction")
        state.handling = False
        state.jump(to)
        return None

    return run


def undefined(variants: frozenset[str]) -> Instruction:
    """Return what an undefined instruction does.

    Args:
        variants: of the test; with ``FAULTTONEXT`` the CPU goes on behind it.
    """

    def run(state: State) -> None:
        if "FAULTTONEXT" in variants:
            state.faults = (*state.faults, (state.index - 1, "UndefinedInstruction"))
            state.order.context_synchronisation()
            return
        take_exception(state, "UndefinedInstruction", state.index - 1, True)

    return run


def _system_register(name: str, operands: list[str]) -> Instruction:
    system, general = operands if name == "MSR" else operands[::-1]
    if system.upper() != ELR:
        raise UnsupportedError(f"system register {system} is not modelled; {ELR} is")
    register = need_register(general, 64)

    def write(state: State) -> None:
        state.registers[ELR] = value_of(state, register)
        state.deps[ELR] = deps_of(state, register)

    def read(state: State) -> None:
        assign(state, register, state.registers.get(ELR, 0), state.deps.get(ELR, NONE))

    return write if name == "MSR" else read


_SIMPLE: dict[str, tuple[Callable[[frozenset[str]], Instruction], int, int]] = {
    "ISB": (lambda variants: _isb, 0, 1), "NOP": (lambda variants: _nop, 0, 0),
    "HINT": (lambda variants: _nop, 1, 1), "YIELD": (lambda variants: _nop, 0, 0),
    "SVC": (_supervisor_call, 1, 1), "ERET": (_exception_return, 0, 0), "UDF": (undefined, 0, 1),
}  # fmt: skip
"""By name: what compiles it from the test's variants, and how many operands it has, at least and at most."""

_MAKERS: dict[str, tuple[Callable[[str, list[str], int, Mapping[str, int]], Instruction], int, int]] = {
    "B": (_branch, 1, 1), "BL": (_branch, 1, 1), "CBZ": (_compare_branch, 2, 2),
    "CBNZ": (_compare_branch, 2, 2), "TBZ": (_compare_branch, 3, 3), "TBNZ": (_compare_branch, 3, 3),
    "BR": (_indirect, 1, 1), "BLR": (_indirect, 1, 1), "RET": (_indirect, 0, 1), "ADR": (_address, 2, 2),
    "DMB": (_fence, 1, 1), "DSB": (_fence, 1, 1), "DC": (_clean, 2, 2), "IC": (_invalidate, 1, 2),
}  # fmt: skip
"""By name: what compiles it, and how many operands it has, at least and at most."""


def compile_branch(
    name: str, operands: list[str], index: int, labels: Mapping[str, int], variants: frozenset[str]
) -> Instruction | None:
    """Return a branch, barrier, cache operation or exception instruction; None if the name is not one.

    Args:
        name: of the instruction.
        operands: written.
        index: where it stands.
        labels: of its column, to indices.
        variants: of the test, in capitals.

    Raises:
        CodeError: operands are wrong.
        UnsupportedError: the operation is known and not modelled.
    """
    if name in _SIMPLE:
        make, least, most = _SIMPLE[name]
        need_operands(name, operands, least, most)
        return make(variants)
    if name in ("MSR", "MRS"):
        need_operands(name, operands, 2)
        return _system_register(name, operands)
    if name.startswith("B.") and name[2:] in CONDITIONS:
        need_operands(name, operands, 1)
        return _conditional(name, operands, index, labels)
    if name not in _MAKERS:
        return None
    maker, least, most = _MAKERS[name]
    need_operands(name, operands, least, most)
    return maker(name, operands, index, labels)
