"""Patches as users declare them: in a manifest, a scenario, or by `Machine.add_patch`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from emu.build.code_source import GivenCode, code_source
from emu.build.contents import VMLINUX, CallbackSource, PatchSource, StateSource, function_position
from emu.livepatch import Func, Object, Patch, State


def patch_source(
    name: str,
    code: GivenCode | None,
    objects: Mapping[str, Mapping[str, str]],
    *,
    replace: bool,
    states: Sequence[tuple[int, int]],
    callbacks: Mapping[str, Sequence[str]],
    pre_patch_returns: Mapping[str, int],
) -> PatchSource:
    """Return a patch as a manifest would describe it; the arguments are those of `Machine.add_patch`.

    Raises:
        ValueError: there is no such callback, no pre_patch to return that, or a state has the id 0.
    """
    source = PatchSource(
        name=name, code=None if code is None else code_source(name, code), objects=objects, replace=replace,
        states=tuple(StateSource(id=number, version=version) for number, version in states),
        callbacks={
            obj: CallbackSource(
                names=tuple(callbacks.get(obj, ())), pre_patch_returns=pre_patch_returns.get(obj, 0)
            )
            for obj in {**callbacks, **pre_patch_returns}
        },
    )  # fmt: skip
    declared(source)
    return source


def declared(source: PatchSource) -> Patch:
    """Return the patch that a manifest describes.

    Raises:
        ValueError: see `Object` and `State`.
    """
    objects = tuple(_object(key, source) for key in {**source.objects, **source.callbacks})
    states = tuple(State(state.id, state.version) for state in source.states)
    return Patch(source.name, objects, replace=source.replace, states=states)


def _object(name: str, source: PatchSource) -> Object:
    callbacks = source.callbacks.get(name, CallbackSource(names=()))
    return Object(
        None if name == VMLINUX else name,
        tuple(_func(*pair) for pair in source.objects.get(name, {}).items()),
        callbacks=callbacks.names,
        pre_patch_returns=callbacks.pre_patch_returns,
    )


def _func(spelled: str, replacement: str) -> Func:
    name, sympos = function_position(spelled)
    return Func(name, replacement or 0, sympos=sympos)
