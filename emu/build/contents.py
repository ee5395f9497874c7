"""What an image consists of: variables, the calls that workers make, modules, patches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from emu.build.code_source import CodeSource

VMLINUX = "vmlinux"
"""What patches call the kernel itself, among the objects that they patch."""
MOST_ARGUMENTS = 10
"""Arguments of a call. Source: docs/guest-kernel.md, do_one_call."""
BUFFER = "buffer"
"""Stands for the address of ``call_buffer`` among the arguments of a call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call that workers make.

    Args:
        fn: symbol to call.
        args: up to ten; the string ``"buffer"`` stands for the address of ``call_buffer``.
        expected: low 32 bits of the right result, whichever version answers.
    """

    fn: str
    args: tuple[int | str, ...]
    expected: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleSource:
    """A loadable module: its code, and the calls that workers make while it is loaded."""

    name: str
    code: CodeSource
    calls: tuple[Call, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchSource:
    """A patch module: object -> function -> replacement symbol, and its code.

    ``code`` None: the replacements that ship with klpemu, ``asm/<port>/replacement``.
    """

    name: str
    objects: Mapping[str, Mapping[str, str]]
    code: CodeSource | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What an image consists of."""

    name: str
    description: str
    origin: str
    variables: dict[str, int]
    calls: tuple[Call, ...]
    modules: dict[str, ModuleSource] = field(default_factory=dict)
    patches: dict[str, PatchSource] = field(default_factory=dict)

    def extended(self, modules: Mapping[str, ModuleSource], patches: Mapping[str, PatchSource]) -> Manifest:
        """Return this manifest with more modules and patches; those of the same name are replaced."""
        return replace(self, modules={**self.modules, **modules}, patches={**self.patches, **patches})
