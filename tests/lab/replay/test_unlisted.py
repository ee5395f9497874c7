"""A livepatch that only a record knows is what the record shows of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from emu.arch import port_named
from emu.build.assembly_files import read_units
from emu.build.contents import PatchSource
from emu.build.manifest import load_manifest
from emu.lab.patching import REPLACEMENTS
from emu.lab.replay import load_record, replay
from emu.lab.replay.player import boot
from emu.lab.replay.unlisted import unlisted_patch

FOLDER = Path(__file__).parents[2] / "reference" / "real-kernel"
NOT_TOLD = {"lp_cbfail", "lp_cbfail2", "lp_badname", "lp_goodbad"}
"""Refused before the record could show all of what they have."""
PATCHES = [
    (path.stem, patch)
    for path in sorted(FOLDER.glob("*.json"))
    for patch in dict.fromkeys(re.findall(r'"load module (lp_\w+)', path.read_text(encoding="utf-8")))
    if patch not in NOT_TOLD
]


def essence(patch: PatchSource) -> object:
    objects = {name: dict(functions) for name, functions in patch.objects.items() if functions}
    return objects, patch.replace, patch.states, dict(patch.callbacks)


@pytest.mark.parametrize(("scenario", "patch"), PATCHES)
def test_it_is_the_patch_of_the_image(scenario: str, patch: str) -> None:
    names = [f"lp_{unit.name}" for unit in read_units(port_named("x86_64"), REPLACEMENTS)]
    made = unlisted_patch(load_record(FOLDER / f"{scenario}.json"), patch, names)

    assert made is not None
    assert essence(made) == essence(load_manifest("reference").patches[patch])


def test_it_is_replayed_as_if_it_were_of_the_image() -> None:
    def without_patches(arch: str) -> object:
        machine = boot(arch)
        machine.loader.manifest.patches.clear()
        return machine

    assert replay(load_record(FOLDER / "replace_chain.json"), machine=without_patches) == []  # type: ignore[arg-type]
