"""arm64: rewriting live text, one aligned word at a time.

Source: arch/arm64/kernel/patching.c, aarch64_insn_patch_text_nosync and aarch64_insn_patch_text_cb (6.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from emu.arch.tracing import Poke, Step, StepKind

STEP_NAMES = MappingProxyType(
    {
        "bl": "the site keeps its old instruction",
        "dc cvau": "the new word may stay above the point of unification",
        "dsb after dc": "the invalidation may overtake the clean and let the old word back in",
        "ic ivau": "instruction caches keep the old word",
        "dsb after ic": "the invalidation may not have reached every CPU yet",
        "isb": "this CPU may have fetched the old word already",
        "sync after poke": "the others may have fetched the old word already",
        "early": "the text stays as the compiler made it",
        "ops literal": "the site's caller runs the handler of the users before",
    }
)


def poke_steps(pokes: Sequence[Poke], shield: int) -> list[Step]:
    """Return the steps that rewrite each site while CPUs run it; ``shield`` is not used.

    Linux leaves out the last one, "sync after poke", for NOP <-> BL: the architecture lets a CPU run
    either word (Arm ARM B2.2.5), and ftrace lives with a late one. Here a poke ends at a definite point.
    """
    del shield
    steps = []
    for poke in pokes:
        assert (len(poke.data), poke.address % 4) == (4, 0), "only one aligned word is stored in one piece"
        steps += [*_written("bl", poke), Step(kind=StepKind.SYNC, what="sync after poke")]
    return steps


def early_steps(pokes: Sequence[Poke]) -> list[Step]:
    """Return the steps that rewrite text before any CPU runs it."""
    return [step for poke in pokes for step in _written("early", poke)]


def _written(what: str, poke: Poke) -> list[Step]:
    return [
        Step(kind=StepKind.TEXT_STORE, what=what, address=poke.address, data=poke.data),
        Step(kind=StepKind.CACHE_CLEAN, what="dc cvau", address=poke.address, data=poke.data),
        Step(kind=StepKind.DSB, what="dsb after dc"),
        Step(kind=StepKind.CACHE_INVALIDATE, what="ic ivau", address=poke.address, data=poke.data),
        Step(kind=StepKind.DSB, what="dsb after ic"),
        Step(kind=StepKind.ISB, what="isb"),
    ]
