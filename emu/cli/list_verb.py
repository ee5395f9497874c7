"""``klpemu list``: what there is to choose from."""

from __future__ import annotations

import json
from collections.abc import Mapping

import click

from emu.cli.exits import DONE

KINDS = (
    "images", "scenarios", "explorations", "incidents", "defects", "ports", "flavours", "cpu-models",
)  # fmt: skip


@click.command(name="list")
@click.argument("kind", required=False, type=click.Choice(KINDS))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(kind: str | None, as_json: bool) -> int:
    """List images, scenarios, explorations, incidents, defects, ports, flavours, CPU models; or all."""
    found = {name: _entries(name) for name in (KINDS if kind is None else (kind,))}
    if as_json:
        print(json.dumps(found, indent=2))
        return DONE
    for name, entries in found.items():
        print(f"{name}:")
        width = max(14, *(len(entry) for entry in entries))
        for entry, facts in entries.items():
            print(f"  {entry:<{width}} {facts if isinstance(facts, str) else _line(facts)}".rstrip())
    return DONE


def _line(incident: Mapping[str, object]) -> str:
    return f"{incident['description']} ({incident['commit']})"


def _entries(kind: str) -> Mapping[str, str | Mapping[str, object]]:
    from emu.arch import PORTS
    from emu.build.manifest import image_names, load_manifest
    from emu.lab.defects import DEFECTS
    from emu.lab.explorer.catalogue import descriptions
    from emu.lab.explorer.incidents import INCIDENTS
    from emu.lab.incidents import incident_names, load_incident
    from emu.lab.scenario import load_scenario, scenario_names
    from emu.livepatch import FLAVOURS

    match kind:
        case "ports":
            return {name: port.description for name, port in sorted(PORTS.items())}
        case "flavours":
            return {name: flavour.description for name, flavour in FLAVOURS.items()}
        case "scenarios":
            return {name: load_scenario(name).description for name in scenario_names()}
        case "explorations":
            return descriptions()
        case "defects":
            return {name: defect.what for name, defect in sorted(DEFECTS.items())}
        case "cpu-models":
            from emu.timing.model import cpu_model_names, load_cpu_model

            models = map(load_cpu_model, cpu_model_names())
            return {model.name: f"{model.arch:<8} {model.description}" for model in models}
        case "images":
            return {name: load_manifest(name).description for name in image_names()}
    incidents = [load_incident(name) for name in incident_names()]
    return {
        incident.name: {
            "description": incident.description,
            "commit": incident.commit,
            "defect": incident.defect,
            "ports": [*(incident.ports or sorted(PORTS))],
            "verb": "run",
        }
        for incident in incidents
    } | {
        incident.name: {
            "description": f"{incident.description}; explore it",
            "commit": incident.commit,
            "defect": ", ".join(incident.dropped),
            "ports": [*incident.ports],
            "verb": "explore",
        }
        for incident in INCIDENTS.values()
    }
