"""What a livepatch is, as its author declares it.

Source: include/linux/livepatch.h, struct klp_func, klp_object, klp_patch, klp_state (6.1): the members an
author fills in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from emu.build.contents import CALLBACKS


@dataclass(frozen=True, slots=True)
class ObjectFacts:
    """What a callback is told.

    Args:
        patch: its name.
        object: "vmlinux" or a module.
        state: of that module: "live", "coming", "going", or "built in".
        klp_patch: guest address of the patch, by which its states are found.
    """

    patch: str
    object: str
    state: str
    klp_patch: int = 0


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
        callbacks: those of `CALLBACKS` that only tell the kernel log that they run; see `announce`.
        pre_patch_returns: what pre_patch returns when it is one of those: 0, or a negative error.

    Raises:
        ValueError: there is no such callback, one is given twice, or there is no pre_patch to return that.
    """

    name: str | None
    funcs: tuple[Func, ...] = ()
    pre_patch: Callback | None = field(default=None, kw_only=True)
    post_patch: Callback | None = field(default=None, kw_only=True)
    pre_unpatch: Callback | None = field(default=None, kw_only=True)
    post_unpatch: Callback | None = field(default=None, kw_only=True)
    callbacks: tuple[str, ...] = field(default=(), kw_only=True)
    pre_patch_returns: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        for name in self.callbacks:
            if name not in CALLBACKS:
                raise ValueError(f"callbacks must be of {', '.join(CALLBACKS)}, not {name!r}")
            if getattr(self, name) is not None:
                raise ValueError(f"{name} is given both as a function and in callbacks; give one")
        if self.pre_patch_returns and "pre_patch" not in self.callbacks:
            raise ValueError("pre_patch_returns needs pre_patch in callbacks")


@dataclass(frozen=True, slots=True)
class State:
    """A system state that a patch changes: two patches may share it when the newer's version is no lower.

    Args:
        id: not 0.
        version: of the change.
        data: what the guest's ``klp_state.data`` holds when the patch is loaded.
    """

    id: int
    version: int
    data: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("id must not be 0, which ends the array of states")


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
