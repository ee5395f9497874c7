"""``klpemu list``: what there is to choose from."""

from __future__ import annotations

import json

import click

from emu.cli.exits import DONE

KINDS = ("images", "scenarios", "ports")


@click.command(name="list")
@click.argument("kind", required=False, type=click.Choice(KINDS))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(kind: str | None, as_json: bool) -> int:
    """List images, scenarios or ports; all of them by default."""
    found = {name: _entries(name) for name in (KINDS if kind is None else (kind,))}
    if as_json:
        print(json.dumps(found, indent=2))
        return DONE
    for name, entries in found.items():
        print(f"{name}:")
        for entry, description in entries.items():
            print(f"  {entry:<14} {description}".rstrip())
    return DONE


def _entries(kind: str) -> dict[str, str]:
    from emu.arch import PORTS
    from emu.build.manifest import image_names, load_manifest
    from emu.lab.scenario import load_scenario, scenario_names

    if kind == "ports":
        return {name: port.description for name, port in sorted(PORTS.items())}
    if kind == "scenarios":
        return {name: load_scenario(name).description for name in scenario_names()}
    return {name: load_manifest(name).description for name in image_names()}
