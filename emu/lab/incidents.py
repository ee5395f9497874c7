"""Incidents: scenarios that ship with klpemu, each with a defect that Linux once had or guards against."""

from __future__ import annotations

from dataclasses import replace

from emu.errors import UnknownNameError
from emu.lab.scenario import Scenario, ScenarioError, load_scenario, parse_scenario
from emu.lab.shipped import shipped_names, shipped_text

PREFIX = "incident:"
FIXED = "fixed"
"""The variant without the defect, behind a slash."""


def incident_names() -> list[str]:
    """Return the names of the incidents, sorted."""
    return shipped_names("incidents")


def load_incident(name: str) -> Scenario:
    """Return an incident by name, with its defect.

    Raises:
        UnknownNameError: there is none of that name.
    """
    if name not in incident_names():
        raise UnknownNameError("incident", name, incident_names())
    return parse_scenario(shipped_text("incidents", name), origin=f"incident {name}")


def fixed(scenario: Scenario) -> Scenario:
    """Return a scenario without its defect.

    Raises:
        ScenarioError: it has none.
    """
    rows = scenario.on.values()
    if not scenario.defect and not any(row.get("defect") for row in rows):
        raise ScenarioError(scenario.origin, "defect", "there is none to leave out; run it without --fixed")
    on = {port: {**row, "defect": ""} if "defect" in row else row for port, row in scenario.on.items()}
    return replace(scenario, defect="", on=on)


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
