"""What a disassembly tells: functions, their instructions, and what is patched in them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class SiteKind(StrEnum):
    """Where a function can be traced."""

    ENTRY = "entry"
    """At its first instruction, or behind its landing pad: it can be live-patched."""
    MCOUNT = "mcount"
    """Behind its prologue."""
    NONE = "none"


class SiteState(StrEnum):
    """What stands at a function's site."""

    LINKED = "as linked"
    OFF = "off"
    ON = "on"
    BREAKPOINT = "breakpoint"
    """A text poke is half done."""
    NONE = "no site"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One instruction.

    Args:
        address: of its first byte.
        code: its bytes.
        text: mnemonic and operands; the target of a branch by name.
        source: ``file:line``, empty where the source has no instruction there.
        labels: inner labels that stand before it.
        target: of a direct branch or call; None for all else.
        is_site: whether this is what a text poke rewrites to trace the function.
        notes: what else there is to know.
    """

    address: int
    code: bytes
    text: str
    source: str
    labels: tuple[str, ...]
    target: int | None
    is_site: bool
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """What an enabled patch makes of a function.

    Args:
        patch: its name.
        replacement: name of the function that runs instead; the function's own name for a nop func.
        is_nop: whether the replacement is the original, in an atomic replace patch.
        in_transition: whether some tasks take this and others not.
    """

    patch: str
    replacement: str
    is_nop: bool
    in_transition: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """One function.

    Args:
        name, address, size: of it; ``size`` in bytes.
        kind: of the code that it is part of: ``kernel``, ``module``, ``patch``, ``trampoline`` or ``plt``.
        object: name of the module or patch; ``vmlinux`` for the kernel.
        is_gone: whether it had been unloaded when the run ended, so that this is how it stood before.
        source: file.
        site: where it can be traced.
        state: what stands there.
        calls: name of what its site calls; empty unless it is on.
        versions: patches that cover it, oldest first; the last one wins.
        lines: its code.
    """

    name: str
    address: int
    size: int
    kind: str
    object: str
    is_gone: bool
    source: str
    site: SiteKind
    state: SiteState
    calls: str
    versions: tuple[Version, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Disassembly:
    """Functions of one image, or of one run.

    Args:
        arch, image: which.
        functions: the kernel's by address, then others in order of their arrival; or as asked for.
        is_run: whether this is the text at the end of a run, not what the linker made.
        notes: what a reader should know about the run.
    """

    arch: str
    image: str
    functions: tuple[Function, ...]
    is_run: bool = False
    notes: tuple[str, ...] = ()
