"""What is known at the first instruction of a routine."""

from __future__ import annotations

from collections.abc import Mapping

from emu.kernel.unwind.rules import Entry, Rules
from emu.kernel.unwind.state import CFA, PC, Kind, State, Value
from emu.structs import Struct


def entry_state(rules: Rules, entry: Entry) -> State | None:
    """Return the state at a routine's start; None if only jumps tell."""
    match entry:
        case Entry.CALLED:
            return _called(rules, Kind.CALL)
        case Entry.SITE:
            return _called(rules, Kind.SITE)
        case Entry.INTERRUPT:
            slots = {at: (register, 0) for at, register in rules.pushed.items()}
            return State(Kind.EXCEPTION, _unchanged(rules) | {rules.sp: (CFA, -rules.pushed_size)}, slots)
        case Entry.SAVED:
            return saved_state(rules)
        case Entry.SWITCHED:
            return _framed(rules, Kind.SWITCHED, rules.port.switch_frame, rules.switched)
        case Entry.FIRST:
            return State(Kind.FIRST, {rules.sp: (CFA, 0)})
        case Entry.STACKLESS:
            return State(Kind.FIRST)
        case Entry.DARK:
            return State(Kind.EXCEPTION)
        case Entry.JUMPED:
            return None


def saved_state(rules: Rules) -> State:
    """Return the state of an exception whose registers are all in a ``pt_regs`` at the stack pointer."""
    return _framed(rules, Kind.EXCEPTION, rules.port.pt_regs, rules.saved)


def _framed(rules: Rules, kind: Kind, frame: Struct, registers: Mapping[str, str]) -> State:
    """Return the state with a ``frame`` at the stack pointer whose members hold ``registers``."""
    slots: dict[int, Value] = {
        frame.offset(member) - frame.size: (register, 0) for member, register in registers.items()
    }
    return State(kind, {rules.sp: (CFA, -frame.size)}, slots)


def _called(rules: Rules, kind: Kind) -> State:
    registers, slots = _unchanged(rules), dict[int, Value]()
    registers[rules.sp] = (CFA, rules.return_depth)
    if rules.link:
        registers[rules.link] = (PC, 0)
    else:
        slots[rules.return_depth] = (PC, 0)
    if kind is Kind.SITE and rules.site_link:
        registers[rules.site_link] = (rules.link, 0)
    return State(kind, registers, slots)


def _unchanged(rules: Rules) -> dict[str, Value]:
    return {register: (register, 0) for register in rules.general}
