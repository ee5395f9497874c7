"""What unwinding has to know about a port: its instructions, and the routines that are no functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from emu.arch.port import Port
from emu.build.decode import Instruction
from emu.kernel.unwind.effect import Effect, Flow


class Entry(Enum):
    """How control comes to the first instruction of a routine."""

    CALLED = auto()
    SITE = auto()
    """By the call at a traced function's entry site, or a veneer on the way."""
    INTERRUPT = auto()
    """By an exception whose frame the hardware pushes; see `Rules.pushed`."""
    SAVED = auto()
    """With a complete ``pt_regs`` at the stack pointer."""
    SWITCHED = auto()
    """With a task's ``switch_frame`` at the stack pointer."""
    FIRST = auto()
    """On an empty stack."""
    STACKLESS = auto()
    """On no kernel stack at all; the first that it takes is empty."""
    JUMPED = auto()
    """By jumps from other routines only, as part of them."""
    DARK = auto()
    """With what matters in system registers: nothing to be found yet."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rules:
    """One port.

    Args:
        port: it.
        fp: the frame pointer.
        general: the registers that matter, the stack pointer among them.
        preserved: those that a called function gives back as they were.
        return_depth: where the stack pointer is, from the CFA, in front of a return, bytes.
        site_link: register that tells a trampoline what the link register shall be behind the site, or "".
        effect: what an instruction does; it gets the registers that the decoder knows it writes.
        flow: where control goes behind a mnemonic.
        entries: how the kernel's routines begin that are not called.
        savers: routines that return with a complete ``pt_regs`` at the stack pointer.
        saved: register by member of ``pt_regs``.
        switched: register by member of ``switch_frame``.
        pushed: register by its distance from the end of a frame that the hardware pushed.
        pushed_size: bytes of such a frame.
    """

    port: Port
    fp: str
    general: tuple[str, ...]
    preserved: frozenset[str]
    return_depth: int
    site_link: str
    effect: Callable[[Instruction, frozenset[str]], Effect]
    flow: Callable[[str], Flow]
    entries: Mapping[str, Entry]
    savers: frozenset[str]
    saved: Mapping[str, str]
    switched: Mapping[str, str]
    pushed: Mapping[int, str]
    pushed_size: int

    @property
    def sp(self) -> str:
        """The stack pointer."""
        return self.port.registers.sp

    @property
    def link(self) -> str:
        """The register that holds a return address, "" where calls push it."""
        return self.port.registers.link
