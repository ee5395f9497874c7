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
)
"""Lines that name a function of a patch that is refused, which no tree ever shows."""
_OWNERS = {"vic_": "victim", "late_": "late"}
_ANY_REPLACEMENT = "lp_cmdline_proc_show"
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
        if re.match(rf"load module {re.escape(name)}\b", step.action) and not functions:
            functions = _from_failures(step)
    callbacks = _callbacks(record, name, functions)
    if not functions and not callbacks:
        return None
    ordered = [obj for obj in callbacks if obj in functions]  # told in the order of the patch's array
    return PatchSource(
        name=name,
        objects={
            obj: {spelled: _replacement(spelled, replacements) for spelled in functions[obj]}
            for obj in [*ordered, *(obj for obj in functions if obj not in ordered)]
        },
        replace=_replaces(record, name),
        states=tuple(dict.fromkeys(_states(lines, name))),
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
