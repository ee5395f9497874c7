"""Livepatches that a record names and the image does not: made from what the record shows of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from emu.build.contents import CALLBACKS, VMLINUX, CallbackSource, PatchSource, StateSource
from emu.kernel.errno import error_number
from emu.lab.replay.record import Record, Step

_FAILURES = (
    re.compile(r"livepatch: symbol '(?P<function>\w+)' not found in symbol table"),
    re.compile(
        r"livepatch: unresolvable ambiguity for symbol '(?P<function>\w+)' in object '(?P<object>\w+)'"
    ),
    re.compile(
        r"livepatch: symbol position (?P<position>\d+) for symbol '(?P<function>\w+)'"
        r" in object '(?P<object>\w+)' not found"
    ),
    re.compile(r"livepatch: failed to register ftrace handler for function '(?P<function>\w+)' .*"),
    re.compile(r"livepatch: failed to find location for function '(?P<function>\w+)'"),
    re.compile(r"livepatch: failed to set ftrace filter for function '(?P<function>\w+)' .*"),
    re.compile(r"livepatch: kallsyms size lookup failed for '(?P<function>\w+)'"),
)
"""Lines that name a function of a patch that is refused, which no tree ever shows.

Source: all that kernel/livepatch/core.c and patch.c tell of a function (6.1). What else they tell is of an
object (`_OBJECTS`), of the whole patch (`_INCOMPATIBLE`), of relocations, which no patch of a record has, or
of a module that comes, which the patch is known before.
"""
_OBJECTS = (
    re.compile(r"livepatch: pre-patch callback failed for object '(?P<object>\w+)'"),
    re.compile(r"livepatch: failed to patch object '(?P<object>\w+)'"),
)
"""Lines that name an object of a patch that is refused; which function of it, is not told."""
_INCOMPATIBLE = "livepatch: Livepatch patch ({}) is not compatible with the already installed livepatches."
"""Source: kernel/livepatch/core.c, klp_enable_patch; state.c, klp_is_patch_compatible (6.1)."""
_OWNERS = {"vic_": "victim", "late_": "late"}
_SOME_FUNCTION = {"victim": "vic_alpha", "late": "late_ping", VMLINUX: "cmdline_proc_show"}
_ANY_FUNCTION = "cmdline_proc_show"
_ANY_REPLACEMENT = f"lp_{_ANY_FUNCTION}"
"""For functions that have none because they do not exist; it refers to no module."""


def unlisted_patch(record: Record, name: str, replacements: Sequence[str]) -> PatchSource | None:
    """Return the livepatch ``name`` as far as the record tells what it does; None if nothing does.

    Args:
        record: all of it is read.
        name: of the module.
        replacements: names of the functions there are to replace others.
    """
    lines = [line for step in record.steps for line in step.dmesg]
    functions = _from_trees(record, name)
    for step in record.steps:
        loads = re.search(rf"(?i)\b(load|insmod|modprobe|insert)\b.*\b{re.escape(name)}\b", step.action)
        if loads and not functions:
            functions = _from_failures(step)
    refused = _INCOMPATIBLE.format(name) in lines
    if refused and not functions:
        functions = {VMLINUX: [_ANY_FUNCTION]}  # it is refused before anybody looks at its functions
    callbacks = _callbacks(record, name, functions)
    if not functions and not callbacks:
        return None
    states = tuple(dict.fromkeys(_states(lines, name)))
    replaces = _replaces(record, name)
    if refused and not states and not replaces:
        states = _too_low(record, name) if _joins_others(record, name) else ()
        replaces = not states
    ordered = [obj for obj in callbacks if obj in functions]  # told in the order of the patch's array
    return PatchSource(
        name=name,
        objects={
            obj: {spelled: _replacement(spelled, replacements) for spelled in functions[obj]}
            for obj in [*ordered, *(obj for obj in functions if obj not in ordered)]
        },
        replace=replaces,
        states=states,
        callbacks=callbacks,
    )


def _replacement(spelled: str, replacements: Sequence[str]) -> str:
    wanted = f"lp_{spelled.partition(',')[0]}"
    return wanted if wanted in replacements else _ANY_REPLACEMENT


def _trees(record: Record) -> Iterator[Mapping[str, Mapping[str, object]]]:
    for step in record.steps:
        tree = step.observed.get("livepatch")
        if isinstance(tree, dict):
            yield tree


def _from_trees(record: Record, name: str) -> dict[str, list[str]]:
    """Return the functions by object; of a patch that replaces others, without those that only go back."""
    settled: Mapping[str, object] = {}
    for tree in _trees(record):
        if name in tree and (not settled or tree[name].get("transition") == "0"):
            settled = tree[name]
    objects = settled.get("objects")
    seen = objects if isinstance(objects, dict) else {}
    several = set(re.findall(r"(\w+),2\b", str(list(_trees(record)))))
    return {
        obj: [_spelled(function, several) for function in facts.get("functions", ())]
        for obj, facts in sorted(seen.items(), key=lambda item: item[0] != VMLINUX)
    }


def _spelled(function: str, several: set[str]) -> str:
    name, _, position = function.partition(",")
    return function if name in several or position != "1" else name


def _from_failures(step: Step) -> dict[str, list[str]]:
    functions: dict[str, list[str]] = {}
    for line in step.dmesg:
        for pattern in _FAILURES:
            found = pattern.fullmatch(line)
            if found:
                told = found.groupdict()
                function, position = told["function"], told.get("position")
                owner = next((o for prefix, o in _OWNERS.items() if function.startswith(prefix)), VMLINUX)
                spelled = f"{function},{position}" if position else function
                functions.setdefault(told.get("object") or owner, []).append(spelled)
        named = [found["object"] for pattern in _OBJECTS for found in [pattern.fullmatch(line)] if found]
        for obj in named:
            functions.setdefault(obj, [_SOME_FUNCTION[obj]] if obj in _SOME_FUNCTION else [])
    return functions


def _callbacks(record: Record, name: str, functions: Mapping[str, object]) -> dict[str, CallbackSource]:
    """Return the callbacks by object: all four of every object, if one of any is ever told."""
    objects: dict[str, int] = {}
    pattern = re.compile(rf"{re.escape(name)}: (?:pre|post)_(?:un)?patch for (\w+) \([^)]*\)(, refusing)?")
    for step in record.steps:
        for line in step.dmesg:
            found = pattern.fullmatch(line)
            if found:
                returns = error_number(str(step.returned)) if found[2] else 0
                objects[found[1]] = objects.get(found[1], 0) or returns
    if objects:
        objects = {**objects, **{obj: 0 for obj in functions if obj not in objects}}
    return {
        obj: CallbackSource(names=CALLBACKS, pre_patch_returns=returns) for obj, returns in objects.items()
    }


def _states(lines: Sequence[str], name: str) -> Iterator[StateSource]:
    for line in lines:
        found = re.fullmatch(rf"  {re.escape(name)}: own state (\d+) version (\d+) data .*", line)
        if found:
            yield StateSource(id=int(found[1]), version=int(found[2]))


def _replaces(record: Record, name: str) -> bool:
    """Whether other patches vanish from the tree when the transition of this one is over."""
    trees = list(_trees(record))
    for before, after in pairwise(trees):
        is_over = after.get(name, {}).get("transition") == "0" and after[name].get("enabled") == "1"
        was_over = before.get(name, {}).get("transition") == "0"
        if is_over and not was_over and before.keys() - after.keys():
            return True
    return False


def _joins_others(record: Record, name: str) -> bool:
    """Whether a tree shows the patch in use together with others, so that it replaces none."""
    return any(
        len(tree) > 1 and name in tree and tree[name].get("transition") == "0" for tree in _trees(record)
    )


def _too_low(record: Record, name: str) -> tuple[StateSource, ...]:
    """Return the states that others told of before ``name`` was refused, at versions that are too low."""
    told: dict[int, int] = {}
    for step in record.steps:
        if _INCOMPATIBLE.format(name) in step.dmesg:
            break
        for line in step.dmesg:
            found = re.fullmatch(r"  \S+: own state (\d+) version (\d+) data .*", line)
            if found:
                told[int(found[1])] = int(found[2])
    return tuple(StateSource(id=state, version=version - 1) for state, version in told.items() if version)
