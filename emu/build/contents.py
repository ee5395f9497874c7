"""What an image consists of: variables, the calls that workers make, modules, patches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from emu.build.code_source import CodeSource

VMLINUX = "vmlinux"
"""What patches call the kernel itself, among the objects that they patch."""
MOST_ARGUMENTS = 10
"""Arguments of a call. Source: docs/guest-kernel.md, do_one_call."""
MOST_ROUNDS = 64
"""A call can be made in one of so many rounds of all calls, at the rarest. Assumed."""
CALLBACKS = ("pre_patch", "post_patch", "pre_unpatch", "post_unpatch")
"""What an object of a patch may have, in the order they are called. Source: struct klp_callbacks (6.1)."""
BUFFER = "buffer"
"""Stands for the address of ``call_buffer`` among the arguments of a call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call that workers make.

    Args:
        fn: symbol to call.
        args: up to ten; the string ``"buffer"`` stands for the address of ``call_buffer``.
        expected: low 32 bits of the right result, whichever version answers.
        every: made in one of so many rounds only.
    """

    fn: str
    args: tuple[int | str, ...]
    expected: int
    every: int = 1


def in_rounds(calls: Sequence[Call]) -> list[int]:
    """Return the indices of ``calls`` in the order that workers make them, until they begin again."""
    rounds = range(1, max((call.every for call in calls), default=1) + 1)
    return [at for turn in rounds for at, call in enumerate(calls) if turn % call.every == 0]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleSource:
    """A loadable module.

    Args:
        name: of it.
        code: of it.
        calls: what workers call while it is loaded.
        variables: bytes of each variable, zeroed when it is loaded; code other than ours has its own.
    """

    name: str
    code: CodeSource
    calls: tuple[Call, ...] = ()
    variables: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StateSource:
    """A system state that a patch changes, and the version of its change."""

    id: int
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackSource:
    """The callbacks of one object of a patch.

    Args:
        names: which of `CALLBACKS` there are.
        pre_patch_returns: 0, or the negative errno with which pre_patch refuses the patch.
    """

    names: tuple[str, ...]
    pre_patch_returns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchSource:
    """A patch module.

    Args:
        name: of it.
        objects: object -> function -> replacement symbol, in the order of the patch's arrays. One of several
            functions of a name is spelled as in sysfs, ``vic_dup,2``: see `function_position`.
        code: of it; None: the replacements that ship with klpemu, ``asm/<port>/replacement``.
        replace: it takes the place of every patch before it.
        states: system states it changes.
        callbacks: object -> its callbacks; an object may have callbacks and no functions.
        unchecked: objects and functions that don't exist are for the kernel to refuse; so is having none.
    """

    name: str
    objects: Mapping[str, Mapping[str, str]]
    code: CodeSource | None = None
    replace: bool = False
    states: tuple[StateSource, ...] = ()
    callbacks: Mapping[str, CallbackSource] = field(default_factory=dict)
    unchecked: bool = False


def function_position(spelled: str) -> tuple[str, int]:
    """Return the name of a function and which one of that name is meant, 0 where nothing says so.

    >>> function_position("vic_dup,2"), function_position("vic_alpha")
    (('vic_dup', 2), ('vic_alpha', 0))
    """
    name, _, position = spelled.partition(",")
    return name, int(position or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What an image consists of.

    Args:
        name, description: for people.
        origin: how messages name it.
        variables: bytes of each kernel variable.
        calls: what workers call.
        modules, patches: by name.
        sources: files of ``asm/<port>``, of the kernel or a module -> the file of there that takes its place.
    """

    name: str
    description: str
    origin: str
    variables: dict[str, int]
    calls: tuple[Call, ...]
    modules: dict[str, ModuleSource] = field(default_factory=dict)
    patches: dict[str, PatchSource] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)

    def extended(self, modules: Mapping[str, ModuleSource], patches: Mapping[str, PatchSource]) -> Manifest:
        """Return this manifest with more modules and patches; those of the same name are replaced."""
        return replace(self, modules={**self.modules, **modules}, patches={**self.patches, **patches})
