"""Incidents: scenarios that ship with klpemu, each with a defect that Linux once had or guards against."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files

from emu.errors import UnknownNameError
from emu.lab.scenario import Scenario, load_scenario, parse_scenario

PREFIX = "incident:"
FIXED = "fixed"
"""The variant without the defect, behind a slash."""


def incident_names() -> list[str]:
    """Return the names of the incidents, sorted."""
    root = files("emu") / "images" / "incidents"
    names = (entry.name for entry in root.iterdir())
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


def load_incident(name: str) -> Scenario:
    """Return an incident by name, with its defect.

    Raises:
        UnknownNameError: there is none of that name.
    """
    if name not in incident_names():
        raise UnknownNameError("incident", name, incident_names())
    path = files("emu") / "images" / "incidents" / f"{name}.toml"
    return parse_scenario(path.read_text(encoding="utf-8"), origin=f"incident {name}")


def fixed(scenario: Scenario) -> Scenario:
    """Return a scenario without its defect."""
    return replace(scenario, defect="")


def load_named(name: str) -> Scenario:
    """Return the scenario, or with ``incident:NAME`` or ``incident:NAME/fixed`` the incident, of that name.

    Raises:
        ScenarioError: see `load_scenario`.
        UnknownNameError: there is none.
    """
    if not name.startswith(PREFIX):
        return load_scenario(name)
    incident, slash, variant = name.removeprefix(PREFIX).partition("/")
    found = load_incident(incident)
    if slash and variant != FIXED:
        raise UnknownNameError("variant", variant, [FIXED])
    return fixed(found) if slash else found
