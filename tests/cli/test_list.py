"""``klpemu list`` names what there is to choose from."""

import json

import pytest

from emu.arch import PORTS
from emu.build.manifest import image_names
from emu.cli.main import main
from emu.lab.defects import DEFECTS
from emu.lab.explorer.catalogue import descriptions
from emu.lab.explorer.incidents import INCIDENTS
from emu.lab.incidents import incident_names
from emu.lab.scenario import scenario_names
from emu.livepatch import FLAVOURS
from emu.timing import cpu_model_names

NAMES = {
    "images": image_names(),
    "scenarios": scenario_names(),
    "incidents": [*incident_names(), *INCIDENTS],
    "explorations": list(descriptions()),
    "cpu-models": cpu_model_names(),
    "defects": sorted(DEFECTS),
    "flavours": sorted(FLAVOURS),
    "ports": sorted(PORTS),
}


def listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(["list", *arguments])
    assert stopped.value.code == 0
    out, err = capsys.readouterr()
    assert not err
    return out


def test_everything_is_listed_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(listed(capsys, "--json"))

    assert {kind: list(found[kind]) for kind in NAMES} == NAMES


@pytest.mark.parametrize("kind", NAMES)
def test_one_kind_alone(capsys: pytest.CaptureFixture[str], kind: str) -> None:
    assert list(json.loads(listed(capsys, kind, "--json"))) == [kind]


@pytest.mark.parametrize("kind", NAMES)
def test_text_has_a_line_with_a_description_for_each_name(
    capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    head, *lines = listed(capsys, kind).splitlines()

    assert head == f"{kind}:"
    assert [line.split()[0] for line in lines] == NAMES[kind]
    assert all(len(line.split()) > 1 for line in lines)
