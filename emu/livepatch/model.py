"""What a livepatch is, as its author declares it.

Source: include/linux/livepatch.h, struct klp_func, klp_object, klp_patch, klp_state (6.1): the members an
author fills in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ObjectFacts:
    """What a callback is told: the patch, the object ("vmlinux" or a module) and its module's state."""

    patch: str
    object: str
    state: str


Callback = Callable[[ObjectFacts], int]
"""Runs on the patching CPU; only what pre_patch returns matters: 0, or an error that refuses the patch."""


@dataclass(frozen=True, slots=True)
class Func:
    """One function to replace.

    Args:
        old_name: its name in the object.
        new_func: the replacement: a name, searched in the patch module first, or an address.
        sympos: which of several functions of that name, from 1; 0: it must be the only one.
    """

    old_name: str
    new_func: str | int
    sympos: int = field(default=0, kw_only=True)


@dataclass(frozen=True, slots=True)
class Object:
    """One object to patch.

    Args:
        name: a module, or None for the kernel image.
        funcs: its functions to replace.
        pre_patch, post_patch, pre_unpatch, post_unpatch: callbacks.
    """

    name: str | None
    funcs: tuple[Func, ...] = ()
    pre_patch: Callback | None = field(default=None, kw_only=True)
    post_patch: Callback | None = field(default=None, kw_only=True)
    pre_unpatch: Callback | None = field(default=None, kw_only=True)
    post_unpatch: Callback | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class State:
    """A system state that a patch changes: two patches may share it when the newer's version is no lower."""

    id: int
    version: int


@dataclass(frozen=True, slots=True)
class Patch:
    """A livepatch.

    Args:
        name: of its module.
        objects: what it patches.
        replace: it takes the place of every patch before it (atomic replace).
        states: system states it changes.
    """

    name: str
    objects: tuple[Object, ...]
    replace: bool = field(default=False, kw_only=True)
    states: tuple[State, ...] = field(default=(), kw_only=True)
