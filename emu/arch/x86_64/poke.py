"""x86-64: rewriting live text under breakpoints.

Source: arch/x86/kernel/alternative.c, text_poke_bp_batch (6.1): the order of its effects.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from types import MappingProxyType

from emu.arch.tracing import Poke, Step, StepKind

INT3 = b"\xcc"
NOP_KIND, CALL_KIND, JMP_KIND = range(3)
"""``kind`` of a ``bp_desc`` entry. Source: docs/guest-kernel.md."""

STEP_NAMES = MappingProxyType(
    {
        "bp_desc entry": "a CPU that hits the breakpoint finds no entry or a stale one",
        "bp_desc nr_entries": "the handler searches too few entries",
        "smp_wmb bp_desc": "refs may be seen before the entries; pairs with vector_breakpoint taking refs",
        "bp_desc refs": "the handler takes the breakpoint for a stray one",
        "smp_wmb int3": "the first int3 may be seen before refs; pairs with vector_breakpoint",
        "int3": "a CPU may run half an old and half a new instruction",
        "sync after int3": "a CPU may still be fetching the old first byte while the tail changes",
        "tail": "the new instruction keeps the old tail",
        "sync after tail": "a CPU may join the new first byte to the old tail",
        "first byte": "the breakpoint stays",
        "sync after first byte": "a CPU may still hit the breakpoint after refs went to 0",
        "bp_desc release": "refs stays up: no wait for handlers, and a late breakpoint finds old entries",
        "early": "the text stays as the compiler made it",
    }
)


def _entry(poke: Poke) -> tuple[int, int, int]:
    opcode, behind = poke.data[0], poke.address + len(poke.data)
    if opcode in (0xE8, 0xE9) and len(poke.data) == 5:
        target = behind + struct.unpack_from("<i", poke.data, 1)[0]
        return poke.address, CALL_KIND if opcode == 0xE8 else JMP_KIND, target
    return poke.address, NOP_KIND, 0


def poke_steps(pokes: Sequence[Poke], shield: int) -> list[Step]:
    """Return the steps that rewrite every site of ``pokes``, sorted by address, while CPUs run them.

    From the first breakpoint on, a CPU that hits one emulates the *new* instruction.
    """
    assert list(pokes) == sorted(pokes, key=lambda poke: poke.address), "the handler searches by halves"
    steps = []
    for i, poke in enumerate(pokes):
        for j, word in enumerate(_entry(poke)):
            at = shield + 16 + 24 * i + 8 * j
            steps.append(_store("bp_desc entry", at, word))
    steps += [
        _store("bp_desc nr_entries", shield + 8, len(pokes)),
        Step(kind=StepKind.WMB, what="smp_wmb bp_desc"),
        _store("bp_desc refs", shield, 1),
        Step(kind=StepKind.WMB, what="smp_wmb int3"),
    ]
    steps += [_text("int3", poke.address, INT3) for poke in pokes]
    steps.append(Step(kind=StepKind.SYNC, what="sync after int3"))
    tails = [_text("tail", poke.address + 1, poke.data[1:]) for poke in pokes if len(poke.data) > 1]
    if tails:
        steps += [*tails, Step(kind=StepKind.SYNC, what="sync after tail")]
    firsts = [_text("first byte", poke.address, poke.data[:1]) for poke in pokes if poke.data[:1] != INT3]
    if firsts:
        steps += [*firsts, Step(kind=StepKind.SYNC, what="sync after first byte")]
    steps.append(Step(kind=StepKind.RELEASE, what="bp_desc release", address=shield))
    return steps


def early_steps(pokes: Sequence[Poke]) -> list[Step]:
    """Return the steps that rewrite text before any CPU runs it. Source: text_poke_early."""
    return [_text("early", poke.address, poke.data) for poke in pokes]


def _store(what: str, address: int, value: int) -> Step:
    return Step(kind=StepKind.STORE, what=what, address=address, data=struct.pack("<Q", value))


def _text(what: str, address: int, data: bytes) -> Step:
    return Step(kind=StepKind.TEXT_STORE, what=what, address=address, data=data)
