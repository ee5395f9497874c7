"""What is known at every instruction boundary of a group of functions: a walk along all their paths.

Source: the idea is objtool's (tools/objtool/check.c, validate_branch): follow every path, note where each
instruction finds the frame, and trust nothing where paths disagree.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import lru_cache

from emu.build.decode import Instruction, decode_writes
from emu.kernel.unwind.effect import Effect, Flow, carry_out
from emu.kernel.unwind.entry_states import entry_state, saved_state
from emu.kernel.unwind.functions import Function
from emu.kernel.unwind.rules import Entry, Rules
from emu.kernel.unwind.state import CFA, Kind, State, Value, join


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Functions that are looked at together.

    Args:
        functions: (function, its code).
        called_inside: addresses within them that calls go to.
        savers: addresses of `Rules.savers`.
        warns: addresses of traps behind which the kernel goes on.
    """

    functions: tuple[tuple[Function, bytes], ...]
    called_inside: frozenset[int]
    savers: frozenset[int]
    warns: frozenset[int]


@dataclass(frozen=True, slots=True)
class Analysis:
    """What a walk has found.

    Args:
        boundaries: addresses of all instructions.
        states: what is known in front of those that a path leads to.
        behind_calls: what is known while a call is under way, by the address that it returns to.
    """

    boundaries: AbstractSet[int]
    states: dict[int, State] = field(default_factory=dict)
    behind_calls: dict[int, State] = field(default_factory=dict)


@lru_cache(maxsize=4096)
def analyse(rules: Rules, group: Group) -> Analysis:
    """Return what is known of a group; nobody may change it.

    A stack pointer that comes from memory is at first nowhere in the frame. If every return that it reaches
    needs it at one and the same place, that is where it is, and the walk is made again.
    """
    resolved: dict[str, int] = {}
    while True:
        walk = _Walk(rules, group, resolved)
        walk.run()
        needed = {base: depths.pop() for base, depths in walk.needed.items() if len(depths) == 1}
        if not needed:
            return walk.found
        resolved |= needed


class _Walk:
    def __init__(self, rules: Rules, group: Group, resolved: dict[str, int]) -> None:
        self._rules, self._group, self._resolved = rules, group, resolved
        self._steps: dict[int, tuple[Instruction, Effect, Function]] = {}
        for function, code in group.functions:
            for instruction, written in decode_writes(rules.port, code, function.start):
                effect = rules.effect(instruction, written)
                self._steps[instruction.address] = instruction, effect, function
        self._declared = {
            function.start
            for function, _ in group.functions
            if function.entry not in (Entry.CALLED, Entry.JUMPED)
        }
        self.found = Analysis(self._steps.keys())
        self.needed: dict[str, set[int]] = {}
        self._pending: list[int] = []
        self._jumps: dict[Function, State] = {}
        self._landings: defaultdict[Function, set[int]] = defaultdict(set)

    def run(self) -> None:
        for function, _ in self._group.functions:
            state = entry_state(self._rules, function.entry)
            if state is not None:
                self._arrive(function.start, state)
        called = entry_state(self._rules, Entry.CALLED)
        for address in self._group.called_inside:
            if called is not None:
                self._arrive(address, called)
        while self._pending:
            self._pass(self._pending.pop())
            if not self._pending:
                self._jump_anywhere()

    def _jump_anywhere(self) -> None:
        """Let jumps by register or memory lead to the first instruction of their function that nothing does.

        Code that is ever run is one of these in turn, or found already; and where a jump meets other paths,
        it brings the frame that they have there, or the code could not return.
        """
        for function, state in self._jumps.items():
            places = (at for at, (_, _, owner) in self._steps.items() if owner is function)
            unknown = next((at for at in places if at not in self.found.states), None)
            if unknown is not None:
                self._landings[function].add(unknown)
            for landing in self._landings[function]:
                self._arrive(landing, state)

    def _arrive(self, address: int, state: State) -> None:
        if address not in self._steps:
            return
        states = self.found.states
        merged = join(states[address], state) if address in states else state
        if address not in states or merged != states[address]:
            states[address] = merged
            self._pending.append(address)

    def _pass(self, address: int) -> None:
        instruction, effect, function = self._steps[address]
        rules, before = self._rules, self.found.states[address]
        behind = address + instruction.size
        state = carry_out(effect, before, sp=rules.sp, moved=self._moved(address, before))
        if effect.flow in (Flow.BRANCH, Flow.JUMP) and effect.target not in self._declared:
            self._jump(effect.target, state, function)
        if effect.flow is Flow.CALL:
            state = self._called(effect, state)
            self.found.behind_calls[behind] = state
            if behind < function.end:
                self._arrive(behind, state)
        elif effect.flow is Flow.RETURN:
            self._return(state)
        elif effect.flow in (Flow.NEXT, Flow.BRANCH) or (
            effect.flow is Flow.TRAP and address in self._group.warns
        ):
            self._arrive(behind, state)

    def _jump(self, target: int | None, state: State, function: Function) -> None:
        if target is not None:
            self._arrive(target, state)
        else:
            known = self._jumps.get(function, state)
            self._jumps[function] = join(known, state)

    def _moved(self, address: int, before: State) -> Value:
        """Return what to call a stack pointer that is not understood."""
        if before.kind is Kind.FIRST and before.depth(self._rules.sp) is None:
            return CFA, 0  # the task's own stack, taken for the first time
        base = f"sp@{address:x}"
        return (CFA, self._resolved[base]) if base in self._resolved else (base, 0)

    def _called(self, effect: Effect, state: State) -> State:
        if effect.target in self._group.savers:
            return saved_state(self._rules)
        kept = {name: value for name, value in state.registers.items() if name in self._rules.preserved}
        return State(state.kind, kept, state.slots)

    def _return(self, state: State) -> None:
        base, offset = state.registers.get(self._rules.sp, ("", 0))
        if base.startswith("sp@") and state.kind in (Kind.CALL, Kind.SITE):
            self.needed.setdefault(base, set()).add(self._rules.return_depth - offset)
